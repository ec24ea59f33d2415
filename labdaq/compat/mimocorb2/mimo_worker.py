"""What a worker is given."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labdaq.compat.mimocorb2.mimo_buffer import BufferObserver, BufferReader, BufferWriter
from labdaq.errors import NotFoundError

__all__ = ["BufferIO", "Config"]


class Config(dict[str, Any]):
    """The settings of a worker."""


class _MissingKeyError(NotFoundError, KeyError):
    """There is no such setting."""

    def __str__(self) -> str:
        return str(self.args[0])


class BufferIO:
    """The buffers of a worker, its settings and its folders.

    Parameters
    ----------
    name
        Of the worker.
    sources, sinks, observes
        Its buffers.
    config
        Its settings.
    setup_dir
        The folder of the suite.
    run_dir
        The folder of the run, for files of data.
    number
        Which one of the processes of the worker this is.

    Attributes
    ----------
    read, write, observe : list
        Its buffers, in the order of the suite.
    data_in_examples, data_out_examples, data_observe_examples : list of ndarray
        Events of zeros for them; ``metadata_in_examples`` and so on have metadata.
    buffer_names_in, buffer_names_out, buffer_names_observe : list of str
        Names of them.
    logger : logging.Logger
        Its own.

    Examples
    --------
    >>> io = BufferIO("heights", [], [], [], Config(level=3), Path(), Path("runs"))
    >>> io["level"], io.get("gain", 1), io.output_path("heights", ".csv").as_posix()
    (3, 1, 'runs/heights.csv')
    """

    def __init__(  # noqa: PLR0917 - as in mimoCoRB2
        self,
        name: str,
        sources: Sequence[BufferReader],
        sinks: Sequence[BufferWriter],
        observes: Sequence[BufferObserver],
        config: Config,
        setup_dir: Path,
        run_dir: Path,
        *,
        number: int = 1,
    ) -> None:
        self.name = name
        self.read, self.write, self.observe = list(sources), list(sinks), list(observes)
        self.config = config
        self.setup_dir, self.run_dir, self.number = setup_dir, run_dir, number
        self.logger = logging.getLogger(f"labdaq.compat.mimocorb2.{name}")
        self.data_in_examples = [one.data_example for one in self.read]
        self.data_out_examples = [one.data_example for one in self.write]
        self.data_observe_examples = [one.data_example for one in self.observe]
        self.metadata_in_examples = [one.metadata_example for one in self.read]
        self.metadata_out_examples = [one.metadata_example for one in self.write]
        self.metadata_observe_examples = [one.metadata_example for one in self.observe]
        self.buffer_names_in = [one.name for one in self.read]
        self.buffer_names_out = [one.name for one in self.write]
        self.buffer_names_observe = [one.name for one in self.observe]

    def __getitem__(self, key: str) -> Any:
        """A setting.

        Raises
        ------
        NotFoundError
            When it is not there, which is a KeyError too; the message lists those there are.
        """
        try:
            return self.config[key]
        except KeyError:
            given = ", ".join(map(str, self.config)) or "nothing"
            raise _MissingKeyError(f"worker {self.name!r} needs {key!r} in its config, which has {given}") from None

    def get(self, key: str, default: Any = None) -> Any:
        """A setting, or its default."""
        return self.config.get(key, default)

    def shutdown_sinks(self) -> None:
        """Write no more. A buffer ends when all who write it have said so, or have ended."""
        for writer in self.write:
            writer.shutdown_buffer()

    def output_path(self, name: str, suffix: str = "") -> Path:
        """Where to save in the folder of the run; each process of the worker has a place of its own."""
        return self.run_dir / f"{name}{'' if self.number == 1 else f'_{self.number}'}{suffix}"

    def __str__(self) -> str:
        return (
            f"BufferIO(sources={self.buffer_names_in}, sinks={self.buffer_names_out}, "
            f"observes={self.buffer_names_observe}, config={dict(self.config)})"
        )
