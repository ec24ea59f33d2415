"""The protocols that everyone speaks, below everything else: who can be what in a pipeline.

`events`      an event while it is filled, and while it is read
`workers`     sources, push sources, filters, sinks: what an object must have to be one
`parameters`  a setting with a unit and limits, changed while data are taken
`trigger`     when an event begins, in one object for simulation, sources, replay and scope
"""

from labdaq.roles.events import EventBatch, EventSlot, EventView
from labdaq.roles.parameters import Parameter, parameters_of
from labdaq.roles.trigger import Trigger
from labdaq.roles.workers import BatchSource, PushSource, Put, Sink, Source

__all__ = [
    "BatchSource",
    "EventBatch",
    "EventSlot",
    "EventView",
    "Parameter",
    "PushSource",
    "Put",
    "Sink",
    "Source",
    "Trigger",
    "parameters_of",
]
