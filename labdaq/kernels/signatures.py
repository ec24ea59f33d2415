"""Signatures: which channels must have seen the first particle, the second, and so on.

A signature has one word for each group of peaks in coincidence (:mod:`labdaq.kernels.coincidences`), in the
order of time, and one letter for each channel: ``+`` a peak, ``-`` no peak, ``0`` either. A muon that comes from
above, stops in the second of four layers and sends its electron up again: ``("++--", "0+--")``. Groups
after the last word do not matter. The notation is that of mimoCoRB.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError
from labdaq.native import jit

__all__ = ["match_signatures", "parse_signatures"]

_LETTERS = {"+": 1, "-": -1, "0": 0}


def parse_signatures(signatures: Sequence[Sequence[str]]) -> npt.NDArray[np.int8]:
    """Signatures as numbers for compiled functions: 1 a peak, -1 none, 0 either.

    Parameters
    ----------
    signatures : sequence of sequence of str
        All with as many words, all words with as many letters.

    Returns
    -------
    ndarray of int8, shape (signatures, groups, channels)

    Raises
    ------
    LayoutError
        If there is another letter, the shapes differ, or there is nothing.

    Examples
    --------
    >>> parse_signatures([("++", "0+"), ("++", "+-")]).tolist()
    [[[1, 1], [0, 1]], [[1, 1], [1, -1]]]
    """
    words = [[list(word) for word in signature] for signature in signatures]
    lengths = {(len(signature), *map(len, signature)) for signature in words}
    letters = {letter for signature in words for word in signature for letter in word}
    if len(lengths) != 1 or len(set(next(iter(lengths))[1:])) != 1 or not letters or letters - set(_LETTERS):
        raise LayoutError(
            "signatures have letters '+', '-' and '0', as many words each, and a letter for each channel; "
            f"given: {[list(signature) for signature in signatures]}"
        )
    return np.array([[[_LETTERS[letter] for letter in word] for word in signature] for signature in words], np.int8)


@jit
def _matches(groups: Any, signature: Any) -> bool:
    for row in range(signature.shape[0]):
        for channel in range(signature.shape[1]):
            wanted = signature[row, channel]
            if wanted != 0 and (wanted > 0) != (groups[row, channel] >= 0):
                return False
    return True


@jit
def match_signatures(groups: Any, found: int, signatures: Any) -> int:
    """The first signature that groups of peaks have, compiled.

    Parameters
    ----------
    groups : ndarray of int, shape (rows, channels)
        Numbers of peaks, -1 for none, as from :func:`labdaq.kernels.group_peaks`.
    found : int
        How many groups there are.
    signatures : ndarray of int8, shape (signatures, groups, channels)
        From :func:`parse_signatures`.

    Returns
    -------
    int
        Its number, or -1 if there is none.

    Examples
    --------
    >>> up_or_down = parse_signatures([("++--", "0+--"), ("++--", "--+0")])
    >>> match_signatures(np.array([[0, 0, -1, -1], [-1, -1, 0, 0]]), 2, up_or_down)
    1
    """
    if found < signatures.shape[1]:
        return -1
    for number in range(signatures.shape[0]):
        if _matches(groups, signatures[number]):
            return number
    return -1
