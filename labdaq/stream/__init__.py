"""Streams: typed samples between threads, processes and machines.

From the bottom up:

`zeromq`, `folder`, `keys`, `endpoints`, `names`   sockets, where they live, who may connect, how they are found
`layouts`, `compression`, `parameters`             what a stream is, checked where it is said and where it arrives
`header`                                           the messages on the wire: binary fields and JSON, nothing executed
`accounts`, `service`                              a sender's readers, and the thread that answers them
`plain`, `chunk_steps`, `frames`, `shared`         the two ways of chunks: through a socket, through a labdaq ring
`link`, `arrival`                                  a reader's connection, and the chunks that come through it
`gate`, `stages`, `history`                        checks, filters, chunking, reassembly; samples by their numbers
`clocks`, `timing`                                 clocks of other machines; which sample belongs to which time
`outlet`, `output`, `delivery`, `input`            what is behind the two faces, and these
`bridges`                                          rings to streams and back
`beacon`                                           streams made known on the network; off unless it is made
`verbs`, `spawned`, `child`, `controls`, `spawning`   a node in a process of its own, and what it may be asked
`node`, `nodes`                                    pieces of a graph with a life cycle; those that everybody needs
`lsl`                                              Lab Streaming Layer, in and out

Examples
--------
>>> import numpy as np
>>> from labdaq.stream import InputStream, OutputStream
>>> with OutputStream().configure(protocol="inproc", dtype="f4", shape=(-1, 2)) as out:
...     with InputStream().connect(out) as inp:
...         _ = out.send(np.ones((3, 2), "f4"))
...         index, data = inp.recv(timeout=5)
>>> index, data.shape
(3, (3, 2))
"""

from labdaq.stream.beacon import Beacon, FoundStream, find_streams
from labdaq.stream.bridges import RingPublisher, RingSubscriber, publish, subscribe
from labdaq.stream.clocks import SenderClock
from labdaq.stream.controls import InputControl, NodeControl, NodeStatistics, OutputControl
from labdaq.stream.history import History
from labdaq.stream.input import InputStream
from labdaq.stream.keys import StreamKeys
from labdaq.stream.lsl import LslInlet, LslOutlet
from labdaq.stream.names import streams
from labdaq.stream.node import Node, ThreadNode
from labdaq.stream.nodes.accumulator import TriggerAccumulator
from labdaq.stream.nodes.converter import StreamConverter
from labdaq.stream.nodes.polling import ThreadPollInput
from labdaq.stream.nodes.recorder import RawRecorder
from labdaq.stream.nodes.recordings import RawRecording, open_recording
from labdaq.stream.nodes.resizer import ChunkResizer
from labdaq.stream.nodes.sos_filter import SosFilter
from labdaq.stream.nodes.spectrogram import Spectrogram
from labdaq.stream.nodes.splitter import ChannelSplitter
from labdaq.stream.nodes.triggers import AnalogTrigger, DigitalTrigger
from labdaq.stream.nodes.xdf_export import export_xdf
from labdaq.stream.output import OutputStream
from labdaq.stream.parameters import StreamParameters
from labdaq.stream.spawning import spawn
from labdaq.stream.statistics import (
    ChunkInfo,
    ClockOffset,
    InputStatistics,
    OutputStatistics,
    ReaderStatistics,
    StreamEvent,
)

__all__ = [
    "AnalogTrigger",
    "Beacon",
    "ChannelSplitter",
    "ChunkInfo",
    "ChunkResizer",
    "ClockOffset",
    "DigitalTrigger",
    "FoundStream",
    "History",
    "InputControl",
    "InputStatistics",
    "InputStream",
    "LslInlet",
    "LslOutlet",
    "Node",
    "NodeControl",
    "NodeStatistics",
    "OutputControl",
    "OutputStatistics",
    "OutputStream",
    "RawRecorder",
    "RawRecording",
    "ReaderStatistics",
    "RingPublisher",
    "RingSubscriber",
    "SenderClock",
    "SosFilter",
    "Spectrogram",
    "StreamConverter",
    "StreamEvent",
    "StreamKeys",
    "StreamParameters",
    "ThreadNode",
    "ThreadPollInput",
    "TriggerAccumulator",
    "export_xdf",
    "find_streams",
    "open_recording",
    "publish",
    "spawn",
    "streams",
    "subscribe",
]
