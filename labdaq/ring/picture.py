"""A small picture of a ring for notebooks: fill, groups, lags; inline SVG, no scripts."""

from html import escape

from labdaq.ring.statistics import RingStatistics

__all__ = ["html"]

# a pair that stays apart for every kind of colour vision
_CALM, _FULL = "#0072b2", "#d55e00"
_WIDTH, _ROW, _LABEL = 420, 20, 150


def _bar(y: int, label: str, share: float, text: str) -> str:
    colour = _FULL if share > 0.9 else _CALM
    width = _WIDTH - _LABEL - 90
    return (
        f'<text x="0" y="{y + 13}">{escape(label)}</text>'
        f'<rect x="{_LABEL}" y="{y + 3}" width="{width}" height="12" fill="none" stroke="currentColor" opacity="0.5"/>'
        f'<rect x="{_LABEL}" y="{y + 3}" width="{width * min(max(share, 0), 1):.1f}" height="12" fill="{colour}"/>'
        f'<text x="{_LABEL + width + 6}" y="{y + 13}">{escape(text)}</text>'
    )


def html(statistics: RingStatistics) -> str:
    """The statistics of a ring as a figure with a line of text; at most twelve groups are drawn."""
    rows = [("fill", statistics.fill, f"{100 * statistics.fill:.0f} %")]
    capacity = max(statistics.capacity, 1)
    for group in statistics.groups[:12]:
        name = f"{group.name or '(unnamed)'}, {group.members} reading"
        rows.append((name, group.lag / capacity, f"{group.lag} behind"))
    bars = "".join(_bar(i * _ROW, *row) for i, row in enumerate(rows))
    title = (
        f"<b>{escape(statistics.name)}</b> &mdash; {statistics.capacity} frames of {statistics.frame_nbytes} B in "
        f"{escape(statistics.space)} memory, {statistics.state}: {statistics.frames_written} written, "
        f"{len(statistics.writers)} writing, {len(statistics.observers)} observing"
    )
    height = len(rows) * _ROW + 4
    return (
        f'<div style="font-family:sans-serif;font-size:12px"><div>{title}</div>'
        f'<svg width="{_WIDTH}" height="{height}" font-size="11" fill="currentColor" role="img" '
        f'aria-label="fill of the ring and lag of its groups">{bars}</svg></div>'
    )
