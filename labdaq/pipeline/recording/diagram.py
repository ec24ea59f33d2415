"""The data flow of a pipeline as a picture: rings as boxes, workers as rounded ones, from left to right."""

from collections.abc import Sequence
from html import escape
from typing import Any

from labdaq.pipeline.nodes import Node, upstream_order

__all__ = ["data_flow_svg"]

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 150, 44, 60, 24, 16
_COLOURS = {"source": "#2a7f62", "filter": "#3465a4", "sink": "#8f5902", "task": "#75507b", "ring": "#555753"}


def data_flow_svg(nodes: Sequence[Node]) -> str:
    """A picture of the pipeline, as SVG.

    Examples
    --------
    >>> data_flow_svg([Node("sink", "look", print)]).count("<rect")
    1
    """
    columns = _columns(nodes)
    places = {
        key: (_MARGIN + x * (_WIDTH + _GAP_X), _MARGIN + y * (_HEIGHT + _GAP_Y))
        for x, column in enumerate(columns)
        for y, key in enumerate(column)
    }
    width = 2 * _MARGIN + len(columns) * (_WIDTH + _GAP_X) - _GAP_X
    height = 2 * _MARGIN + max(map(len, columns)) * (_HEIGHT + _GAP_Y) - _GAP_Y
    boxes = [_node(node, places[node.name, "node"]) for node in nodes]
    rings = {ring.name: ring for node in nodes for ring in (*node.reads, *node.writes, *node.observes)}
    boxes += [_ring(ring, places[name, "ring"]) for name, ring in rings.items()]
    arrows = [
        _arrow(places[a], places[b], dashed=dashed)
        for node in nodes
        for a, b, dashed in (
            *(((ring.name, "ring"), (node.name, "node"), False) for ring in node.reads),
            *(((node.name, "node"), (ring.name, "ring"), False) for ring in node.writes),
            *(((ring.name, "ring"), (node.name, "node"), True) for ring in node.observes),
        )
    ]
    head = (
        '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="3" orient="auto">'
        '<path d="M0,0 L7,3 L0,6 z" fill="#555753"/></marker></defs>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="12" role="img" aria-label="data flow">{head}'
        + "".join([*arrows, *boxes])
        + "</svg>"
    )


def _columns(nodes: Sequence[Node]) -> list[list[tuple[str, str]]]:
    """What stands in each column: every box to the right of all that feed it."""
    depth: dict[tuple[str, str], int] = {}
    for node in upstream_order(nodes) * len(nodes):  # who only observes a ring may stand before who fills it
        seen = (*node.reads, *node.observes)
        depth[node.name, "node"] = max((depth.get((ring.name, "ring"), 0) + 1 for ring in seen), default=0)
        for ring in seen:
            depth.setdefault((ring.name, "ring"), 0)
        for ring in node.writes:
            key = (ring.name, "ring")
            depth[key] = max(depth.get(key, 0), depth[node.name, "node"] + 1)
    columns: list[list[tuple[str, str]]] = [[] for _ in range(max(depth.values(), default=0) + 1)]
    for key, x in depth.items():
        columns[x].append(key)
    return [column for column in columns if column]


def _box(place: tuple[int, int], colour: str, radius: int, lines: tuple[str, str]) -> str:
    x, y = place
    texts = "".join(
        f'<text x="{x + _WIDTH // 2}" y="{y + 18 + 15 * n}" text-anchor="middle" fill="#fff">{escape(line[:24])}</text>'
        for n, line in enumerate(lines)
    )
    return f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="{radius}" fill="{colour}"/>{texts}'


def _node(node: Node, place: tuple[int, int]) -> str:
    count = f"{node.workers} x " if node.workers > 1 else ""
    return _box(place, _COLOURS[node.role], 14, (node.name, f"{count}{node.role}, {node.run_in}"))


def _ring(ring: Any, place: tuple[int, int]) -> str:
    shape = "x".join(map(str, ring.shape)) or "1"
    return _box(place, _COLOURS["ring"], 2, (ring.name, f"ring of {ring.capacity}, {shape}"))


def _arrow(a: tuple[int, int], b: tuple[int, int], *, dashed: bool) -> str:
    x1, y1, x2, y2 = a[0] + _WIDTH, a[1] + _HEIGHT // 2, b[0] - 2, b[1] + _HEIGHT // 2
    bend = max((x2 - x1) // 2, 20)
    style = ' stroke-dasharray="4 3"' if dashed else ""
    return (
        f'<path d="M{x1},{y1} C{x1 + bend},{y1} {x2 - bend},{y2} {x2},{y2}" fill="none" stroke="#555753"'
        f'{style} marker-end="url(#tip)"/>'
    )
