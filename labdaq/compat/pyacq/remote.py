"""What pyacq has to import and call things in other processes, as errors that show what to write instead.

Whoever reached such a server could run any code in its process; labdaq has none. Each of these raises when it is
called, whatever it is given.
"""

from typing import Any, ClassVar, NoReturn

from labdaq.errors import NotFoundError

__all__ = ["ProcessSpawner", "RPCClient", "RPCServer", "create_manager"]


class RPCServer:
    """Was needed before streams could be connected from another process.

    Raises
    ------
    NotFoundError
        Always.

    Examples
    --------
    >>> RPCServer()
    Traceback (most recent call last):
    labdaq.errors.NotFoundError: labdaq has no RPCServer, and streams need none. Leave this line out; in the other
    process write: InputStream().connect('tcp://127.0.0.1:…'), which is out.address of the sender
    """

    def __init__(self, *_arguments: Any, **_settings: Any) -> None:
        raise NotFoundError(
            "labdaq has no RPCServer, and streams need none. Leave this line out; in the other\n"
            "process write: InputStream().connect('tcp://127.0.0.1:…'), which is out.address of the sender"
        )

    @classmethod
    def run_lazy(cls) -> NoReturn:
        """Raise NotFoundError."""
        raise NotFoundError("labdaq has no RPCServer, and streams need none: leave this line out")

    run_forever = run_lazy


class RPCClient:
    """Imported and called things in another process.

    Raises
    ------
    NotFoundError
        Always.
    """

    def __init__(self, *_arguments: Any, **_settings: Any) -> None:
        raise NotFoundError(
            "labdaq calls nothing in other processes by its name. For a node in a process of its own write: "
            "node = labdaq.spawn(MyNode); node.configure(); node.start()"
        )

    @staticmethod
    def _import(module: str, *_arguments: Any) -> NoReturn:
        raise NotFoundError(
            f"labdaq imports nothing into other processes from outside, and not {module!r:.60}. Import it in the "
            "module of your node, and write: node = labdaq.spawn(MyNode); node.input.connect(out)"
        )


class ProcessSpawner:
    """Started a process into which others could import.

    Raises
    ------
    NotFoundError
        Always.

    Examples
    --------
    >>> ProcessSpawner()
    Traceback (most recent call last):
    labdaq.errors.NotFoundError: labdaq has no ProcessSpawner. Write: node = labdaq.spawn(MyNode), with a class of
    nodes that receives in its process; then node.configure(), node.input.connect(out), node.initialize(), node.start()
    """

    client: ClassVar[type[RPCClient]] = RPCClient

    def __init__(self, *_arguments: Any, **_settings: Any) -> None:
        raise NotFoundError(
            "labdaq has no ProcessSpawner. Write: node = labdaq.spawn(MyNode), with a class of\n"
            "nodes that receives in its process; then node.configure(), node.input.connect(out), node.initialize(), "
            "node.start()"
        )


def create_manager(*_arguments: Any, **_settings: Any) -> NoReturn:
    """Raise NotFoundError: processes are started by `labdaq.spawn`, one for each node."""
    raise NotFoundError(
        "labdaq has no manager of processes. Write: node = labdaq.spawn(MyNode) for each node that shall have a "
        "process of its own; it ends with yours"
    )
