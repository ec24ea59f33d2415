"""Nodes in processes of their own."""

from collections.abc import Callable
from functools import partial
from typing import Any

import cloudpickle

from labdaq.errors import LabdaqError, LayoutError
from labdaq.stream.child import Child
from labdaq.stream.controls import NodeControl
from labdaq.stream.node import Node

__all__ = ["spawn"]

_START_S = 60.0


def spawn(worker: Callable[..., Node], *arguments: Any, timeout: float = 10.0, **settings: Any) -> NodeControl:
    """Run a node in another process of this machine, and control it from here.

    The class goes to the process once, when it is born, through a pipe that nobody else has; one of a notebook cell
    goes there as it is. From then on only verbs go there, and answers come back: nothing can be imported or called
    there by name, and the process listens nowhere. It ends when this process ends, within two seconds.

    Parameters
    ----------
    worker
        A class of nodes, or a function that returns a node.
    *arguments, **settings
        What it is called with.
    timeout
        Seconds that answers are waited for; its birth may take a minute.

    Returns
    -------
    NodeControl
        A context manager, which ends the process.

    Raises
    ------
    LayoutError
        It is no node, or cannot go to another process.
    StateError
        Making it raised.
    ClosedError
        The process died meanwhile.

    Examples
    --------
    >>> import numpy as np
    >>> from labdaq.stream import InputStream
    >>> class Ones(Node):
    ...     _output_specs = {"signals": {"dtype": "f4"}}
    ...     def _start(self):
    ...         self.output.send(np.ones(3, "f4"))
    >>> with spawn(Ones) as node, InputStream() as inp:
    ...     node.configure()
    ...     _ = node.output.configure(protocol="ipc")
    ...     node.initialize()
    ...     _ = inp.connect(node.output.address)
    ...     node.start()
    ...     inp.recv(timeout=10)
    (3, array([1., 1., 1.], dtype=float32))
    """
    name = getattr(worker, "__name__", type(worker).__name__)
    who = f"node {name!r}"
    if not callable(worker):
        raise LayoutError(f"{worker!r:.60} is no worker: give a class of nodes, or a function that returns one")
    if not timeout > 0:
        raise LayoutError(f"timeout={timeout!r}: a number of seconds above 0")
    try:
        program = cloudpickle.dumps(partial(worker, *arguments, **settings))
    except LabdaqError:
        raise
    except Exception as error:  # whatever the object raises
        raise LayoutError(f"{who} cannot go to another process: {error}") from error
    child = Child(program, who)
    try:
        return NodeControl(child, child.first(max(timeout, _START_S)), timeout)
    except BaseException:
        child.close(0.0)
        raise
