// A bokeh figure inside a widget. The kernel sends bokehjs once per page, and then frames of raw columns. Of those
// that come between two paints only the newest of each column is drawn; what was painted is told twice a second at most.

const ASK_AGAIN_MS = 5000, GIVE_UP_MS = 4000, TELL_MS = 500, TELL_EACH = 12, POLL_MS = 250, PICTURE_MS = 2000, SAY_MS = 200;
const ARRAYS = {f4: Float32Array, i4: Int32Array, u1: Uint8Array};

function run(text) {
  // RequireJS and CommonJS would take bokehjs for themselves; the bokehjs of somebody else keeps its place.
  const names = ["define", "module", "exports"], kept = names.map((name) => window[name]), other = window.Bokeh;
  for (const name of names) window[name] = undefined;
  try {
    const script = document.createElement("script");
    script.textContent = text;
    document.head.appendChild(script);
    return window.Bokeh;
  } finally {
    names.forEach((name, i) => { if (kept[i] === undefined) delete window[name]; else window[name] = kept[i]; });
    if (other) window.Bokeh = other;
  }
}

function tell(model, message) {
  try {
    model.send(message);
  } catch (error) {
    console.debug("labdaq: the kernel is gone", error);
  }
}

function bokehjs(model) {
  const version = model.get("bokeh_version");
  const loaded = (window.__labdaq_bokeh = window.__labdaq_bokeh || {});
  if (loaded[version]) return Promise.resolve(loaded[version]);
  if (window.Bokeh?.version === version) return Promise.resolve((loaded[version] = window.Bokeh));
  return new Promise((resolve) => {
    const done = () => { model.off("msg:custom", hear); clearInterval(again); resolve(loaded[version]); };
    const hear = (message, buffers) => {
      if (message.kind !== "bokehjs") return;
      loaded[version] ||= run(new TextDecoder().decode(buffers[0]));
      done();
    };
    const ask = () => (loaded[version] ? done() : tell(model, {need: "bokehjs"}));
    const again = setInterval(ask, ASK_AGAIN_MS);
    model.on("msg:custom", hear);
    ask();
  });
}

function column(type, shape, view, old) {
  const values = new ARRAYS[type](view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
  if (shape.length < 2) return values;
  const image = old?.[0];
  if (image?.length === values.length) { image.set(values); return [image]; }
  const row = (number) => Array.from(values.subarray(number * shape[1], (number + 1) * shape[1]));
  return [Array.from({length: shape[0]}, (_, number) => row(number))];
}

function draw(view, sources, settings) {
  for (const [name, columns] of sources) {
    const source = view.document.get_model_by_name(name);
    if (!source) continue;
    const data = {...source.data};
    for (const [key, [type, shape, buffer]] of columns) data[key] = column(type, shape, buffer, source.data[key]);
    source.data = data;
  }
  for (const [name, changes] of settings) {
    if (name === "status") view.say(changes.text);
    else view.document.get_model_by_name(name)?.setv(changes);
  }
}

// Only what shows data is painted with each frame: axes, grid and legend keep still. For that it moves, in its order, to
// the canvas above, where bokeh would not clip it, and with no place in the document, which would be laid out anew.
function paint_alone(views) {
  const is_drawn = ({model}) => model.type === "GlyphRenderer" && model.level === "glyph" && !is_sample(model);
  for (const view of views.query?.(is_drawn) ?? []) {
    Object.defineProperty(view, "needs_clip", {value: true});
    view.update_position = () => {};
    view.model.level = "overlay";
  }
}

// Words change no more often than they can be read.
function speaker(place) {
  let words = "", later = 0;
  return (text) => {
    words = text;
    later ||= setTimeout(() => { later = 0; place.textContent = words; }, SAY_MS);
  };
}

const is_sample = (model) => model.tags?.[0] === "sample of";

// The samples of a legend show and hide the lines that they stand for.
function follow_samples(shown) {
  for (const sample of shown._all_models.values()) {
    if (!is_sample(sample)) continue;
    const line = shown.get_model_by_name(sample.tags[1]);
    if (line) sample.properties.visible.change.connect(() => { line.visible = sample.visible; });
  }
}

// Tell which part of the horizontal axis is seen, so that it can be drawn in detail.
function tell_window(model, page, shown) {
  const range = shown.get_model_by_name("x_range");
  let later = 0;
  const changed = () => {
    clearTimeout(later);
    later = setTimeout(() => tell(model, {window: page, start: range.start, end: range.end}), 150);
  };
  for (const end of range ? [range.properties.start, range.properties.end] : []) end.change.connect(changed);
}

export default () => {
  const page = crypto.getRandomValues(new Uint32Array(2)).join("-");
  const views = new Set();
  const newest = {sources: new Map(), settings: new Map()};  // all that a new view has to know
  let pending = {sources: new Map(), settings: new Map()};
  let number = -1, scheduled = 0, told = 0, told_ms = 0, sent_ms = 0;

  const look = (model) => tell(model, views.size && !document.hidden ? {ready: page} : {gone: page});

  function paint(model) {
    scheduled = 0;
    const {sources, settings} = pending;
    pending = {sources: new Map(), settings: new Map()};
    for (const view of views) {
      try {
        draw(view, sources, settings);
        view.info.frames += 1;
        view.info.number = number;
        view.info.lag_ms = Date.now() - sent_ms;
      } catch (error) {
        console.warn("labdaq: a frame could not be drawn", error);
      }
    }
    const now = performance.now();
    const wait_ms = number - told < TELL_EACH ? 2.5 * TELL_MS : TELL_MS;
    if (now - told_ms > wait_ms) { told_ms = now; told = number; tell(model, {painted: number, page}); }
  }

  function hear(model, message, buffers) {
    if (message.kind !== "frame") return;
    let next = 0;
    for (const [name, columns] of message.sources) {
      for (const kept of [newest.sources, pending.sources]) if (!kept.has(name)) kept.set(name, new Map());
      for (const [key, type, shape] of columns) {
        const one = [type, shape, buffers[next++]];
        newest.sources.get(name).set(key, one);
        pending.sources.get(name).set(key, one);
      }
    }
    for (const [name, changes] of message.settings)
      for (const kept of [newest.settings, pending.settings]) kept.set(name, {...kept.get(name), ...changes});
    number = message.number;
    sent_ms = message.sent_ms;
    if (!scheduled) scheduled = requestAnimationFrame(() => paint(model));
  }

  return {
    initialize({model}) {
      const listen = (message, buffers) => hear(model, message, buffers);
      const turn = () => { if (views.size) look(model); };
      const poll = () => { if (views.size && !document.hidden) tell(model, {poll: page}); };
      const polling = model.get("polls") ? setInterval(poll, POLL_MS) : 0;
      model.on("msg:custom", listen);
      document.addEventListener("visibilitychange", turn);
      return () => {
        clearInterval(polling);
        model.off("msg:custom", listen);
        document.removeEventListener("visibilitychange", turn);
      };
    },

    async render({model, el}) {
      const place = document.createElement("div");
      place.className = "labdaq-live";
      place.setAttribute("role", "figure");
      place.setAttribute("aria-label", model.get("label"));
      const status = document.createElement("div");
      status.className = "labdaq-status";
      status.style.cssText = "font:12px/1.4 var(--jp-ui-font-family, sans-serif); min-height:1.4em; padding:2px 8px;" +
        "color:var(--jp-ui-font-color2, #5A6069); font-variant-numeric:tabular-nums; contain:content";
      el.append(place, status);
      const picture = () => {
        if (model.get("picture")) place.innerHTML = `<img alt="${model.get("label")}" src="${model.get("picture")}">`;
      };
      let asking = 0;
      const still = setTimeout(() => {  // a saved notebook without its kernel, or a page that gets no bokehjs
        picture();
        model.on("change:picture", picture);
        if (model.get("polls")) asking = setInterval(() => tell(model, {picture: true}), PICTURE_MS);
      }, GIVE_UP_MS);
      const still_no_more = () => { clearTimeout(still); clearInterval(asking); model.off("change:picture", picture); };
      let view = null, is_gone = false;
      const Bokeh = await bokehjs(model);
      still_no_more();

      async function show() {
        if (view) { views.delete(view); view.close(); view = null; }
        place.replaceChildren();
        const item = JSON.parse(model.get("item"));
        const embedded = await Bokeh.embed.embed_item({...item, target_id: null}, place);
        const shown = [...(embedded.roots ?? embedded)][0]?.model.document;
        if (is_gone || !shown) return;
        paint_alone(embedded);
        follow_samples(shown);
        tell_window(model, page, shown);
        const info = {label: model.get("label"), status, document: shown, frames: 0, number: -1, lag_ms: 0};
        const all = (window.__labdaq_views = window.__labdaq_views || []);
        all.push(info);
        view = {document: shown, say: speaker(status), info, close() {
          all.splice(all.indexOf(info), 1);
          shown.clear();
          Bokeh.documents.splice(Bokeh.documents.indexOf(shown), 1);
        }};
        views.add(view);
        draw(view, newest.sources, newest.settings);
        if (views.size === 1) look(model);
      }
      await show();
      model.on("change:item", show);
      return () => {
        is_gone = true;
        still_no_more();
        model.off("change:item", show);
        if (view) { views.delete(view); view.close(); }
        if (!views.size) look(model);
      };
    },
  };
};
