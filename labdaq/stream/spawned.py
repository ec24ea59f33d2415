"""What runs in a process that `spawn` started: one node, and the verbs that it obeys."""

import contextlib
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import cloudpickle

from labdaq.errors import DataError, EndOfDataError, LabdaqError, LayoutError, NotFoundError
from labdaq.native.process import Identity, is_alive
from labdaq.stream.node import Node
from labdaq.stream.verbs import Verb, error_to_json, exactly, from_json, pack, read

__all__ = ["main"]

_LOOK_S = 0.25
_SAFE_S = 0.5
"""So long the node may take to stop when nobody wants it any more."""


class _Served:
    """A node and what can be asked of it."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._verbs: dict[Verb, Callable[[str, dict[str, Any]], Any]] = {
            Verb.CONFIGURE: lambda _name, settings: node.configure(**settings),
            Verb.CONNECT: lambda name, settings: _stream(node.inputs, name).connect(settings.pop("sender"), **settings),
            Verb.OPEN: lambda name, settings: _stream(node.outputs, name).configure(**settings),
            Verb.INITIALIZE: lambda _name, _settings: node.initialize(),
            Verb.START: lambda _name, _settings: node.start(),
            Verb.STOP: lambda _name, _settings: node.stop(),
            Verb.STATISTICS: lambda _name, _settings: None,
            Verb.CLOSE: lambda _name, _settings: self.close(),
        }

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """Do what a message says; what to say to it."""
        number, said = message.get("number"), message.get("verb")
        try:
            verb = Verb(str(said))
        except ValueError:
            return {"number": number, "error": ["NotFoundError", f"there is no verb {said!r:.60}: {', '.join(Verb)}"]}
        result: dict[str, Any] = {"number": number}
        try:
            self._verbs[verb](str(message.get("stream", "")), _settings(message))
        except Exception as error:  # noqa: BLE001 - whatever the node raises is told, and it goes on to obey
            result["error"] = error_to_json(error, f"{verb}() of node {self.node.name!r}")
        return {**result, **self.state(with_statistics=verb in {Verb.STATISTICS, Verb.CLOSE})}

    def state(self, *, with_statistics: bool = False) -> dict[str, Any]:
        """What the node is, after each verb."""
        node = self.node
        flags = ("closed", "running", "initialized", "configured")
        outputs = {name: out.address if out.is_open else "" for name, out in node.outputs.items()}
        told = {
            "state": next((flag for flag in flags if getattr(node, flag)), "made"),
            "inputs": {name: inp.is_open for name, inp in node.inputs.items()},
            "outputs": outputs,
        }
        return {**told, "statistics": self._statistics()} if with_statistics else told

    def _statistics(self) -> dict[str, Any]:
        return {
            "cpu_s": time.process_time(),
            "inputs": {name: _numbers(stream) for name, stream in self.node.inputs.items()},
            "outputs": {name: _numbers(stream) for name, stream in self.node.outputs.items()},
        }

    def close(self) -> None:
        """Stop and close the node."""
        try:
            if self.node.running:
                self.node.stop()
        finally:
            self.node.close()


def _settings(message: dict[str, Any]) -> dict[str, Any]:
    settings = from_json(message.get("settings", {}))
    if not isinstance(settings, dict):
        raise DataError(f"settings are an object, not {settings!r:.60}")
    return settings


def _stream(streams: dict[str, Any], name: str) -> Any:
    if name not in streams:
        raise NotFoundError(f"there is no stream {name!r}: {', '.join(streams) or 'none'}")
    return streams[name]


def _numbers(stream: Any) -> dict[str, Any] | None:
    try:
        return asdict(stream.statistics())
    except LabdaqError:  # it was not opened yet
        return None


def main() -> None:
    """Make a node of what comes first through the standard input, and obey what comes then."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C means the one who started it
    parent = Identity(int(sys.argv[1]), int(sys.argv[2]))
    incoming, outgoing = os.fdopen(os.dup(0), "rb", 0), os.fdopen(os.dup(1), "wb", 0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what the node prints must not come among the answers
    messages: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    program = exactly(incoming, int(sys.argv[3]))
    threading.Thread(target=_listen, args=(incoming, messages), daemon=True).start()
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    try:
        node = _checked(cloudpickle.loads(program)())
    except BaseException as error:  # noqa: BLE001 - the one who started it is told
        _say(outgoing, {"number": 0, "error": error_to_json(error, "making the node")})
        return
    served = _Served(node)
    _say(outgoing, {"number": 0, "name": node.name, **served.state()})
    while (message := messages.get()) is not None:
        _say(outgoing, served.answer(message))
        if node.closed:
            return
    served.close()


def _checked(node: Any) -> Node:
    if not isinstance(node, Node):
        raise LayoutError(f"{node!r:.60} is no node: give a class of them, or a function that returns one")
    return node


def _say(pipe: Any, content: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        pipe.write(pack(content))


def _listen(pipe: Any, messages: "queue.SimpleQueue[dict[str, Any] | None]") -> None:
    """Take in what is asked, and end when nobody can ask any more."""
    while True:
        try:
            messages.put(read(pipe))
        except (EndOfDataError, OSError):
            break
        except DataError as error:
            messages.put({"verb": f"?{error}"})
            break  # where the next one begins is not known
    messages.put(None)
    _leave()


def _watch(parent: Identity) -> None:
    """End with the process that started this one, even if another has inherited its pipe."""
    while is_alive(parent):
        time.sleep(_LOOK_S)
    _leave()


def _leave() -> None:
    """End soon, whatever the node does."""
    threading.main_thread().join(_SAFE_S)
    os._exit(1)
