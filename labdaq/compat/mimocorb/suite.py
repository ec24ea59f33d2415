"""Suites of v1: buffers, the functions between them and their settings, from YAML, as a plain description.

Nothing is made or run here. :mod:`suite2` reads the suites of mimoCoRB2 into the same description.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from labdaq.compat.mimocorb.layering import Section, nearest, read_yaml
from labdaq.errors import LayoutError

__all__ = ["ROLES", "Buffer", "Function", "Suite", "checked", "describe", "read_suite"]

ROLES = ("read", "write", "observe")


@dataclass(frozen=True)
class Buffer:
    """A buffer of a suite."""

    name: str
    slots: int
    """Events that it holds."""
    values: int
    """Values that make an event."""
    data_type: str | tuple[tuple[str, str], ...]
    """Of a value: the name of a dtype, or fields with theirs."""

    def dtype(self) -> Any:
        """The dtype as `NewBuffer` takes it: of NumPy, or a list of ``(field, dtype)``."""
        if isinstance(self.data_type, str):
            return np.dtype(self.data_type)
        return [(name, np.dtype(kind)) for name, kind in self.data_type]

    def __str__(self) -> str:
        return f"{self.name}: {self.slots} slots of {self.values} values"


@dataclass(frozen=True)
class Function:
    """A function of a suite, run in one or more processes."""

    name: str
    """In the suite: ``Fkt_1``."""
    function: str
    """In its module."""
    file: Path | None
    """Of the module; None for one that the program brings along."""
    processes: int
    """How many run it; 0 leaves it out."""
    assign: tuple[tuple[str, str], ...]
    """Buffers and what they are to it: read, write or observe."""
    config: Mapping[str, Any] = field(default_factory=dict)

    def buffers(self, role: str) -> tuple[str, ...]:
        """Names of its buffers in a role."""
        return tuple(name for name, given in self.assign if given == role)

    def __str__(self) -> str:
        uses = ", ".join(f"{name} {role}" for name, role in self.assign)
        return f"{self.name}: {self.function} ({self.processes}) {uses}"


@dataclass(frozen=True)
class Suite:
    """A whole suite."""

    path: Path
    """The file."""
    buffers: tuple[Buffer, ...]
    functions: tuple[Function, ...]
    runtime: float = 0.0
    """Seconds after which a run ends; 0 for no limit."""
    runevents: int = 0
    """Events in the first buffer after which a run ends; 0 for no limit."""
    output_directory: Path = Path("target")
    kbd_control: bool = True
    gui_control: bool = True
    config_files: tuple[Path, ...] = ()
    """Those that were read, to be kept with the data."""
    shares_events: bool = False
    """Whether the functions that read a buffer share its events (mimoCoRB2), or each sees all of them (v1)."""

    @property
    def package(self) -> str:
        """The package that its modules import: ``mimocorb`` or ``mimocorb2``."""
        return "mimocorb2" if self.shares_events else "mimocorb"

    @property
    def name(self) -> str:
        """Of its runs: that of its file, up to ``setup``."""
        stem, found, _ = self.path.stem.partition("setup")
        return (stem.rstrip("_- ") if found else stem) or self.path.stem

    def label(self, function: Function) -> str:
        """What a function is called in messages: in v1 by its name in its module, and its number if there are two."""
        if self.shares_events:
            return function.name
        is_only = sum(one.function == function.function for one in self.functions) == 1
        return function.function if is_only else f"{function.function} ({function.name})"

    @property
    def folder(self) -> Path:
        """Where the suite stands: all paths in it start here."""
        return self.path.parent

    def roots(self) -> tuple[str, ...]:
        """Names of the buffers that sources write: functions that read nothing."""
        sources = [one for one in self.functions if not one.buffers("read")]
        return tuple(dict.fromkeys(name for one in sources for name in one.buffers("write")))


def read_suite(path: str | Path) -> Suite:
    """Read a suite of v1, or of mimoCoRB2, with all configuration files it names.

    Raises
    ------
    NotFoundError
        When a file is not there.
    DataError
        When a file is no YAML.
    LayoutError
        When something in it is not possible; the message names file, key and value.
    """
    file = Path(path).absolute()
    content = read_yaml(file)
    if "Buffers" in content or "Workers" in content:
        from labdaq.compat.mimocorb.suite2 import describe2

        return describe2(content, file)
    return describe(content, file)


def describe(content: Mapping[str, Any], file: Path) -> Suite:
    """The suite of v1 in the content of a file; other errors than of :func:`read_yaml` are LayoutErrors."""
    top = Section(file.name, "", content)
    top.check_keys(["RingBuffer", "Functions", "FunctionConfigs", "output_directory", "KBD_control", "GUI_control"])
    buffers = tuple(_buffer(section) for section in _numbered(top, "RingBuffer", "RB_"))
    entries = _entries(top, "Functions")
    main = entries.pop(0) if entries and entries[0].where.endswith("Fkt_main") else Section(file.name, "Fkt_main", {})
    _check_names(entries, "Fkt_")
    limits, common, files = _main(main, file)
    suite = Suite(
        path=file,
        buffers=buffers,
        functions=(),
        output_directory=file.parent / top.take("output_directory", str, "target"),
        kbd_control=top.take("KBD_control", bool, True),
        gui_control=top.take("GUI_control", bool, True),
        **limits,
    )
    own = top.part("FunctionConfigs", {})
    functions = []
    for section in entries:
        function, more = _function(section, suite, (own, common))
        functions.append(function)
        files += more
    return replace(suite, functions=tuple(functions), config_files=tuple(dict.fromkeys(files)))


def _entries(top: Section, key: str) -> list[Section]:
    """A list of mappings with one key each, as v1 has them."""
    found = []
    for number, item in enumerate(top.take(key, list)):
        if not isinstance(item, dict) or len(item) != 1:
            raise LayoutError(f"{top.file}: {key}[{number}] = {item!r}: one name with its settings is wanted")
        name, values = next(iter(item.items()))
        found.append(Section(top.file, f"{key}.{name}", values))
    return found


def _numbered(top: Section, key: str, prefix: str) -> list[Section]:
    found = _entries(top, key)
    _check_names(found, prefix)
    return found


def _check_names(sections: list[Section], prefix: str) -> None:
    for number, section in enumerate(sections, 1):
        wanted = f"{prefix}{number}"
        if _name(section) != wanted:
            raise LayoutError(
                f"{section.file}: {section.where}: names go {prefix}1, {prefix}2, …; here {wanted!r} comes"
            )


def _name(section: Section) -> str:
    return section.where.rpartition(".")[2]


def _buffer(section: Section) -> Buffer:
    section.check_keys(["number_of_slots", "channel_per_slot", "data_type"])
    given = section.values.get("data_type")
    data_type: str | tuple[tuple[str, str], ...]
    if isinstance(given, dict):
        fields = list(given.values())
        if not all(isinstance(one, list | tuple) and len(one) == 2 for one in fields):
            raise section.error("data_type", "for each number a list of a name and a dtype is wanted")
        data_type = tuple((str(name), str(kind)) for name, kind in fields)
    else:
        data_type = section.take("data_type", str)
    buffer = Buffer(_name(section), section.count("number_of_slots"), section.count("channel_per_slot", 1), data_type)
    return checked(buffer, section, "data_type")


def checked(buffer: Buffer, section: Section, key: str) -> Buffer:
    """A buffer whose values are possible; a LayoutError names the key otherwise."""
    try:
        np.dtype(buffer.dtype())
    except (TypeError, ValueError, SyntaxError) as error:
        raise section.error(key, f"no dtype of NumPy: {error}") from error
    return buffer


def _main(main: Section, file: Path) -> tuple[dict[str, Any], Section, list[Path]]:
    """The limits of a run, the common configuration, and its file."""
    main.check_keys(["config_file", "runtime", "runevents"])
    name = main.take("config_file", str, None)
    files = [file.parent / name] if name else []
    common = Section(name, "", read_yaml(files[0]) if files else {})
    general = common.part("general", {})
    limits = {}
    for key, kind in (("runtime", float), ("runevents", int)):
        limits[key] = main.take(key, kind, 0)
        limits[key] = general.take(key, kind, limits[key])
        if limits[key] < 0:
            raise (general if key in general.values else main).error(key, "at least 0 is wanted; 0 is no limit")
    return limits, common, files


def _function(section: Section, suite: Suite, layers: tuple[Section, Section]) -> tuple[Function, list[Path]]:
    """A function with its settings: its own file, else the common one, else the suite's."""
    section.check_keys(["file_name", "fkt_name", "num_process", "config_file", "RB_assign"])
    name = section.take("fkt_name", str)
    file_name = section.take("file_name", str).removesuffix(".py")
    files: list[Path] = []
    config: Mapping[str, Any] = {}
    for layer in layers:
        if name in layer.values:
            config = layer.part(name, {}).values
    own = section.take("config_file", str, None)
    if own is not None:
        files = [suite.folder / own]
        config = read_yaml(files[0])
    function = Function(
        name=_name(section),
        function=name,
        file=suite.folder / f"{file_name}.py",
        processes=section.count("num_process", 1, least=0),
        assign=_assigned(section.part("RB_assign", {}), [buffer.name for buffer in suite.buffers]),
        config=dict(config),
    )
    return function, files


def _assigned(section: Section, buffers: list[str]) -> tuple[tuple[str, str], ...]:
    for name, role in section.values.items():
        if name not in buffers:
            raise section.error(name, f"there is no such buffer{nearest(name, buffers)}")
        if role not in ROLES:
            raise section.error(name, f"a buffer is one to read, write or observe{nearest(role, ROLES)}")
    return tuple(section.values.items())
