"""Where the payload of a packet goes in a frame: the frame of one sequence number, with all its sources."""

from dataclasses import dataclass

from labdaq.ring import Tensor

__all__ = ["FrameLayout", "elements"]


@dataclass(frozen=True)
class FrameLayout:
    """One frame of the output, and how payloads are spread over it.

    A payload is ``rows`` rows of ``block`` bytes. Row ``r`` of source ``s`` begins in the frame at byte
    ``(s // group) * outer + (s % group) * inner + r * stride``.

    Examples
    --------
    >>> FrameLayout.by_source(4, "ci8", (512,), ("time",)).tensor.frame_nbytes
    4096
    >>> layout = FrameLayout.interleaved(4, "ci8", rows=512, shape=(512, 4), labels=("time", "source"))
    >>> layout.block, layout.stride, layout.inner
    (2, 8, 2)
    """

    tensor: Tensor
    """Element type, shape and labels of a frame."""
    rows: int
    block: int
    stride: int
    group: int
    outer: int
    inner: int

    @classmethod
    def by_source(cls, nsrc: int, dtype: str, shape: tuple[int, ...], labels: tuple[str, ...] = ()) -> "FrameLayout":
        """Payload after payload: ``(source, *shape)``, where ``shape`` is that of one payload."""
        names = ("source", *(labels or ("sample",) * len(shape)))
        tensor = Tensor.parse({"dtype": dtype, "shape": (nsrc, *shape), "labels": names})
        nbytes = tensor.frame_nbytes // nsrc
        return cls(tensor, rows=1, block=nbytes, stride=nbytes, group=nsrc, outer=nbytes * nsrc, inner=nbytes)

    @classmethod
    def interleaved(
        cls, nsrc: int, dtype: str, *, rows: int, shape: tuple[int, ...], labels: tuple[str, ...]
    ) -> "FrameLayout":
        """The first axis of the payload stays the first of the frame: row by row, source beside source."""
        tensor = Tensor.parse({"dtype": dtype, "shape": shape, "labels": labels})
        block = tensor.frame_nbytes // rows // nsrc
        return cls(tensor, rows, block, stride=block * nsrc, group=nsrc, outer=block * nsrc, inner=block)

    @property
    def payload_nbytes(self) -> int:
        """Bytes of one payload."""
        return self.rows * self.block

    def words(self) -> tuple[int, ...]:
        """The numbers that compiled code needs."""
        return self.tensor.frame_nbytes, self.rows, self.block, self.stride, self.group, self.outer, self.inner

    def fits(self, nsrc: int) -> bool:
        """Whether every payload of ``nsrc`` sources lies inside of the frame."""
        last = [(s // self.group) * self.outer + (s % self.group) * self.inner for s in (0, nsrc - 1)]
        ends = [begin + (self.rows - 1) * self.stride + self.block for begin in last]
        return min(last) >= 0 and max(ends) <= self.tensor.frame_nbytes and self.rows > 0 and self.block > 0


def elements(nbytes: int, dtype: str) -> int:
    """How many elements of a type are in so many bytes.

    Examples
    --------
    >>> elements(1024, "ci8"), elements(1024, "uint4")
    (512, 2048)
    """
    return nbytes * 8 // Tensor.parse({"dtype": dtype, "shape": (8,)}).frame_nbytes
