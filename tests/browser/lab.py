"""A JupyterLab with its own settings, and notebooks opened in a headless Chromium that reaches nothing else."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat

CHROMIUM = next((path for name in ("chromium", "google-chrome", "chrome") if (path := shutil.which(name))), None)
ONLY_HERE = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
IS_IDLE = """() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === "idle" """


class Lab:
    """A server in a folder of its own; a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._token = secrets.token_hex(8)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{probe.getsockname()[1]}"

    def __enter__(self) -> "Lab":
        for plugin, values in SETTINGS.items():
            file = self.folder / ".settings" / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values))
        places = {
            "JUPYTER_CONFIG_DIR": ".config",
            "JUPYTER_DATA_DIR": ".data",
            "JUPYTER_RUNTIME_DIR": ".runtime",
            "IPYTHONDIR": ".ipython",
            "JUPYTERLAB_SETTINGS_DIR": ".settings",
            "JUPYTERLAB_WORKSPACES_DIR": ".workspaces",
        }
        environment = os.environ | {name: str(self.folder / place) for name, place in places.items()}
        environment["PYTHONPATH"] = str(Path(__file__).parents[2])
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser"]
        command += [f"--ServerApp.port={self.url.rpartition(':')[2]}", "--ServerApp.port_retries=0"]
        command += ["--ServerApp.ip=127.0.0.1", f"--IdentityProvider.token={self._token}"]
        command += [f"--ServerApp.root_dir={self.folder}"]
        self._log = (self.folder / "lab.log").open("w")
        self._process = subprocess.Popen(
            command, stdout=self._log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        deadline = time.monotonic() + 60
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise RuntimeError(f"JupyterLab did not start: {(self.folder / 'lab.log').read_text()[-2000:]}")
            time.sleep(0.1)
        return self

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/api/status?token={self._token}", timeout=2):
                return True
        except OSError:
            return False

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._log.close()

    def address(self, name: str) -> str:
        """Of a notebook."""
        return f"{self.url}/lab/tree/{name}?reset&token={self._token}"

    def write(self, name: str, cells: list[str]) -> None:
        """Make a notebook."""
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        made = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(one) for one in cells], metadata={"kernelspec": kernel}
        )
        nbformat.write(made, self.folder / name)


class Notebook:
    """A notebook in a page."""

    def __init__(self, lab: Lab, browser, name: str, cells: list[str]) -> None:
        lab.write(name, cells)
        self.lab, self.name = lab, name
        self.page = browser.new_page(viewport={"width": 1280, "height": 1100})
        self.errors: list[str] = []
        self.strangers: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._note)
        self.open()

    def _note(self, request) -> None:
        own = (self.lab.url, self.lab.url.replace("http", "ws"), "data:", "blob:")
        if not request.url.startswith(own):
            self.strangers.append(request.url)

    def open(self) -> None:
        """Load the page, or load it again."""
        self.page.goto(self.lab.address(self.name))
        self.page.wait_for_function(IS_IDLE, timeout=60_000)

    def run_all(self) -> None:
        """Run all cells, and wait for their end."""
        self.page.evaluate("async () => { await jupyterapp.commands.execute('notebook:run-all-cells') }")

    def start_all(self) -> None:
        """Run all cells, and do not wait."""
        self.page.evaluate("() => { jupyterapp.commands.execute('notebook:run-all-cells') }")

    def wait(self, condition: str, seconds: float = 20) -> None:
        """Until an expression is true."""
        self.page.wait_for_function(f"() => {condition}", timeout=1000 * seconds)

    def text(self) -> str:
        """All output."""
        return self.page.evaluate("[...document.querySelectorAll('.jp-OutputArea')].map(o => o.innerText).join('\\n')")

    def picture(self, path: Path) -> None:
        """Keep a picture of the page."""
        self.page.screenshot(path=str(path))

    def add(self, code: str, *, wait: bool = True) -> None:
        """Put a cell at the end and run it."""
        self.page.evaluate(
            """async ([code, wait]) => {
              const notebook = jupyterapp.shell.currentWidget.content;
              notebook.activeCellIndex = notebook.widgets.length - 1;
              await jupyterapp.commands.execute('notebook:insert-cell-below');
              notebook.activeCell.model.sharedModel.setSource(code);
              const done = jupyterapp.commands.execute('notebook:run-cell');
              if (wait) await done;
            }""",
            [code, wait],
        )

    def said(self) -> str:
        """What the last cell printed."""
        return self.page.evaluate(
            "[...document.querySelectorAll('.jp-CodeCell')].at(-1).querySelector('.jp-OutputArea').innerText"
        )

    def save(self) -> None:
        """Save it."""
        self.page.evaluate("async () => { await jupyterapp.commands.execute('docmanager:save') }")

    def frames(self, label: str = "scope") -> int:
        """Frames that were painted of a plot."""
        return self.page.evaluate(
            "(label) => window.__labdaq_views?.find(one => one.label.startsWith(label))?.frames ?? -1", label
        )

    def close(self) -> None:
        """Close the page and end its kernel."""
        self.page.evaluate("async () => { await jupyterapp.serviceManager.sessions.shutdownAll() }")
        self.page.close()
