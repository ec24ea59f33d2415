"""Programs for pyacq's streams run here with only the import changed.

::

    import labdaq.compat.pyacq as pyacq

Streams, nodes and tools are those of :mod:`labdaq.stream`. What let one process import and call things in another,
`RPCServer`, `RPCClient`, `ProcessSpawner` and `create_manager`, is there as errors that show the line to write
instead: a stream is connected to by its address, and a node in another process obeys a few verbs (`spawn`).

How they differ: a chunk of three rows that is sent first has the index 3; wrong dtypes and shapes are refused in every
transfer mode; timeouts are in seconds; parameters that are not known go into ``annotations``.

Examples
--------
>>> import numpy as np
>>> import labdaq.compat.pyacq as pyacq
>>> data = np.array([[1, 2], [3, 4], [5, 6]])
>>> out = pyacq.OutputStream()
>>> _ = out.configure(dtype=data.dtype)
>>> inp = pyacq.InputStream()
>>> _ = inp.connect(out)
>>> _ = out.send(data)
>>> inp.recv()
(3, array([[1, 2],
       [3, 4],
       [5, 6]]))
>>> inp.close(); out.close()
"""

from labdaq.compat.pyacq.remote import ProcessSpawner, RPCClient, RPCServer, create_manager
from labdaq.stream import (
    ChannelSplitter,
    ChunkResizer,
    InputStream,
    Node,
    OutputStream,
    StreamConverter,
    ThreadPollInput,
)

__all__ = [
    "ChannelSplitter",
    "ChunkResizer",
    "InputStream",
    "Node",
    "OutputStream",
    "ProcessSpawner",
    "RPCClient",
    "RPCServer",
    "StreamConverter",
    "ThreadPollInput",
    "create_manager",
]
