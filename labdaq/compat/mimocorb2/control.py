"""A whole suite from its file, as mimoCoRB2's scripts run it."""

from pathlib import Path

from labdaq.compat.mimocorb.outcome import SuiteResult
from labdaq.compat.mimocorb.suites import MimocorbSuite

__all__ = ["Control"]


class Control:
    """Take data with a suite: call it.

    There is no window, and the commands P, R, S and E can be typed, as `labdaq run` has them.

    Parameters
    ----------
    setup_file
        The YAML file.

    Raises
    ------
    NotFoundError
        When a file is not there.
    LayoutError, DataError
        When something in it is not possible; the message names file, key and value.
    """

    def __init__(self, setup_file: str | Path) -> None:
        self.suite = MimocorbSuite(setup_file)

    @classmethod
    def from_setup_file(cls, setup_file: str | Path, mode: str = "kbd") -> "Control":  # noqa: ARG003
        """A suite from its file; other modes than the one there is are taken for it."""
        return cls(setup_file)

    def __call__(self, events: int | None = None, seconds: float | None = None) -> SuiteResult:
        """Take data until there are enough, the source has no more, or somebody ends it."""
        return self.suite.run(events, seconds)
