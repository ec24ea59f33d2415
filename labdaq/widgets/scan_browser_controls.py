"""The widgets of the scan browser: search, list, columns, and what differs between scans."""

from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from labdaq.errors import LabdaqError
from labdaq.store.pictures import scan_html
from labdaq.widgets.extras import needed
from labdaq.widgets.routing import answer_at_once

if TYPE_CHECKING:
    from labdaq.widgets.scan_browser import ScanBrowser

__all__ = ["BrowserControls"]

_STYLE = """<style>
.labdaq-differences{border-collapse:collapse;font-size:12px;line-height:1.4;margin:4px 0}
.labdaq-differences th,.labdaq-differences td{text-align:left;padding:2px 22px 2px 0;
 border-bottom:1px solid var(--jp-border-color3,#ECEEF1)}
</style>"""


class BrowserControls:
    """What is typed and clicked, and what is known of the scans that are chosen.

    Parameters
    ----------
    browser
        Does what is asked for; what it refuses is said in words.
    """

    def __init__(self, browser: "ScanBrowser") -> None:
        ipywidgets = needed("ipywidgets")
        self._browser, self._is_following = browser, False
        wide = {"description_width": "initial"}
        self.search = ipywidgets.Text(
            value=browser.text, description="Search", placeholder="words, or name=muon* number=3-9",
            continuous_update=False, style=wide, layout={"width": "330px"},
        )  # fmt: skip
        self.scans = ipywidgets.SelectMultiple(
            options=[], rows=7, description="Scans", style=wide, layout={"width": "99%"}
        )
        self.scans.tooltip = "Several with Shift or Ctrl"
        self.y = ipywidgets.Dropdown(description="Draw", style=wide, layout={"width": "240px"})
        self.x = ipywidgets.Dropdown(description="over", style=wide, layout={"width": "240px"})
        self.kind = ipywidgets.Dropdown(
            options=("line", "points", "histogram"), description="as", style=wide, layout={"width": "150px"}
        )
        self.about = ipywidgets.HTML(layout={"width": "100%", "max_height": "220px", "overflow": "auto"})
        self.search.observe(self._told(lambda: browser.search(self.search.value)), "value")
        self.scans.observe(self._told(lambda: browser.choose(*self.scans.value)), "value")
        for one in (self.x, self.y, self.kind):
            one.observe(self._told(self._plot), "value")
        answer_at_once(self.search, self.scans, self.x, self.y, self.kind)

    def _told(self, act: Callable[[], Any]) -> Callable[[Any], None]:
        """Do it; what is refused is said where the scans are described."""

        def changed(_: Any) -> None:
            if self._is_following:
                return
            try:
                act()
            except LabdaqError as error:
                self.about.value = f"<b>{escape(str(error))}</b>"

        return changed

    def _plot(self) -> None:
        if self.y.value is not None:
            self._browser.plot(self.y.value, self.x.value, self.kind.value)

    def widgets(self) -> Sequence[Any]:
        """All of them, in the order in which they are shown."""
        ipywidgets = needed("ipywidgets")
        choice = ipywidgets.HBox([self.y, self.x, self.kind], layout={"flex_flow": "row wrap"})
        return (ipywidgets.VBox([self.search, self.scans, choice, self.about], layout={"width": "100%"}),)

    def list_scans(self, options: list[tuple[str, str]]) -> None:
        """Show these scans; those that are chosen remain so."""
        with _Following(self):
            kept = [key for key in self.scans.value if key in {key for _, key in options}]
            self.scans.options = options
            self.scans.value = kept
            self.search.value = self._browser.text

    def follow(self) -> None:
        """Show what the browser shows."""
        from labdaq.widgets.scan_browser import INDEX

        browser = self._browser
        with _Following(self):
            there = {key for _, key in self.scans.options}
            self.scans.value = [scan.key for scan in browser.chosen if scan.key in there]
            self.y.options = browser.columns
            self.y.value = browser.y if browser.y in browser.columns else None
            self.x.options = [INDEX, *browser.columns]
            self.x.value, self.kind.value = browser.x, browser.kind
            self.about.value = self._described()

    def _described(self) -> str:
        chosen = self._browser.chosen
        if len(chosen) < 2:
            return "".join(map(scan_html, chosen))
        names = [f"{scan.identity['name']} {scan.identity['number']}" for scan in chosen]
        heads = "".join(f"<th>{escape(name)}</th>" for name in names)
        rows = "".join(
            f"<tr><td>{escape(_short(name))}</td>{''.join(f'<td>{escape(text)}</td>' for text in texts)}</tr>"
            for name, texts in self._browser.compare().items()
        )
        return f'{_STYLE}<table class="labdaq-differences"><tr><th>what differs</th>{heads}</tr>{rows}</table>'


def _short(name: str) -> str:
    """Of a parameter: its worker and its name.

    Examples
    --------
    >>> _short("configuration.workers.find.parameters.level.value"), _short("comment")
    ('find.level', 'comment')
    """
    worker, is_parameter, rest = name.removeprefix("configuration.workers.").partition(".parameters.")
    return f"{worker}.{rest.removesuffix('.value')}" if is_parameter else name


class _Following:
    """While the widgets are made to show something, they ask for nothing."""

    def __init__(self, controls: BrowserControls) -> None:
        self._controls = controls

    def __enter__(self) -> None:
        self._before, self._controls._is_following = self._controls._is_following, True

    def __exit__(self, *_: object) -> None:
        self._controls._is_following = self._before
