"""Which sources a module is made of: its own, and those of all modules of the package that it imports."""

import functools
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import numba

__all__ = ["PACKAGE", "module_of", "sources_key", "sources_of"]

PACKAGE = Path(__file__).resolve().parent.parent
_NAME = PACKAGE.name
_FROM = re.compile(rf"^[ \t]*from[ \t]+({_NAME}[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)", re.MULTILINE)
_IMPORT = re.compile(rf"^[ \t]*import[ \t]+({_NAME}[\w.]*)", re.MULTILINE)


def module_of(path: Path) -> str:
    """The name of a module below the package: ``ring.words`` for ``labdaq/ring/words.py``."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


@functools.cache
def sources_key(path: Path) -> str:
    """Hash of the sources that a module is made of, and of numba's version."""
    digest = hashlib.sha256(numba.__version__.encode())
    for source in sources_of(path):
        digest.update(source.relative_to(PACKAGE).as_posix().encode() + b"\0")
        digest.update(_read(source))
    return digest.hexdigest()[:16]


def sources_of(path: Path) -> list[Path]:
    """The files of the package that a module imports, directly or not, and itself.

    Examples
    --------
    >>> clocks = PACKAGE / "native" / "clocks.py"
    >>> clocks in sources_of(clocks), PACKAGE / "ring" / "ring.py" in sources_of(clocks)
    (True, False)
    """
    found: set[Path] = set()
    left = [path]
    while left:
        one = left.pop()
        if one not in found:
            found.add(one)
            left += _imported(one)
    return sorted(found)


@functools.cache
def _imported(path: Path) -> tuple[Path, ...]:
    text = _read(path).decode()
    return tuple(_named(text))


def _named(text: str) -> Iterator[Path]:
    """The files that the import statements of a module mean; with those in functions and for types only."""
    for module, names in _FROM.findall(text):
        whole = False
        for name in re.split(r"[\s,()]+", re.sub(r"#.*|\bas\s+\w+", "", names)):
            part = _file(f"{module}.{name}") if name else None
            if part:
                yield part
            whole |= bool(name) and part is None
        package = _file(module)
        if whole and package:
            yield package
    for module in _IMPORT.findall(text):
        package = _file(module)
        if package:
            yield package


@functools.cache
def _file(module: str) -> Path | None:
    place = PACKAGE.joinpath(*module.split(".")[1:])
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.is_file():
            return path
    return None


@functools.cache
def _read(path: Path) -> bytes:
    return path.read_bytes()
