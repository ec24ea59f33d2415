"""Stores, scans and streams in notebooks: small tables, without scripts, in the colours of the page.

All texts come from users, so all are escaped and cut. Nothing is raised: what cannot be read any more, because a
store was closed or a server is gone, is shown as its plain text.
"""

import json
import time
from collections.abc import Callable, Iterable
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from labdaq.errors import ScanNotFoundError
from labdaq.store.engine import Extent
from labdaq.store.exchange.selection import is_scalar, label_of, unit_of
from labdaq.store.identity import Query

if TYPE_CHECKING:
    from labdaq.store.scan import Scan
    from labdaq.store.store import DataStore
    from labdaq.store.stream import Stream

__all__ = ["scan_html", "store_html", "stream_html"]

_NSCAN, _NSTREAM, _NPOINT = 20, 50, 200
_TEXT, _INFO = 80, 4000  # characters
_WIDTH, _HEIGHT = 300, 40


def store_html(store: "DataStore") -> str:
    """The newest scans of a store."""
    return _safely(store, _store)


def scan_html(scan: "Scan") -> str:
    """A scan with its streams."""
    return _safely(scan, _scan)


def stream_html(stream: "Stream") -> str:
    """A stream, and its last points as a line."""
    return _safely(stream, _stream)


def _safely(thing: Any, draw: Callable[[Any], str]) -> str:
    try:
        return f'<div style="font-family:sans-serif;font-size:12px">{draw(thing)}</div>'
    except Exception:  # noqa: BLE001 - whatever it is, the notebook goes on
        return f"<pre>{escape(repr(thing))}</pre>"


# ---- the three


def _store(store: "DataStore") -> str:
    engine = store.engine
    _tag, keys = engine.search(Query(newest_first=True))
    rows = []
    for key in keys[:_NSCAN]:
        try:
            record = engine.load(key)
        except ScanNotFoundError:  # deleted meanwhile
            continue
        who = record.identity
        names = ", ".join(stream.name for stream in record.streams[:_NSTREAM])
        rows.append([who["name"], who["number"], record.state.name, _when(record.created_ns), names])
    more = f", of which the last {len(rows)} are" if len(keys) > len(rows) else ""
    title = f"<b>{_text(store.url)}</b> &mdash; {len(keys)} scans{more}"
    return title + _table(["name", "number", "state", "made", "streams"], rows)


def _scan(scan: "Scan") -> str:
    streams = list(scan.streams.values())
    shown = streams[:_NSTREAM]
    extents = shown[0].engine.extents([stream.log for stream in shown]) if shown else []
    rows = [[s.name, *_kind(s), e.length, _ending(e)] for s, e in zip(shown, extents, strict=True)]
    identity = scan.identity
    others = ", ".join(
        f"{key} {value}" for key, value in identity.items() if value is not None and key not in {"name", "number"}
    )
    title = (
        f"<b>{_text(identity['name'])} {_text(identity['number'])}</b> &mdash; {scan.state.name}, made "
        f"{_when(scan.created_ns)}<div>{_text(others, 4 * _TEXT)}</div>"
    )
    more = f"<div>and {len(streams) - len(shown)} more streams</div>" if len(streams) > len(shown) else ""
    table = _table(["stream", "dtype", "shape", "unit", "points", ""], rows) + more if streams else ""
    return title + table + _details(scan.info)


def _stream(stream: "Stream") -> str:
    extent = stream.extent()
    dtype, shape, unit = _kind(stream)
    label = label_of(stream)
    what = " ".join(part for part in (dtype, shape, unit and f"in {unit}") if part)
    title = (
        f"<b>{_text(stream.name)}</b>{': ' + _text(label) if label else ''} &mdash; {_text(what)}: {extent.length} "
        f"points {_ending(extent)}"
    )
    first = max(extent.first, extent.length - _NPOINT)
    is_drawn = is_scalar(stream) and extent.length - first > 1
    line = _line(stream.points(first, extent.length, extent)) if is_drawn else ""
    return title + line + _details(stream.info)


# ---- their parts


def _kind(stream: "Stream") -> tuple[str, str, str]:
    """Dtype, shape and unit."""
    if stream.dtype is None or stream.shape is None:
        return "JSON", "", unit_of(stream) or ""
    lengths = " by ".join("…" if n == -1 else str(n) for n in stream.shape)
    return str(stream.dtype), lengths, unit_of(stream) or ""


def _ending(extent: Extent) -> str:
    trimmed = f", {extent.first} of them trimmed" if extent.first else ""
    return ("sealed" if extent.is_sealed else "and counting") + trimmed


def _when(created_ns: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(created_ns / 1e9))


def _text(value: Any, most: int = _TEXT) -> str:
    """A text of somebody, cut and escaped."""
    text = str(value)
    return escape(text if len(text) <= most else text[: most - 1] + "…")


def _table(heads: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    def line(cells: Iterable[Any], tag: str) -> str:
        style = 'style="text-align:left;padding:1px 8px;color:inherit"'
        return "<tr>" + "".join(f"<{tag} {style}>{_text(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(line(row, "td") for row in rows)
    style = "border-collapse:collapse;color:inherit;background:none"
    return f'<table style="{style}"><thead>{line(heads, "th")}</thead><tbody>{body}</tbody></table>'


def _details(info: Any) -> str:
    """The info, folded away."""
    if not info:
        return ""
    text = json.dumps(dict(info), indent=1, default=str, ensure_ascii=False)
    return f'<details><summary>info</summary><pre style="color:inherit">{_text(text, _INFO)}</pre></details>'


def _line(points: Any) -> str:
    """Points as a line; where one is not finite, there is a gap."""
    values = np.asarray(points).astype(np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        return ""
    low, high = float(values[finite].min()), float(values[finite].max())
    half = high / 2 - low / 2  # the whole may be larger than any number
    with np.errstate(all="ignore"):
        heights = (values / 2 - low / 2) / half if half > 0 else np.full(len(values), 0.5)
    xs = np.linspace(1, _WIDTH - 1, len(values))
    ys = 1 + (_HEIGHT - 2) * (1 - heights)
    path, pen = [], "M"
    for x, y, is_finite in zip(xs.tolist(), ys.tolist(), finite.tolist(), strict=True):
        if is_finite:
            path.append(f"{pen}{x:.1f} {y:.1f}")
        pen = "L" if is_finite else "M"
    return (
        f'<div><svg width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="the last {len(values)} points">'
        f'<path d="{"".join(path)}" fill="none" stroke="currentColor"/></svg> '
        f"<span>{low:.6g} to {high:.6g}, the last {len(values)} points</span></div>"
    )
