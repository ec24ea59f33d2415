"""What can be asked of a run, by whatever it is held: the pipeline, the run, or a view of it from elsewhere."""

from abc import ABC, abstractmethod

from labdaq.pipeline.running.states import Command

__all__ = ["RunControls"]


class RunControls(ABC):
    """Pause, resume, stop and abort, for those that have `command`."""

    @abstractmethod
    def command(self, command: Command) -> None:
        """Ask for a change of state.

        Raises
        ------
        StateError
            Not in this state; says what is possible.
        """

    def pause(self) -> None:
        """Hold the intake; what is in the rings flows on."""
        self.command(Command.PAUSE)

    def resume(self) -> None:
        """Go on after a pause."""
        self.command(Command.RESUME)

    def stop(self) -> None:
        """End the intake within a second, then process and keep what is in the rings; does not wait for that."""
        self.command(Command.STOP)

    def abort(self) -> None:
        """End everything within a second; what was not processed is counted as undelivered. Does not wait for that."""
        self.command(Command.ABORT)
