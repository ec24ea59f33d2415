"""Nodes: pieces of a graph with declared inputs and outputs, and one life cycle for all of them."""

import threading
from collections.abc import Collection
from typing import Any, ClassVar

from numpy.typing import NDArray

from labdaq.errors import EndOfDataError, NotFoundError, StateError, WaitTimeoutError
from labdaq.stream.input import InputStream
from labdaq.stream.output import OutputStream

__all__ = ["Node", "ThreadNode"]

_SLICE_S = 0.1
Specs = dict[str, dict[str, Any]]


class Node:
    """Something with streams that is configured, initialized, started, stopped and closed; a context manager.

    The order is `configure` → connect inputs, configure outputs → `initialize` → `start` ⇄ `stop` → `close`.
    Sub-classes declare their streams and fill in `_configure`, `_initialize`, `_start`, `_stop` and `_close`.

    Attributes
    ----------
    _input_specs, _output_specs : dict of dict
        Streams by name, each with the parameters that it must have (input) or has (output).
    _may_be_closed : collection of str
        Outputs that need not be configured.
    inputs, outputs : dict
        The streams by name.

    Examples
    --------
    >>> import numpy as np
    >>> class Ones(Node):
    ...     _output_specs = {"signals": {"dtype": "f4"}}
    ...     def _start(self):
    ...         self.output.send(np.ones(3, "f4"))
    >>> with Ones() as node, InputStream() as inp:
    ...     node.configure()
    ...     _ = node.output.configure(protocol="inproc")
    ...     node.initialize()
    ...     _ = inp.connect(node.output)
    ...     node.start()
    ...     inp.recv(timeout=5)[1].tolist()
    [1.0, 1.0, 1.0]
    """

    _input_specs: ClassVar[Specs] = {}
    _output_specs: ClassVar[Specs] = {}
    _may_be_closed: ClassVar[Collection[str]] = ()

    def __init__(self, name: str = "") -> None:
        self.name = name or type(self).__name__
        self.inputs = {key: InputStream(**spec) for key, spec in self._input_specs.items()}
        self.outputs = {key: OutputStream(**spec) for key, spec in self._output_specs.items()}
        self._is_configured = self._is_initialized = self._is_running = self._is_closed = False

    @property
    def input(self) -> InputStream:
        """The one input. Raises NotFoundError when there are none, or several."""
        self._check_only(self.inputs, "input")
        return next(iter(self.inputs.values()))

    @property
    def output(self) -> OutputStream:
        """The one output. Raises NotFoundError when there are none, or several."""
        self._check_only(self.outputs, "output")
        return next(iter(self.outputs.values()))

    def _check_only(self, streams: Collection[str], kind: str) -> None:
        if len(streams) != 1:
            raise NotFoundError(f"node {self.name!r} has {len(streams)} {kind}s: {', '.join(streams) or 'none'}")

    # ---------------------------------------------------------------------------------- life cycle

    @property
    def configured(self) -> bool:
        """Whether `configure` was called."""
        return self._is_configured

    @property
    def initialized(self) -> bool:
        """Whether it can be started."""
        return self._is_initialized

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._is_running

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._is_closed

    def configure(self, **settings: Any) -> None:
        """Say what it shall do. Raises StateError while it runs, and after `close`."""
        self._require("configure", not self._is_running, "stop() it first")
        self._configure(**settings)
        self._is_configured, self._is_initialized = True, False

    def open_outputs(self, **parameters: Any) -> None:
        """Configure all outputs: as they follow from the inputs and the settings, and with these parameters.

        Raises
        ------
        StateError
            Before `configure`, and before the inputs are connected.
        """
        self._require("open_outputs", self._is_configured, "configure() it first")
        for name, inp in self.inputs.items():
            self._require("open_outputs", inp.is_open, f"connect input {name!r} first")
        for name, out in self.outputs.items():
            out.configure(**{**self._output_parameters(name), **parameters})

    def _output_parameters(self, name: str) -> dict[str, Any]:  # noqa: ARG002 - for sub-classes
        """For sub-classes: what an output is, as it follows from the inputs and the settings."""
        return {}

    def initialize(self) -> None:
        """Check the streams and make everything ready.

        Raises
        ------
        StateError
            Not configured yet, running, or an input is not connected or an output not configured.
        """
        self._require("initialize", self._is_configured, "configure() it first")
        self._require("initialize", not self._is_running, "stop() it first")
        for name, inp in self.inputs.items():
            self._require("initialize", inp.is_open, f"connect input {name!r} first")
        for name, out in self.outputs.items():
            is_ready = out.is_open or name in self._may_be_closed
            self._require("initialize", is_ready, f"configure output {name!r} first")
        self._initialize()
        self._is_initialized = True

    def start(self) -> None:
        """Begin. Raises StateError before `initialize`, and while it runs."""
        self._require("start", self._is_initialized, "initialize() it first")
        self._require("start", not self._is_running, "it runs already")
        self._start()
        self._is_running = True

    def stop(self) -> None:
        """Pause; it can be started again. Raises StateError when it does not run."""
        self._require("stop", self._is_running, "it does not run")
        self._is_running = False
        self._stop()

    def close(self) -> None:
        """End, and close the streams. Twice is allowed; raises StateError while it runs."""
        if self._is_closed:
            return
        self._require("close", not self._is_running, "stop() it first")
        self._is_closed = True
        self._is_configured = self._is_initialized = False
        try:
            self._close()
        finally:
            for inp in self.inputs.values():
                inp.close()
            for out in self.outputs.values():
                out.close()

    def _require(self, what: str, condition: bool, remedy: str) -> None:
        if self._is_closed:
            raise StateError(f"{what}(): node {self.name!r} was closed; make another one")
        if not condition:
            raise StateError(f"{what}() of node {self.name!r} is not possible now: {remedy}")

    def _configure(self, **settings: Any) -> None:
        if settings:
            raise StateError(f"node {self.name!r} takes no settings, and {', '.join(settings)} were given")

    def _initialize(self) -> None:
        """For sub-classes."""

    def _start(self) -> None:
        """For sub-classes."""

    def _stop(self) -> None:
        """For sub-classes."""

    def _close(self) -> None:
        """For sub-classes."""

    def __enter__(self) -> "Node":
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._is_running:
            self.stop()
        self.close()


class ThreadNode(Node):
    """A node that handles each chunk of its inputs in threads of its own: fill in `process`.

    A node with several inputs fills in `receive`, which is told the name of the input; one chunk is handled at a
    time. When the sender of an input begins anew, the outputs do so too. What `process` raises ends the threads, and
    is raised again by `stop`.
    """

    def __init__(self, name: str = "") -> None:
        super().__init__(name)
        self._threads: list[threading.Thread] = []
        self._is_over = threading.Event()
        self._turn = threading.Lock()
        self._error: BaseException | None = None

    def process(self, index: int, data: NDArray[Any]) -> None:
        """Handle a chunk; ``index`` is the absolute number of the sample after it."""
        raise NotImplementedError(f"{type(self).__name__} says nothing of what it does with a chunk: give it process()")

    def receive(self, name: str, index: int, data: NDArray[Any]) -> None:  # noqa: ARG002 - for several inputs
        """Handle a chunk of one of several inputs."""
        self.process(index, data)

    def restarted(self, name: str) -> None:  # noqa: ARG002 - for several inputs
        """The sender of an input has begun anew: by default the outputs do so as well."""
        for out in self.outputs.values():
            out.restart()

    def _start(self) -> None:
        self._is_over.clear()
        self._error = None
        self._threads = [
            threading.Thread(target=self._work, args=(key, inp), name=f"labdaq-node {self.name}", daemon=True)
            for key, inp in self.inputs.items()
        ]
        for thread in self._threads:
            thread.start()

    def _work(self, name: str, inp: InputStream) -> None:
        restarts = inp.statistics().restarts
        try:
            while not self._is_over.is_set():
                try:
                    chunk = inp.recv(_SLICE_S)
                except WaitTimeoutError:
                    continue
                except EndOfDataError:
                    if self._is_over.wait(_SLICE_S):
                        return
                    continue
                with self._turn:
                    if restarts != (restarts := inp.statistics().restarts):
                        self.restarted(name)
                    self.receive(name, *chunk)
        except BaseException as error:  # noqa: BLE001 - it is raised where the node is stopped
            self._error = error
            self._is_over.set()

    def _stop(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()
        self._threads = []
        if self._error is not None:
            error, self._error = self._error, None
            raise error
