"""Servers on this machine that speak what instruments speak."""

import contextlib
import socket
import struct
import threading

import numpy as np


@contextlib.contextmanager
def serving(talk):
    """A server that calls `talk` with each connection, one after the other, as instruments do; gives its port."""
    connections = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    link, _ = server.accept()
                    connections.append(link)
                    with link, contextlib.suppress(OSError):
                        talk(link)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            for end in (server, *connections):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            thread.join()


def received(link, nbytes):
    found = b""
    while len(found) < nbytes:
        piece = link.recv(nbytes - len(found))
        if not piece:
            raise OSError("gone")
        found += piece
    return found


class Board:
    """A Red Pitaya: what commands set, and samples that say which they are."""

    def __init__(self):
        self.settings, self.commands, self.event = {}, [], 0
        self.fires, self.breaks_after, self.running, self.asked = True, None, False, threading.Event()

    def talk(self, link):
        while True:
            [word] = struct.unpack("<Q", received(link, 8))
            code, channel, value = word >> 56, word >> 52 & 15, word & (1 << 52) - 1
            value -= (value >> 51) << 52
            self.commands.append(code)
            self.settings[code, channel] = value
            if code == 2:
                self.running = False
            elif code == 19:
                self.running = True
            elif code == 11:
                if self.running and self.fires:
                    self.running = False
                link.sendall(struct.pack("<9I", *[0] * 8, 2 * 7 + int(self.running)))
                self.asked.set()
            elif code == 20:
                self.send(link)
            elif code == 31:
                self.asked.set()
                for _ in range(value if self.fires else 0):
                    self.send(link)

    def send(self, link):
        total = self.settings[18, 0]
        samples = np.zeros((total, 2), "<i2")
        samples[:, 0] = np.arange(total) % 1000
        samples[:, 1] = -self.event
        self.event += 1
        raw = samples.tobytes()
        if self.breaks_after is not None:
            link.sendall(raw[: self.breaks_after])
            raise OSError("unplugged")
        link.sendall(raw)
