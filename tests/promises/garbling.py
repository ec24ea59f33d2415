"""Good bytes, and what becomes of them on a bad day: for tests of what reads bytes from elsewhere."""

from collections.abc import Iterator

import numpy as np

__all__ = ["garbled"]

EXTREMES = (b"\x00", b"\xff", b"\x80", b"\x7f", b"0", b"9", b"-", b'"', b"\n")


def garbled(good: list[bytes], count: int, seed: int) -> Iterator[bytes]:
    """Bytes changed at random places or set to extremes, pieces cut out, repeated or cut off, and noise."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        content = bytearray(good[number % len(good)])
        size = len(content)
        place, length = int(rng.integers(size)), int(rng.choice([1, 2, 4, 8, 64]))
        kind = (number // len(good)) % 6
        if kind == 0:
            for _ in range(rng.integers(1, 6)):
                content[rng.integers(size)] = rng.integers(256)
        elif kind == 1:
            extreme = EXTREMES[rng.integers(len(EXTREMES))]
            content[place : place + length] = (extreme * length)[: size - place]
        elif kind == 2:
            del content[place:]
        elif kind == 3:
            del content[place : place + length]
        elif kind == 4:
            content[place:place] = content[max(0, place - length) : place]
        else:
            content = bytearray(rng.bytes(rng.integers(0, 300)))
        yield bytes(content)
