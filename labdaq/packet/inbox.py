"""Memory into which sockets deliver many packets with one call of the system."""

from collections.abc import Sequence

import numpy as np

from labdaq.packet import receiving as r
from labdaq.packet.batch import Batch, address_of

__all__ = ["Inbox"]

_PACKETS = 64  # fetched at a time: what stays in the cache of a core until it is placed
_MERGED, _MERGED_SIZE, _MOST_SEGMENTS = 16, 1 << 16, 128
_LINE = 64
_RAW_HEADERS = 60 + 8
_CAN_READ = 1 << 32  # POLLIN, where ppoll has it


class Inbox:
    """Messages, their memory, and the control words of :func:`labdaq.packet.receiving.receive_and_place`.

    Parameters
    ----------
    descriptors
        Of all sockets.
    max_size
        The largest packet, in bytes. There is room for one more, which shows what was too long.
    kind
        What a message is: ``PLAIN``, ``MERGED`` or ``RAW`` of :mod:`labdaq.packet.receiving`.
    """

    def __init__(self, descriptors: Sequence[int], max_size: int, kind: int = r.PLAIN) -> None:
        count = _MERGED if kind == r.MERGED else _PACKETS
        size = _MERGED_SIZE if kind == r.MERGED else max_size + 1 + (_RAW_HEADERS if kind == r.RAW else 0)
        size = -(-size // _LINE) * _LINE
        most = count + (count * _MOST_SEGMENTS if kind == r.MERGED else 0)
        self.rows = np.zeros((count, size), np.uint8)
        self.batch = Batch(self.rows.reshape(-1), np.zeros(most, np.int64), np.zeros(most, np.int64), position=most)
        self._polls = np.array(descriptors, np.int64) | _CAN_READ
        self._messages = self._make_messages(kind)
        self.control = np.zeros(r.WORDS, np.int64)
        self.address = address_of(self.control)
        words = {
            r.SOCKETS: len(descriptors), r.POLLS: address_of(self._polls), r.KIND: kind, r.STRIDE: size,
            r.MESSAGES: address_of(self._messages), r.ROOM: count,
            r.CONTROL_NBYTES: 8 * self._controls.shape[1],
        }  # fmt: skip
        for word, value in words.items():
            self.control[word] = value

    def _make_messages(self, kind: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        count, size = self.rows.shape
        numbers = np.arange(count)
        self._vectors = np.empty((count, 2), np.int64)
        self._vectors[:, 0], self._vectors[:, 1] = address_of(self.rows) + numbers * size, size
        self._controls = np.zeros((count, 4 if kind == r.MERGED else 0), np.int64)
        messages = np.zeros((count, 8), np.int64)
        messages[:, 2], messages[:, 3] = address_of(self._vectors) + 16 * numbers, 1
        if kind == r.MERGED:
            messages[:, 4] = address_of(self._controls) + 32 * numbers
        return messages
