"""Packet files whose headers lie about how long packets are."""

import io

import numpy as np
import pytest

import labdaq
from labdaq.errors import LayoutError
from labdaq.packet import Address, CaptureStatus, DiskReader, PacketFormat, UDPSocket
from labdaq.packet.pace import Pace

NBYTES = 5032


def vdif(count, xor, number=50):
    """A file of plain VDIF frames, in one of which bits of the length are flipped."""
    frames = np.zeros(count, [("words", "<u4", 8), ("payload", "u1", NBYTES - 32)])
    frames["payload"] = np.random.default_rng(5).integers(0, 256, frames["payload"].shape, dtype="u1")
    frames["words"][:, 0] = 1
    frames["words"][:, 1] = np.arange(count)
    frames["words"][:, 2] = NBYTES // 8
    frames["words"][:, 3] = 7 << 26
    frames["words"][number, 2] ^= xor
    return frames.tobytes()


def read_all(packet_format, file, **options):
    with labdaq.Ring("damaged") as ring, DiskReader(packet_format, file, ring, 1, **options) as reader:
        for _ in range(1000):
            if reader.recv() in {CaptureStatus.ENDED, CaptureStatus.NO_DATA}:
                break
        else:
            pytest.fail("the reader does not come to an end")
        return reader.ledger(), reader._transport.counters()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("on_disk", [True, False])
@pytest.mark.parametrize(("count", "bit"), [(200, 17), (200, 19), (1700, 0), (1700, 14), (1700, 17), (1700, 23)])
def test_a_flipped_bit_of_a_length_costs_few_packets(tmp_path, count, bit, on_disk):
    data = vdif(count, 1 << bit)
    path = tmp_path / "flipped.vdif"
    path.write_bytes(data)
    with path.open("rb") if on_disk else io.BytesIO(data) as file:
        ledger, counters = read_all("vdif", file, rate=100_000)
    assert ledger.accepted >= count - 30  # bit 14 hides 26 packets in one
    assert counters["trailing_nbytes"] + counters["skipped_nbytes"] < 30 * NBYTES


@pytest.mark.timeout(20)
@pytest.mark.parametrize("size", [2**63 - 1, 2**63 - 16, 2**63, 2**64 - 1, 2**64 - 16])
def test_sizes_near_the_end_of_integers_are_no_packets(tmp_path, size):
    header = np.dtype([("seq", ">u8"), ("size", ">u8")])
    sized = PacketFormat("sized", header, lambda h: (h.seq, 0), payload=lambda h: h.size)
    packets = np.zeros(3, [("seq", ">u8"), ("size", ">u8"), ("payload", "u1", 64)])
    packets["seq"], packets["size"] = range(3), [64, 64, size]
    path = tmp_path / "sized.bin"
    path.write_bytes(packets.tobytes())
    with path.open("rb") as file:
        ledger, _ = read_all(sized, file)
    assert ledger.accepted == 2


def test_an_interface_without_a_group_is_refused():
    with UDPSocket() as receiver, pytest.raises(LayoutError, match="nowhere0"):
        receiver.bind(Address("127.0.0.1", 0), interface="nowhere0")


def test_an_infinite_rate_is_refused():
    with pytest.raises(LayoutError, match="inf"):
        Pace(float("inf"))
