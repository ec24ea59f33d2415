"""Suites in layers: one file says on which other it is based, and what is different."""

from pathlib import Path

from labdaq.errors import DataError
from labdaq.pipeline.suite.tree import Node, mapping_of, read_tree

__all__ = ["read_layers"]

_MOST = 8


def read_layers(path: Path, above: tuple[Path, ...] = ()) -> Node:
    """The content of a file over that of its ``base``, of the base of that, and so on.

    Mappings are merged key by key; of everything else the upper one is taken. Each value goes on to know its file.

    Parameters
    ----------
    path
        The file. The name of a base starts from the folder of the file that names it.
    above
        The files that led here.

    Raises
    ------
    NotFoundError, DataError
        A file is not there or damaged, or they are based on each other in a circle.
    """
    tree = read_tree(path)
    base = tree.get("base")
    if base is None or base.value is None:
        return tree
    where = f"{path}:{base.line}: base"
    if not isinstance(base.value, str):
        raise DataError(f"{where}: the name of a file is expected; it is {base.plain()!r:.60}")
    below = path.parent / base.value
    files = (*above, path)
    if below.resolve() in {file.resolve() for file in files} or len(files) >= _MOST:
        chain = " -> ".join(file.name for file in (*files, below))
        raise DataError(f"{where}: {chain}: at most {_MOST} files are based on each other, and none on itself")
    try:
        return _merged(read_layers(below, files), tree)
    except LookupError as error:
        raise type(error)(f"{where}: {error}") from error


def _merged(below: Node, above: Node) -> Node:
    if not isinstance(below.value, dict) or not isinstance(above.value, dict):
        return above
    entries = {**below.value, **above.value}
    for key in below.value.keys() & above.value.keys():
        entries[key] = _merged(below.value[key], above.value[key])
    return mapping_of(entries, above.file, above.line)
