"""How much memory a piece of work takes at its peak, whatever the process took before."""

from pathlib import Path

__all__ = ["Peak"]

_SELF = Path("/proc/self")


class Peak:
    """Measures what is done within ``with``; where the system does not tell (macOS), it is nothing.

    Examples
    --------
    >>> with Peak() as peak:
    ...     zeros = b"1" * (50 << 20)
    >>> peak.grown_nbytes >= 45 << 20 or not (_SELF / "clear_refs").exists()
    True
    """

    grown_nbytes = 0

    def __enter__(self) -> "Peak":
        self._can_tell = (_SELF / "clear_refs").exists()
        if self._can_tell:
            (_SELF / "clear_refs").write_text("5")  # the peak begins anew
            self._before = _status("VmRSS")
        return self

    def __exit__(self, *_: object) -> None:
        if self._can_tell:
            self.grown_nbytes = max(_status("VmHWM") - self._before, 0)


def _status(name: str) -> int:
    """Bytes of a line of the status of this process."""
    lines = (_SELF / "status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))
