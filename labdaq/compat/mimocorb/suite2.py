"""Suites of mimoCoRB2, read into the description of :mod:`suite`.

Its buffers and workers have names of their own, settings come in layers that are merged, and workers that read
the same buffer share its events. What it brings along is a function without a file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labdaq.compat.mimocorb.layering import Section, nearest, read_yaml
from labdaq.compat.mimocorb.suite import Buffer, Function, Suite, checked
from labdaq.errors import LayoutError

__all__ = ["BUILT_IN", "describe2"]

BUILT_IN = (
    "analyzers.pha",
    "data.clocked_importer",
    "data.export",
    "data.simulate_importer",
    "exporters.csv",
    "exporters.drain",
    "exporters.histogram",
    "importers.redpitaya.waveform",
    "misc.copy",
    "observers.oscilloscope",
    "visualizers.csv",
    "visualizers.histogram",
)
"""Functions that mimoCoRB2 brings along; they are in :mod:`labdaq.compat.mimocorb2.functions`."""

_ELSEWHERE = {
    "importers.picoscope.picoscope": "labdaq.devices.PicoScope has these waveforms: use it in an Importer of yours",
}
"""Functions that mimoCoRB2 brings along, and what there is instead."""

_ROLES = {"sources": "read", "sinks": "write", "observes": "observe"}


def describe2(content: Mapping[str, Any], file: Path) -> Suite:
    """The suite of mimoCoRB2 in the content of a file.

    Raises
    ------
    LayoutError
        When something in it is not possible; the message names file, key and value.
    """
    top = Section(file.name, "", content)
    buffers = tuple(_buffer(name, section) for name, section in _named(top, "Buffers"))
    files: list[Path] = []
    base = _merged(top, "base_config", file.parent, files)
    functions = tuple(
        _worker(name, section, file.parent, base, [one.name for one in buffers], files)
        for name, section in _named(top, "Workers")
    )
    return Suite(
        path=file,
        buffers=buffers,
        functions=functions,
        output_directory=file.parent / top.take("target_directory", str, "target"),
        config_files=tuple(dict.fromkeys(files)),
        shares_events=True,
    )


def _named(top: Section, key: str) -> list[tuple[str, Section]]:
    part = top.part(key)
    return [(str(name), part.part(name)) for name in part.values]


def _buffer(name: str, section: Section) -> Buffer:
    section.check_keys(["slot_count", "data_length", "data_dtype", "overwrite"])
    given = section.values.get("data_dtype")
    data_type = (
        tuple((str(key), str(kind)) for key, kind in given.items())
        if isinstance(given, dict)
        else section.take("data_dtype", str)
    )
    buffer = Buffer(name, section.count("slot_count"), section.count("data_length", 1), data_type)
    return checked(buffer, section, "data_dtype")


def _worker(  # noqa: PLR0917
    name: str, section: Section, folder: Path, base: Mapping[str, Any], buffers: list[str], files: list[Path]
) -> Function:
    section.check_keys(["file", "function", "config", "number_of_processes", *_ROLES])
    file, function = section.take("file", str, None), section.take("function", str)
    if file is None and function in _ELSEWHERE:
        raise section.error("function", _ELSEWHERE[function])
    if file is None and function not in BUILT_IN:
        raise section.error("function", f"without a file this is one of mimoCoRB2{nearest(function, BUILT_IN)}")
    assign = []
    for key, role in _ROLES.items():
        for buffer in section.take(key, list, []):
            if buffer not in buffers:
                raise section.error(key, f"there is no buffer {buffer!r}{nearest(buffer, buffers)}")
            assign.append((str(buffer), role))
    return Function(
        name=name,
        function=function,
        file=None if file is None else folder / (file if file.endswith(".py") else f"{file}.py"),
        processes=section.count("number_of_processes", 1, least=0),
        assign=tuple(assign),
        config={**base, **_merged(section, "config", folder, files)},
    )


def _merged(section: Section, key: str, folder: Path, files: list[Path]) -> dict[str, Any]:
    """Settings that are given as such, as the name of a file, or as a list of both; what comes later wins."""
    given = section.values.get(key)
    merged: dict[str, Any] = {}
    for one in given if isinstance(given, list) else [given]:
        if isinstance(one, str):
            files.append(folder / one)
            merged |= read_yaml(folder / one)
        elif isinstance(one, dict):
            merged |= one
        elif one is not None:
            raise LayoutError(
                f"{section.file}: {section.where}.{key} = {one!r}: settings or the name of a file are wanted"
            )
    return merged
