"""Streams: typed samples between threads, processes and machines.

From the bottom up:

`zeromq`, `folder`, `keys`, `endpoints`, `names`   sockets, where they live, who may connect, how they are found
`layouts`, `compression`, `parameters`             what a stream is, checked where it is said and where it arrives
`header`                                           the messages on the wire: binary fields and JSON, nothing executed
`accounts`, `service`                              a sender's readers, and the thread that answers them
`plain`, `shared`                                  the two ways of chunks: through a socket, through a labdaq ring
`link`, `arrival`                                  a reader's connection, and the chunks that come through it
`gate`, `stages`, `history`                        checks, filters, chunking, reassembly; samples by their numbers
`output`, `input`                                  the two faces
`bridges`                                          rings to streams and back
`node`, `tools`                                    nodes with a life cycle; converting, splitting, cutting anew

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

from labdaq.stream.bridges import RingPublisher, RingSubscriber, publish, subscribe
from labdaq.stream.history import History
from labdaq.stream.input import InputStream
from labdaq.stream.keys import StreamKeys
from labdaq.stream.names import streams
from labdaq.stream.node import Node, ThreadNode
from labdaq.stream.output import OutputStream
from labdaq.stream.parameters import StreamParameters
from labdaq.stream.statistics import (
    ChunkInfo,
    ClockOffset,
    InputStatistics,
    OutputStatistics,
    ReaderStatistics,
    StreamEvent,
)
from labdaq.stream.tools import ChannelSplitter, ChunkResizer, StreamConverter, ThreadPollInput

__all__ = [
    "ChannelSplitter",
    "ChunkInfo",
    "ChunkResizer",
    "ClockOffset",
    "History",
    "InputStatistics",
    "InputStream",
    "Node",
    "OutputStatistics",
    "OutputStream",
    "ReaderStatistics",
    "RingPublisher",
    "RingSubscriber",
    "StreamConverter",
    "StreamEvent",
    "StreamKeys",
    "StreamParameters",
    "ThreadNode",
    "ThreadPollInput",
    "publish",
    "streams",
    "subscribe",
]
