"""A cable between two ports of this machine, which can be pulled out, or go dead with both ends plugged in."""

import contextlib
import selectors
import socket
import threading

__all__ = ["Cable"]


class Cable:
    """Carries bytes to a port and back; a context manager."""

    def __init__(self, address):
        self._there = ("127.0.0.1", int(address.rsplit(":", 1)[1]))
        self._door = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._door.getsockname()[1]}"
        self._others = {}
        self._ends = []
        self._is_over, self.is_dead = threading.Event(), False
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._door, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._carry)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._is_over.set()
        self._thread.join()
        self._selector.close()
        for one in (self._door, *self._ends):
            one.close()

    def _carry(self):
        while not self._is_over.is_set():
            for key, _ in self._selector.select(0.02):
                if key.fileobj is self._door:
                    self._join()
                elif not self.is_dead:
                    self._pass_on(key.fileobj)
                else:
                    self._is_over.wait(0.02)

    def _join(self):
        near = self._door.accept()[0]
        self._ends.append(near)
        if self.is_dead:
            return  # nobody answers there
        far = socket.create_connection(self._there)
        self._ends.append(far)
        self._others |= {near: far, far: near}
        for end in (near, far):
            self._selector.register(end, selectors.EVENT_READ)

    def _pass_on(self, end):
        other, data = self._others.get(end), b""
        if other is None:  # its partner was closed a moment ago, or the cable is another one now
            return
        with contextlib.suppress(OSError):
            data = end.recv(65536)
            if data:
                other.sendall(data)
                return
        for one in (end, other):
            if self._others.pop(one, None) is not None:
                self._selector.unregister(one)
            one.close()

    def cut(self):
        """What is plugged in at both ends carries nothing any more, and nobody is told; new connections work again."""
        self.is_dead = True

    def mend(self):
        """Plug a new cable in: the old one's ends stay as they are."""
        while self._others:
            self._selector.unregister(self._others.popitem()[0])
        self.is_dead = False
