// A page without Jupyter: the widget's own module, a model that is not connected to anything, and time that flies.
() => {
  const {port1, port2} = new MessageChannel(), waiting = [];
  port1.onmessage = () => { for (const one of waiting.splice(0)) one(performance.now()); };
  window.requestAnimationFrame = (paint) => { if (waiting.push(paint) === 1) port2.postMessage(0); return 1; };
  let ahead_ms = 0;
  for (const clock of [performance, Date]) {
    const now = clock.now.bind(clock);
    clock.now = () => now() + ahead_ms;
  }
  // What is really drawn draws lines.
  window.lines = 0;
  const stroke = CanvasRenderingContext2D.prototype.stroke;
  CanvasRenderingContext2D.prototype.stroke = function (...path) { window.lines += 1; return stroke.apply(this, path); };

  const listeners = new Set();
  let frames = [], number = 0;

  const bytes = (text) => new DataView(Uint8Array.from(atob(text), (one) => one.charCodeAt(0)).buffer);

  window.open_plot = async ([code, item, bokeh_version, bokehjs, recorded]) => {
    frames = recorded.map(([about, buffers]) => [about, buffers.map(bytes)]);
    const told = {item, bokeh_version, label: "a waveform", picture: "", polls: false};
    const model = {
      get: (name) => told[name],
      on: (what, hear) => { if (what === "msg:custom") listeners.add(hear); },
      off: (what, hear) => listeners.delete(hear),
      send: (said) => {
        if (said.need !== "bokehjs") return;
        const script = new DataView(new TextEncoder().encode(bokehjs).buffer);
        setTimeout(() => listeners.forEach((hear) => hear({kind: "bokehjs"}, [script])));
      },
    };
    const module = await import(URL.createObjectURL(new Blob([code], {type: "text/javascript"})));
    const widget = module.default();
    widget.initialize({model});
    await widget.render({model, el: document.getElementById("place")});
  };

  // Each second of the day: its frames all at once, and what the page makes of them.
  window.play = async (seconds, frames_per_s) => {
    for (let second = 0; second < seconds; second++) {
      for (let frame = 0; frame < frames_per_s; frame++) {
        const [about, buffers] = frames[number % frames.length];
        number += 1;
        for (const hear of listeners) hear({...about, number, sent_ms: Date.now()}, buffers);
      }
      ahead_ms += 1000;
      await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    }
  };
}
