"""Pages of the reference that are made of the code itself, each time the documentation is built.

They come into ``docs/generated``, which is no part of the repository: so they cannot grow old.
"""

import ast
import errno
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer
from sphinx.application import Sphinx

from labdaq import errors
from labdaq.cli import app as command_line
from labdaq.packet.ledger import Ledger as PacketLedger
from labdaq.pipeline.running.ledger import NodeBalance
from labdaq.pipeline.shared_work.member import MemberStatistics
from labdaq.pipeline.shared_work.rings import SharedReaderStatistics
from labdaq.pipeline.suite import json_schema
from labdaq.ring import GroupStatistics, ParticipantStatistics, RingStatistics
from labdaq.store.statistics import StoreStatistics
from labdaq.stream.controls import NodeStatistics
from labdaq.stream.statistics import InputStatistics, OutputStatistics, ReaderStatistics

FOLDER = Path(__file__).parent / "generated"
NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
COUNTED = {
    "A ring: `ring.statistics()`, `labdaq stat`": (RingStatistics, GroupStatistics, ParticipantStatistics),
    "A run: `result.ledger`": (NodeBalance,),
    "A capture of packets: `capture.ledger()`": (PacketLedger,),
    "A stream: `out.statistics()`, `inp.statistics()`": (OutputStatistics, ReaderStatistics, InputStatistics),
    "A node in another process: `node.statistics()`": (NodeStatistics,),
    "Work shared by machines: `labdaq work`, `labdaq.read_shared`": (MemberStatistics, SharedReaderStatistics),
    "A store: `store.statistics()`": (StoreStatistics,),
}


def cell(text: object) -> str:
    """A text that is one cell of a table: no bars, one line, roles of reStructuredText as code."""
    plain = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", str(text)).replace("``", "`")
    return " ".join(plain.split()).replace("|", "\\|")


def table(*heads: str, rows: list[tuple[object, ...]]) -> list[str]:
    """A table of Markdown; none without rows."""
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    return ["", *lines, *(f"| {' | '.join(map(cell, row))} |" for row in rows), ""] if rows else []


# --------------------------------------------------------------------------------------------- commands


def commands() -> Iterator[str]:
    """Every command of `labdaq`, with its arguments and options."""
    yield "# Commands"
    yield "\n`labdaq --help` says the same in a terminal; all commands end with 0 when all was well.\n"
    yield from _command(typer.main.get_command(command_line), "labdaq")


def _command(command: Any, name: str) -> Iterator[str]:
    if "commands" in vars(command):
        for part in sorted(command.commands):
            yield from _command(command.commands[part], f"{name} {part}")
        return
    takes = [
        f"[{one.name.upper()}]" if not one.required else one.name.upper() for one in command.params if _is_plain(one)
    ]
    yield f"\n## `{name}`\n\n```text\n{' '.join([name, *takes, '[OPTIONS]'])}\n```\n"
    yield inspect.cleandoc(command.help or "")
    rows: list[tuple[object, ...]] = []
    for one in command.params:
        said = one.name.upper() if _is_plain(one) else ", ".join([*one.opts, *one.secondary_opts])
        default = "" if one.default in (None, False, ()) or callable(one.default) else f"`{one.default}`"
        rows.append((f"`{said}`", getattr(one, "help", "") or "", default))
    yield from table("argument or option", "what it is", "default", rows=rows)


def _is_plain(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument")


# ----------------------------------------------------------------------------------------------- suites


def suite() -> Iterator[str]:
    """Every key of a suite, from its JSON schema."""
    schema = json_schema()
    yield "# Suites, key by key"
    yield "\nOf YAML and JSON alike, made of the schema `docs/suite.schema.json`; {doc}`/suites` explains them.\n"
    yield from _part("The file", schema)
    for name, part in schema["$defs"].items():
        if part.get("type") == "object":
            yield from _part(name.removesuffix("Part"), part)


def _part(title: str, part: dict[str, Any]) -> Iterator[str]:
    yield f"\n## {title}\n\n{part.get('description', '')}"
    needed = part.get("required", [])
    rows: list[tuple[object, ...]] = []
    for key, one in part.get("properties", {}).items():
        default = "**needed**" if key in needed else f"`{one['default']!r}`" if "default" in one else ""
        rows.append((f"`{key}`", _kind(one), one.get("description", ""), default))
    yield from table("key", "kind", "what it is", "default", rows=rows)


def _kind(one: dict[str, Any]) -> str:
    if "$ref" in one:
        return str(one["$ref"]).rpartition("/")[2].removesuffix("Part")
    if "enum" in one:
        return ", ".join(f"`{value}`" for value in one["enum"])
    if choices := one.get("anyOf") or one.get("oneOf"):
        return " or ".join(dict.fromkeys(filter(None, map(_kind, choices))))
    if one.get("type") == "array":
        return f"list of {_kind(one.get('items', {})) or 'anything'}"
    if isinstance(inner := one.get("additionalProperties"), dict):
        return f"mapping to {_kind(inner) or 'anything'}"
    return str(one.get("type", ""))


# ------------------------------------------------------------------------------------------- statistics


def statistics() -> Iterator[str]:
    """Every count, what it means, and what to do about it."""
    yield "# Statistics, and what to do about them"
    yield "\nNothing is lost silently: what is skipped, refused or overwritten is counted somewhere here.\n"
    for title, kinds in COUNTED.items():
        yield f"\n## {title}"
        for kind in kinds:
            summary = (inspect.getdoc(kind) or "").partition("\n\n")[0]
            yield f"\n### {kind.__name__}\n\n{cell(summary)}"
            yield from table("count", "what it says, and what to do", rows=[(f"`{n}`", t) for n, t in _fields(kind)])


def _fields(kind: type) -> Iterator[tuple[str, str]]:
    """Fields of a dataclass with the texts below them, or those of its docstring."""
    listed = re.findall(r"^(\w+) : .*\n((?:    .*\n?)+)", inspect.getdoc(kind) or "", re.MULTILINE)
    if listed:
        yield from listed
        return
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    lines = getattr(definition, "body", [])
    for one, below in zip(lines, [*lines[1:], None], strict=True):
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
            is_text = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
            yield one.target.id, str(below.value.value) if is_text else ""


# ----------------------------------------------------------------------------------------------- errors


def error_page() -> Iterator[str]:
    """Every error, what else it is, and what it means; and what to do when the system refuses."""
    yield "# Errors"
    yield "\nEvery error that labdaq raises on purpose is a `LabdaqError`, and also the built-in error that you would"
    yield "catch without knowing labdaq. Its message says which values were wrong and what to do.\n"
    kinds = [getattr(errors, name) for name in errors.__all__]
    rows: list[tuple[object, ...]] = []
    for kind in sorted(kinds, key=lambda one: one.__name__):
        bases = ", ".join(f"`{base.__name__}`" for base in kind.__bases__)
        rows.append((f"`{kind.__name__}`", bases, (inspect.getdoc(kind) or "").partition("\n\n")[0]))
    yield from table("error", "is also", "it means", rows=rows)
    yield "## When the system refuses"
    yield "\nA `ResourceError` keeps the number of the system's error, and adds what can be done:"
    known = {number: text for number, text in errors._REMEDIES.items() if number in errno.errorcode}
    yield from table("number", "remedy", rows=[(f"`{errno.errorcode[n]}`", text) for n, text in known.items()])


PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "commands": commands,
    "suite": suite,
    "statistics": statistics,
    "errors": error_page,
}


def write_pages(_: Sphinx | None = None) -> None:
    """Make all of them, and copy the notebooks of the course, which are shown as they were saved."""
    for name, made in PAGES.items():
        _put(FOLDER / f"{name}.md", "\n".join(made()) + "\n")
    for notebook in NOTEBOOKS.glob("*.ipynb"):
        _put(FOLDER / "course" / notebook.name, notebook.read_text(encoding="utf-8"))


def _put(path: Path, text: str) -> None:
    """Write a page, unless it is the same already: then it is not read again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Let Sphinx make them before it reads pages."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
