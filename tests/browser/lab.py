"""Servers of Jupyter with settings of their own, opened in a headless Chromium that reaches nothing else."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
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
IS_IDLE = "window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"


class Server:
    """A server of Jupyter in a folder of its own, with settings of its own; a context manager."""

    module = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._token = secrets.token_hex(8)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def options(self) -> list[str]:
        """Of the command."""
        options = ["--no-browser", "--allow-root", "--expose-app-in-browser", f"--ServerApp.port={self.port}"]
        options += ["--ServerApp.port_retries=0", "--ServerApp.ip=127.0.0.1", f"--IdentityProvider.token={self._token}"]
        return [*options, f"--ServerApp.root_dir={self.folder}"]

    def __enter__(self) -> "Server":
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
        self._log = (self.folder / "server.log").open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-m", self.module, *self.options()],
            stdout=self._log, stderr=subprocess.STDOUT, env=environment, cwd=self.folder, start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise RuntimeError(f"{self.module} did not start: {(self.folder / 'server.log').read_text()[-2000:]}")
            time.sleep(0.1)
        return self

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2):
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

    def write(self, name: str, cells: list[str]) -> None:
        """Make a notebook."""
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        made = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(one) for one in cells], metadata={"kernelspec": kernel}
        )
        nbformat.write(made, self.folder / name)


class Lab(Server):
    """JupyterLab."""

    module = "jupyterlab"

    def address(self, name: str, workspace: str = "default") -> str:
        """Of a notebook, in a workspace."""
        return f"{self.url}/lab/workspaces/{workspace}/tree/{name}?reset&token={self._token}"


class Classic(Server):
    """Notebook 7."""

    module = "notebook"

    def address(self, name: str, workspace: str = "") -> str:
        """Of a notebook."""
        return f"{self.url}/notebooks/{name}?token={self._token}"


class App(Server):
    """A notebook as an app of Voilà, without its code."""

    module = "voila"
    name = "app.ipynb"

    def options(self) -> list[str]:
        """Of the command."""
        return [self.name, "--no-browser", f"--port={self.port}", "--Voila.ip=127.0.0.1"]


class Pages:
    """Tabs of a browser of its own; what they ask of other machines than the server is refused, and remembered."""

    def __init__(self, server: Server, browser, viewport: tuple[int, int] = (1280, 1100), scale: float = 1.0) -> None:
        self.server = server
        self.errors: list[str] = []
        self.strangers: list[str] = []
        size = {"width": viewport[0], "height": viewport[1]}
        self.context = browser.new_context(viewport=size, device_scale_factor=scale)
        self.context.route(self._is_elsewhere, self._refuse)
        self.page = None

    def _is_elsewhere(self, url: str) -> bool:
        return not url.startswith((self.server.url, self.server.url.replace("http", "ws"), "data:", "blob:"))

    def _refuse(self, route) -> None:
        self.strangers.append(route.request.url)
        route.abort()

    def _note_warning(self, said) -> None:
        if said.type in {"error", "warning"} and "labdaq" in said.text:
            self.errors.append(said.text)

    def open(self, url: str) -> None:
        """Open an address in a new tab, which is the one that is used from now on."""
        self.page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.errors.append(f"{error}\n{error.stack}"))
        self.page.on("console", self._note_warning)
        self.page.goto(url)

    def wait(self, condition: str, seconds: float = 60) -> None:
        """Until an expression is true."""
        self.page.wait_for_function(f"() => {condition}", timeout=1000 * seconds)

    def value(self, expression: str):
        """Of an expression of the page."""
        return self.page.evaluate(expression)

    def press(self, button: str) -> None:
        """A button of the first panel."""
        self.page.locator(f"button.labdaq-{button}").first.click()

    def picture(self, path: Path) -> None:
        """Keep a picture of the page."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=str(path))

    def close(self) -> None:
        """Close its tabs."""
        self.context.close()


class Notebook(Pages):
    """A notebook in a tab."""

    def __init__(self, server: Server, browser, name: str, **settings) -> None:
        super().__init__(server, browser, **settings)
        self.name = name
        self._tabs = 0
        self.tab()

    def tab(self) -> None:
        """Open it in one more tab."""
        self.open(self.server.address(self.name, f"tab{self._tabs}"))
        self._tabs += 1
        self.wait(IS_IDLE)

    def reload(self) -> None:
        """Load the page again."""
        self.page.goto(self.page.url if "reset" in self.page.url else f"{self.page.url}?reset")
        self.wait(IS_IDLE)

    def run_all(self, *, wait: bool = True) -> None:
        """Run all cells."""
        self.page.evaluate(
            """async (wait) => {
              const done = jupyterapp.commands.execute('notebook:run-all-cells');
              if (wait) await done;
            }""",
            wait,
        )

    def run_until(self, text: str) -> None:
        """Run the cells up to the first that has this text."""
        self.page.evaluate(
            """async (text) => {
              const notebook = jupyterapp.shell.currentWidget.content;
              const found = notebook.widgets.findIndex(cell => cell.model.sharedModel.source.includes(text));
              notebook.activeCellIndex = found;
              notebook.select(notebook.widgets[found]);
              await jupyterapp.commands.execute('notebook:run-all-above');
              notebook.activeCellIndex = found;
              await jupyterapp.commands.execute('notebook:run-cell');
            }""",
            text,
        )

    def text(self) -> str:
        """All output."""
        return self.value("[...document.querySelectorAll('.jp-OutputArea')].map(o => o.innerText).join('\\n')")

    def add(self, code: str, *, wait: bool = True) -> str:
        """Put a cell at the end and run it; what it printed."""
        return self.page.evaluate(
            """async ([code, wait]) => {
              const notebook = jupyterapp.shell.currentWidget.content;
              notebook.activeCellIndex = notebook.widgets.length - 1;
              await jupyterapp.commands.execute('notebook:insert-cell-below');
              notebook.activeCell.model.sharedModel.setSource(code);
              const done = jupyterapp.commands.execute('notebook:run-cell');
              if (!wait) return '';
              await done;
              return notebook.activeCell.outputArea.node.innerText.trim();
            }""",
            [code, wait],
        )

    def save(self) -> None:
        """Save it."""
        self.value("async () => { await jupyterapp.commands.execute('docmanager:save') }")

    def close(self) -> None:
        """End its kernel and close its tabs."""
        self.value("async () => { await jupyterapp.serviceManager.sessions.shutdownAll() }")
        super().close()
