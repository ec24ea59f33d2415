"""The example of Bifrost's tutorial on data capture, with our imports."""

import os
import struct

import numpy as np

from labdaq.kernels import quantise
from labdaq.packet import DiskWriter, HeaderInfo, read

CORE = min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0


def test_tbn_is_written_and_read_by_hand(tmp_path):
    path = tmp_path / "output.dat"
    rng = np.random.default_rng(1)
    data = rng.normal(size=(16, 5120)) + 1j * rng.normal(size=(16, 5120))
    data = (4 * data).astype(np.complex64)
    qdata = quantise(data, "ci8", scale=2).data
    with path.open("wb") as fh:
        bfo = DiskWriter("tbn", fh, core=CORE)
        desc = HeaderInfo()
        desc.set_tuning(round(38e6 / 196e6 * 2**32))
        desc.set_gain(20)
        packets = qdata.reshape(16, -1, 512).transpose(1, 0, 2).copy()
        bfo.send(desc, 300_000_000 * 196_000_000, 512 * 1960, 0, 1, packets)
    with path.open("rb") as fh:
        fh.read(24)
        payload = struct.unpack("<1024b", fh.read(1024))
    assert list(zip(payload[0::2], payload[1::2], strict=True))[:5] == [tuple(x) for x in qdata[0, :5].tolist()]
    (block,) = read(path, "tbn", nsrc=16)
    assert np.array_equal(block.data.transpose(2, 0, 1).reshape(16, -1), qdata)
    assert abs(block.header["frequency_hz"] - 38e6) < 0.1
