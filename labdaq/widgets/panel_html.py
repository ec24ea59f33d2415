"""The numbers of a run as one table for a panel: state, clock, rings, workers. Words stand beside every colour."""

from html import escape

from labdaq.native.nvml import gpus
from labdaq.pipeline.running.snapshots import NodeSnapshot, RingSnapshot
from labdaq.widgets.style import COLOURS, GREY
from labdaq.widgets.subject import Seen, grouped, rate_text

__all__ = ["STYLE", "clock", "fill_colour", "log_html", "panel_html"]

_STATES = {
    "IDLE": ("#5A6069", "○"),
    "RUNNING": ("#00704F", "▶"),
    "PAUSED": ("#8A5A00", "❚❚"),
    "DRAINING": ("#00588A", "▽"),
    "ENDED": ("#4A5058", "■"),
    "FAILED": ("#B03A00", "✖"),
}
_FILLS = ((0.9, COLOURS[1], "nearly full"), (0.5, COLOURS[4], "filling"), (0.0, COLOURS[0], ""))
STYLE = """<style>
.labdaq-numbers{font-family:var(--jp-ui-font-family,sans-serif);font-size:13px;line-height:1.45;
 color:var(--jp-ui-font-color1,#22262B);font-variant-numeric:tabular-nums}
.labdaq-numbers .state{color:#fff;border-radius:4px;padding:2px 10px;font-weight:600;letter-spacing:.04em}
.labdaq-numbers .top{display:flex;flex-wrap:wrap;gap:6px 22px;align-items:baseline;margin:2px 0 8px}
.labdaq-numbers .top b{font-size:16px;font-weight:600}
.labdaq-numbers .top span>small{color:var(--jp-ui-font-color2,#5A6069);margin-right:5px}
.labdaq-numbers table{border-collapse:collapse;width:100%;margin:0 0 10px}
.labdaq-numbers th{text-align:left;font-weight:600;font-size:12px;color:var(--jp-ui-font-color2,#5A6069);
 border-bottom:1px solid var(--jp-border-color2,#D5D9DF);padding:3px 12px 3px 0}
.labdaq-numbers td{padding:3px 12px 3px 0;border-bottom:1px solid var(--jp-border-color3,#ECEEF1);vertical-align:middle}
.labdaq-numbers .r{text-align:right}
.labdaq-numbers .bar{display:inline-block;width:110px;height:11px;border-radius:3px;vertical-align:-1px;
 background:var(--jp-layout-color3,#E4E7EB);overflow:hidden;margin-right:7px}
.labdaq-numbers .bar i{display:block;height:100%}
.labdaq-numbers .bad{color:#B03A00;font-weight:600}
</style>"""
"""Of the table. It stands elsewhere: each time it comes into a page, that finds anew how everything looks."""


def clock(seconds: float) -> str:
    """Hours, minutes, seconds.

    Examples
    --------
    >>> clock(3723.45)
    '1:02:03.4'
    """
    tenths = int(seconds * 10)
    return f"{tenths // 36000}:{tenths // 600 % 60:02}:{tenths // 10 % 60:02}.{tenths % 10}"


def fill_colour(fill: float) -> tuple[str, str]:
    """Colour and words for how full a ring is; the colours differ in brightness, too.

    Examples
    --------
    >>> fill_colour(0.1)[1], fill_colour(0.6)[1], fill_colour(0.97)[1]
    ('', 'filling', 'nearly full')
    """
    return next((colour, words) for least, colour, words in _FILLS if fill >= least)


def panel_html(seen: Seen) -> str:
    """One table of everything that a run says of itself, to be shown in a page that has `STYLE`."""
    parts = ['<div class="labdaq-numbers" role="group" aria-label="numbers of the run">', _top(seen)]
    if seen.snapshot is not None:
        parts += [_progress(seen), _rings(seen.snapshot.rings), _workers(seen.snapshot.nodes, seen.balance)]
    return "".join((*parts, "</div>"))


def _top(seen: Seen) -> str:
    colour, sign = _STATES.get(seen.state, (GREY, "?"))
    badge = f'<span class="state" style="background:{colour}">{sign} {escape(seen.state.lower())}</span>'
    shown = seen.snapshot
    if shown is None:
        return f'<div class="top">{badge}<span>no run yet: press Start</span></div>'
    rate = shown.events / shown.seconds if shown.seconds > 0 else 0.0
    facts = [("time", clock(shown.seconds)), ("events", grouped(shown.events)), ("mean rate", rate_text(rate))]
    facts += [
        (f"GPU {gpu.number}", f"{(gpu.total_nbytes - gpu.free_nbytes) / 1e9:.1f} of {gpu.total_nbytes / 1e9:.0f} GB")
        for gpu in gpus()
    ]
    facts.append(("dead time", f"{100 * shown.deadtime:.2f} %"))
    told = "".join(f"<span><small>{name}</small><b>{value}</b></span>" for name, value in facts)
    why = f"<span>{escape(seen.reason)}</span>" if seen.reason else ""
    return f'<div class="top">{badge}{told}{why}</div>'


def _progress(seen: Seen) -> str:
    shown = seen.snapshot
    if shown is None:
        return ""
    parts = []
    if seen.events_limit:
        parts.append((shown.events / seen.events_limit, f"of {grouped(seen.events_limit)} events"))
    if seen.seconds_limit:
        parts.append((shown.seconds / seen.seconds_limit, f"of {seen.seconds_limit:g} s"))
    if not parts:
        return ""
    done, words = max(parts)
    done = min(max(done, 0.0), 1.0)
    return (
        '<div style="margin:0 0 10px" role="progressbar" aria-label="progress of the run" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{100 * done:.0f}"><span class="bar" style="width:260px"><i style="width:'
        f'{100 * done:.1f}%;background:{COLOURS[2]}"></i></span>{100 * done:.0f} % {words}</div>'
    )


def _table(heads: str, rows: list[str]) -> str:
    cells = "".join(
        f'<th class="r">{head[1:]}</th>' if head[0] == ">" else f"<th>{head}</th>" for head in heads.split("|")
    )
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _rings(rings: tuple[RingSnapshot, ...]) -> str:
    return _table("ring|fill|>events|>rate|behind the newest", [_ring(ring) for ring in rings])


def _ring(ring: RingSnapshot) -> str:
    colour, words = fill_colour(ring.fill)
    bar = f'<span class="bar"><i style="width:{100 * min(ring.fill, 1):.0f}%;background:{colour}"></i></span>'
    lags = ", ".join(f"{escape(name)} {grouped(lag)}" for name, lag in ring.lags.items())
    fill = f"{bar}{100 * ring.fill:.0f} % {words}"
    cells = f'<td class="r">{grouped(ring.written)}</td><td class="r">{rate_text(ring.rate_hz)}</td><td>{lags}</td>'
    return f"<tr><td>{escape(ring.name)}</td><td>{fill}</td>{cells}</tr>"


def _workers(nodes: tuple[NodeSnapshot, ...], balance: tuple[str, ...]) -> str:
    lines = dict(line.split(": ", 1) for line in balance if ": " in line)
    rows = []
    for node in nodes:
        states = ", ".join(dict.fromkeys(node.states)) or "none"
        many = f" \u00d7 {len(node.states)}" if len(node.states) > 1 else ""
        bad = ' class="bad"' if {"failed", "killed", "stuck"} & set(node.states) else ""
        wrong = ' class="r bad"' if node.nerror else ' class="r"'
        rows.append(
            f"<tr><td>{escape(node.name)}</td><td>{escape(node.role)}</td><td{bad}>{states}{many}</td>"
            f'<td class="r">{100 * node.cpu:.0f} %</td><td>{escape(lines.get(node.name, ""))}</td>'
            f"<td{wrong}>{grouped(node.nerror)}</td></tr>"
        )
    shown = {node.name for node in nodes}  # of a run that was over before anybody looked, only the ledger is left
    for name, line in lines.items():
        if name not in shown:
            rows.append(f"<tr><td>{escape(name)}</td><td></td><td></td><td></td><td>{escape(line)}</td><td></td></tr>")
    return _table("worker|role|state|>CPU|ledger|>errors", rows)


def log_html(lines: list[str]) -> str:
    """The last lines of the log; nothing in them is taken for HTML."""
    text = escape("\n".join(lines)) or "nothing has happened yet"
    return (
        '<pre style="margin:0;padding:6px 8px;max-height:150px;overflow:auto;font-size:12px;line-height:1.35;'
        "display:flex;flex-direction:column-reverse;background:var(--jp-layout-color2,#F4F5F7);"
        'color:var(--jp-ui-font-color1,#22262B)" role="log" aria-label="log of the run" tabindex="0">'
        f"<span>{text}</span></pre>"
    )
