"""What `spawn` hands back: a small control of a node in another process, and of its streams."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from labdaq.errors import ClosedError, DataError, LabdaqError, LayoutError, NotFoundError, WaitTimeoutError
from labdaq.stream.child import Child
from labdaq.stream.statistics import InputStatistics, OutputStatistics, ReaderStatistics
from labdaq.stream.verbs import Verb, to_json

__all__ = ["InputControl", "NodeControl", "NodeStatistics", "OutputControl"]

_GRACE_S = 5.0


@dataclass(frozen=True)
class NodeStatistics:
    """What a node in another process has done."""

    pid: int
    state: str
    """``made``, ``configured``, ``initialized``, ``running`` or ``closed``."""
    cpu_s: float
    """Seconds of a processor that its process used."""
    inputs: Mapping[str, InputStatistics | None]
    """By name; None for those that are not connected."""
    outputs: Mapping[str, OutputStatistics | None]
    """By name; None for those that were not configured."""


class NodeControl:
    """Controls a node in a process of its own; a context manager that ends it.

    Each method asks the process for one of a fixed set of verbs, waits for its answer, and raises what went wrong
    there: errors of labdaq as they are, others as StateError with their text. Any thread may use it.

    Attributes
    ----------
    name : str
        Of the node.
    timeout : float
        Seconds that an answer is waited for.
    inputs, outputs : dict
        Stand for the node's streams, by name.

    Raises
    ------
    ClosedError
        From all methods: the process has died, or was closed.
    WaitTimeoutError
        From all methods: it does not answer.
    """

    def __init__(self, child: Child, told: dict[str, Any], timeout: float) -> None:
        self._child = child
        self.timeout = timeout
        self.name = str(told.get("name", ""))
        self.inputs: dict[str, InputControl] = {}
        self.outputs: dict[str, OutputControl] = {}
        self._final: NodeStatistics | None = None
        self._note(told)

    def _note(self, told: dict[str, Any]) -> None:
        """Keep what every answer says of the node."""
        inputs, outputs = told.get("inputs", {}), told.get("outputs", {})
        if not isinstance(inputs, dict) or not isinstance(outputs, dict):
            raise DataError(f"node {self.name!r} tells nothing of its streams")
        self.state = str(told.get("state", ""))
        self.inputs = {name: self.inputs.get(name) or InputControl(self, name) for name in inputs}
        self.outputs = {name: self.outputs.get(name) or OutputControl(self, name) for name in outputs}
        for name, address in outputs.items():
            self.outputs[name]._address = str(address)

    def _ask(self, verb: Verb, stream: str = "", settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
        content = {"verb": verb, "stream": stream, "settings": to_json(dict(settings or {}))}
        told = self._child.ask(content, self.timeout)
        if "state" in told:
            self._note(told)
        self._child.check(told)
        return told

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._child.pid

    @property
    def is_alive(self) -> bool:
        """Whether its process runs."""
        return self._child.is_alive

    @property
    def input(self) -> "InputControl":
        """The one input. Raises NotFoundError when there are none, or several."""
        self._check_only(self.inputs, "input")
        return next(iter(self.inputs.values()))

    @property
    def output(self) -> "OutputControl":
        """The one output. Raises NotFoundError when there are none, or several."""
        self._check_only(self.outputs, "output")
        return next(iter(self.outputs.values()))

    def _check_only(self, streams: Mapping[str, Any], kind: str) -> None:
        if len(streams) != 1:
            raise NotFoundError(f"node {self.name!r} has {len(streams)} {kind}s: {', '.join(streams) or 'none'}")

    def configure(self, **settings: Any) -> None:
        """Say what it shall do: numbers, texts, lists, objects and dtypes."""
        self._ask(Verb.CONFIGURE, settings=settings)

    def initialize(self) -> None:
        """Make everything ready. Raises StateError before `configure`, and when a stream is not open."""
        self._ask(Verb.INITIALIZE)

    def start(self) -> None:
        """Begin. Raises StateError before `initialize`, and while it runs."""
        self._ask(Verb.START)

    def stop(self) -> None:
        """Pause; it can be started again. What went wrong in its thread is raised here."""
        self._ask(Verb.STOP)

    def statistics(self) -> NodeStatistics:
        """What it has done; after `close`, in the end."""
        if self._final is not None and not self._child.is_alive:
            return self._final
        return self._statistics(self._ask(Verb.STATISTICS))

    def _statistics(self, told: dict[str, Any]) -> NodeStatistics:
        try:
            numbers = told["statistics"]
            return NodeStatistics(
                self.pid,
                self.state,
                float(numbers["cpu_s"]),
                {name: _input_statistics(one) for name, one in numbers["inputs"].items()},
                {name: _output_statistics(one) for name, one in numbers["outputs"].items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"node {self.name!r} answers with no statistics: {error!r}") from error

    def close(self) -> None:
        """Stop and close the node and end its process; one that does not end in five seconds is killed.

        What went wrong while it stopped is raised when the process is gone. Twice is allowed.
        """
        if not self._child.is_open:
            return
        problem: LabdaqError | None = None
        try:
            told = self._child.ask({"verb": Verb.CLOSE}, min(self.timeout, _GRACE_S))
            if "statistics" in told:
                self._note(told)
                self._final = self._statistics(told)
            self._child.check(told)
        except (ClosedError, WaitTimeoutError):
            pass  # it has died, or will
        except LabdaqError as error:
            problem = error
        finally:
            self._child.close(_GRACE_S)
            self.state = "closed"
        if problem is not None:
            raise problem

    def __enter__(self) -> "NodeControl":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<node {self.name!r} in process {self.pid}, {self.state if self.is_alive else 'ended'}>"


class InputControl:
    """Stands for an input of a node in another process."""

    def __init__(self, node: NodeControl, name: str) -> None:
        self._node, self.name = node, name

    def connect(self, sender: Any, **connection: Any) -> "InputControl":
        """Connect it to a stream.

        Parameters
        ----------
        sender
            A stream, here or in another process, its address, or its name on this machine.
        **connection
            See `InputStream.connect`.
        """
        address = sender if isinstance(sender, str) else sender.address
        if address.startswith("inproc://"):
            raise LayoutError(
                f"{address} is a stream of this process, and node {self._node.name!r} is in another: use 'ipc' or 'tcp'"
            )
        self._node._ask(Verb.CONNECT, self.name, {"sender": address, **connection})
        return self


class OutputControl:
    """Stands for an output of a node in another process; `InputStream.connect` takes its `address`."""

    _address = ""

    def __init__(self, node: NodeControl, name: str) -> None:
        self._node, self.name = node, name

    def configure(self, **parameters: Any) -> "OutputControl":
        """Say what will be sent, and open it; see `OutputStream.configure`."""
        self._node._ask(Verb.OPEN, self.name, parameters)
        return self

    @property
    def address(self) -> str:
        """Where readers connect to. Raises ClosedError before `configure`."""
        if not self._address:
            raise ClosedError(f"output {self.name!r} of node {self._node.name!r} is not open: configure() it first")
        return self._address


def _input_statistics(numbers: Any) -> InputStatistics | None:
    return None if numbers is None else InputStatistics(**numbers)


def _output_statistics(numbers: Any) -> OutputStatistics | None:
    if numbers is None:
        return None
    readers = tuple(ReaderStatistics(**one) for one in numbers["readers"])
    return OutputStatistics(**{**numbers, "readers": readers})
