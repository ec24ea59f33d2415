"""Who is shown: a pipeline of this process, or the run of another one."""

from typing import Any

from labdaq.errors import LayoutError
from labdaq.pipeline import AttachedRun, Pipeline
from labdaq.widgets.attached_subject import AttachedSubject
from labdaq.widgets.pipeline_subject import PipelineSubject
from labdaq.widgets.subject import Subject

__all__ = ["subject_of"]


def subject_of(shown: Any) -> Subject:
    """What a panel or a strip chart looks at; what has `panel_subject()` makes it itself.

    Raises
    ------
    LayoutError
        It is neither a pipeline nor a run.
    """
    if isinstance(shown, Pipeline):
        return PipelineSubject(shown)
    if isinstance(shown, AttachedRun):
        return AttachedSubject(shown)
    if callable(make := getattr(shown, "panel_subject", None)):
        made: Subject = make()
        return made
    raise LayoutError(f"{shown!r:.60} has no panel: give a Pipeline, or a run from labdaq.attach()")
