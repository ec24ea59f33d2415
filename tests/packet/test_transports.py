"""One test body for all transports and all formats: the same packets give the same frames and the same balance."""

import contextlib
import gzip
import io
import struct
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import labdaq
from labdaq.errors import ResourceError
from labdaq.packet import (
    Address,
    Batch,
    BlockSink,
    DiskReader,
    PacketCapture,
    Packets,
    UDPCapture,
    UDPSniffer,
    UDPSocket,
    UDPTransmit,
    read,
)
from tests.packet.recipes import BY_NAME, RECIPES, packets_of

GULP = 2


def pcap(packets, *, linktype=1, nanosecond=False, big=False, vlan=False):
    """A recording of these datagrams."""
    order = ">" if big else "<"
    magic = 0xA1B23C4D if nanosecond else 0xA1B2C3D4
    parts = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, linktype)]
    for i, payload in enumerate(packets):
        frame = datagram(payload)
        if linktype == 1:
            frame = bytes(12) + (b"\x81\x00\x00\x05" if vlan else b"") + b"\x08\x00" + frame
        parts.append(struct.pack(order + "IIII", i, 0, len(frame), len(frame)) + frame)
    return b"".join(parts)


def datagram(payload, port=4015):
    udp = struct.pack(">HHHH", 4000, port, 8 + len(payload), 0) + payload
    return struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes(4), bytes(4)) + udp


def pcapng(packets):
    """The same as pcapng, with time in nanoseconds."""

    def block(kind, body):
        body += bytes(-len(body) % 4)
        return struct.pack("<II", kind, 12 + len(body)) + body + struct.pack("<I", 12 + len(body))

    parts = [block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))]
    parts.append(block(1, struct.pack("<HHI", 101, 0, 0) + struct.pack("<HHB3xHH", 9, 1, 9, 0, 0)))
    for i, payload in enumerate(packets):
        frame = datagram(payload)
        parts.append(block(6, struct.pack("<IIIII", 0, 0, i, len(frame), len(frame)) + frame))
    return b"".join(parts)


def from_memory(recipe, packets):
    sink = BlockSink()
    capture = PacketCapture(recipe.name, Packets(packets), sink, ntime_gulp=GULP, **recipe.reading())
    while capture.recv() not in (1, 4):
        pass
    return list(sink.blocks), capture.ledger()


def from_file(recipe, packets):
    reading = read(io.BytesIO(b"".join(packets)), recipe.name, ntime_gulp=GULP, **recipe.reading())
    return list(reading), reading.ledger


def from_disk(recipe, packets):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "packets.dat"
        path.write_bytes(b"".join(packets))
        reading = read(path, recipe.name, ntime_gulp=GULP, **recipe.reading())
        return list(reading), reading.ledger


def from_recording(recipe, packets):
    content = gzip.compress(pcap(packets, nanosecond=True)) if len(packets) % 2 else pcapng(packets)
    reading = read(io.BytesIO(content), recipe.name, ntime_gulp=GULP, **recipe.reading())
    return list(reading), reading.ledger


def from_network(recipe, packets, *, portable=False, merge=False):
    with contextlib.ExitStack() as stack:
        receiver, sender = stack.enter_context(UDPSocket()), stack.enter_context(UDPSocket())
        ring = stack.enter_context(labdaq.Ring())
        receiver.bind(Address("127.0.0.1", 0), merge=merge)
        receiver.timeout = 0.05
        sender.connect(receiver.address)
        group = ring.read()
        capture = UDPCapture(
            recipe.name, receiver, ring, ntime_gulp=GULP, max_size=9000, portable=portable, **recipe.reading()
        )
        for packet in packets:
            sender.socket.send(packet)
        with capture:
            while capture.recv() not in (1, 4):
                pass
        ledger = capture.ledger()
        assert ledger.kernel_drops in (0, None)
        assert ledger.drops_are_at_least == (receiver.is_merging and not portable)
        return [block for sequence in group for block in _blocks(sequence)], ledger


def _blocks(sequence):
    from labdaq.packet import Block

    for span in sequence.read(GULP):
        present = span.planes["present"].astype(bool)
        yield Block(sequence.header, sequence.time_tag, 0, span.data.copy(), present)


def from_portable_loop(recipe, packets):
    return from_network(recipe, packets, portable=True)


def from_merging_socket(recipe, packets):
    return from_network(recipe, packets, merge=True)


def from_sniffer(recipe, packets):
    """Somebody else receives the packets; they are seen as they pass by."""
    with UDPSocket() as other, UDPSocket() as sniffer, UDPSocket() as sender, labdaq.Ring() as ring:
        other.bind(Address("127.0.0.1", 0))
        try:
            sniffer.sniff(other.address, interface="lo")
        except ResourceError as error:
            pytest.skip(f"not permitted here: {error}")
        sniffer.timeout = 0.05
        sender.connect(other.address)
        group = ring.read()
        with UDPSniffer(recipe.name, sniffer, ring, ntime_gulp=GULP, **recipe.reading()) as capture:
            for packet in packets:
                sender.socket.send(packet)
            while capture.recv() not in (1, 4):
                pass
        return [block for sequence in group for block in _blocks(sequence)], capture.ledger()


TRANSPORTS = [
    from_memory, from_file, from_disk, from_recording, from_network, from_portable_loop, from_merging_socket,
    from_sniffer,
]  # fmt: skip


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_the_same_packets_give_the_same_frames(recipe, transport):
    data = recipe.data(5)
    packets = packets_of(recipe, data)
    lost = packets.pop(recipe.nsrc)  # the first of the second frame
    assert lost
    if recipe.nsrc > 1:
        packets[0], packets[1] = packets[1], packets[0]
    packets.insert(2, packets[1])
    blocks, ledger = transport(recipe, packets)
    found = np.concatenate([recipe.payloads(block) for block in blocks])
    present = np.concatenate([block.present for block in blocks])
    data[1, 0] = np.zeros((), data.dtype)
    assert np.array_equal(found, data)
    assert np.argwhere(~present).tolist() == [[1, 0]]
    assert (ledger.accepted, ledger.duplicate, ledger.missing.sum()) == (5 * recipe.nsrc - 1, 1, 1)
    assert ledger.closes
    assert ledger.handed_over == len(packets)


@pytest.mark.parametrize(("name", "nsrc"), [("chips_5", 9), ("tbn", 7), ("drx", 4), ("snap2", 4)])
@pytest.mark.parametrize("seed", range(4))
def test_neighbours_are_placed_together_whatever_is_missing(name, nsrc, seed):
    """Payloads whose rows lie side by side are copied four at a time, where four come one after the other."""
    recipe, rng = replace(BY_NAME[name], nsrc=nsrc), np.random.default_rng(seed)
    data = recipe.data(6, seed)
    packets = packets_of(recipe, data)
    lost = set(rng.choice(len(packets), seed, replace=False).tolist())
    order = [i for i in range(len(packets)) if i not in lost]
    if seed > 1:
        part = rng.integers(0, len(order) - 6)
        order[part : part + 6] = rng.permutation(order[part : part + 6]).tolist()
        order.insert(part, order[part])
    blocks, ledger = from_memory(recipe, [packets[i] for i in order])
    found = np.concatenate([recipe.payloads(block) for block in blocks])
    for i in lost:
        data[divmod(i, nsrc)] = np.zeros((), data.dtype)
    assert np.array_equal(found, data)
    assert (ledger.missing.sum(), ledger.duplicate, ledger.closes) == (seed, int(seed > 1), True)


class TestRecordings:
    @pytest.mark.parametrize(
        "how", [{}, {"big": True}, {"nanosecond": True}, {"linktype": 101}, {"vlan": True}, {"linktype": 228}]
    )
    def test_byte_orders_link_types_and_tags(self, how, tmp_path):
        recipe = BY_NAME["tbn"]
        path = tmp_path / "recording.dat"  # the name says nothing
        path.write_bytes(pcap(packets_of(recipe, recipe.data(3)), **how))
        (block,) = read(path, "tbn", **recipe.reading())
        assert block.present.all()

    def test_ports_are_told_apart(self):
        recipe = BY_NAME["tbn"]
        packets = packets_of(recipe, recipe.data(3))
        for port, frames in [(4015, 1), (4016, 0)]:
            assert len(list(read(io.BytesIO(pcap(packets)), "tbn", port=port, **recipe.reading()))) == frames

    def test_a_recording_that_ends_within_a_frame_is_read_up_to_there(self):
        recipe = BY_NAME["tbn"]
        content = pcap(packets_of(recipe, recipe.data(3)))
        for cut in (1, 500, 1100):
            reading = read(io.BytesIO(content[:-cut]), "tbn", **recipe.reading())
            list(reading)
            assert reading.ledger.accepted == 11


@pytest.fixture(params=["on disk", "in memory"])
def stored(request, tmp_path):
    """How bytes become a file: one of the disk is read by compiled code, others by Python."""
    with contextlib.ExitStack() as stack:

        def store(content):
            if request.param == "in memory":
                return io.BytesIO(content)
            path = tmp_path / "packets.dat"
            path.write_bytes(content)
            return stack.enter_context(path.open("rb"))

        yield store


class TestPacketFiles:
    def test_the_end_may_lie_within_a_packet(self, stored):
        recipe = BY_NAME["chips_5"]
        content = b"".join(packets_of(recipe, recipe.data(4)))
        reading = read(stored(content[:-70]), recipe.name, **recipe.reading())
        (block,) = reading
        assert (reading.ledger.accepted, reading.ledger.trailing_nbytes) == (11, 176 - 70)
        assert np.argwhere(~block.present).tolist() == [[3, 2]]

    def test_a_damaged_header_costs_one_packet(self, stored):
        recipe = BY_NAME["vdif_232"]
        content = bytearray(b"".join(packets_of(recipe, recipe.data(8))))
        content[5 * 232 + 8 : 5 * 232 + 12] = b"\xff" * 4
        reading = read(stored(bytes(content)), recipe.name, **recipe.reading())
        list(reading)
        assert (reading.ledger.accepted, reading.ledger.invalid["bad_header"]) == (15, 1)
        assert reading.ledger.missing.sum() == 1

    @pytest.mark.parametrize("name", ["tbn", "drx", "vdif_232", "cor_6", "tbx_4"])
    def test_bytes_between_packets_are_passed_over(self, name, stored):
        recipe = BY_NAME[name]
        packets = packets_of(recipe, recipe.data(4))
        packets.insert(3, b"\x01" * 777)
        reading = read(stored(b"\x02" * 10 + b"".join(packets)), name, **recipe.reading())
        list(reading)
        assert (reading.ledger.accepted, reading.ledger.skipped_nbytes) == (4 * recipe.nsrc, 787)

    def test_seek_and_tell_at_any_moment(self, stored):
        recipe = BY_NAME["tbn"]
        file = stored(b"".join(packets_of(recipe, recipe.data(9))))
        with labdaq.Ring() as ring:
            with DiskReader("tbn", file, ring, nsrc=4, ntime_gulp=2, rate=1960) as reader:
                assert reader.tell() == 0
                while reader.tell() < 24 * 1048:
                    reader.recv()
                place = reader.tell()
                assert place % 1048 == 0
                assert reader.seek(0) == 0
                while reader.recv() != 1:
                    pass
                assert reader.tell() == 36 * 1048
                assert reader.seek(-2 * 1048, 2) == 34 * 1048
                while reader.recv() != 1:
                    pass
                assert reader.ledger().accepted == place // 1048 + 36 + 2
                assert reader.ledger().closes
            assert [len(list(s.read(2))) for s in ring.read()][-1] == 1

    def test_more_than_one_piece_and_a_beginning_in_the_middle(self, tmp_path):
        """Packets lie across the ends of pieces; what is before the place of the file is not read."""
        recipe = BY_NAME["chips_5"]
        data = recipe.data(3000)  # 1.6 MB
        content = b"".join(packets_of(recipe, data))
        path = tmp_path / "packets.dat"
        path.write_bytes(b"x" * 1000 + content)
        with path.open("rb") as file:
            file.seek(1000)
            reading = read(file, recipe.name, ntime_gulp=512, **recipe.reading())
            found = np.concatenate([recipe.payloads(block) for block in reading])
        assert np.array_equal(found, data)
        assert (reading.ledger.skipped_nbytes, reading.ledger.trailing_nbytes) == (0, 0)

    def test_a_file_that_grows_and_one_that_was_closed(self, tmp_path):
        recipe = BY_NAME["simple"]
        packets = packets_of(recipe, recipe.data(40))
        path = tmp_path / "packets.dat"
        path.write_bytes(b"".join(packets[:20]))
        with path.open("rb") as file, labdaq.Ring() as ring, DiskReader("simple", file, ring, nsrc=1) as reader:
            assert [reader.recv(), reader.recv()] == [0, 1]
            with path.open("ab") as more:
                more.write(b"".join(packets[20:]))
            reader.seek(reader.tell())
            assert [reader.recv(), reader.recv()] == [3, 1]
            assert reader.ledger().accepted == 40
            file.close()
            with pytest.raises(ValueError, match="closed"):
                reader.recv()

    def test_a_format_of_unknown_length_asks_for_a_number(self):
        with pytest.raises(labdaq.errors.LayoutError, match="cor_32"):
            read(io.BytesIO(), "cor", nsrc=3)


def test_batches_may_come_from_elsewhere():
    recipe = BY_NAME["simple"]
    batch = Batch.of(packets_of(recipe, recipe.data(3)))
    capture = PacketCapture("simple", Packets(batch), sink := BlockSink(), nsrc=1)
    while capture.recv() != 1:
        pass
    assert len(sink.blocks) == 1


def test_a_writer_and_a_capture_over_the_network():
    recipe = BY_NAME["chips_5"]
    data = recipe.data(1500)  # 4500 packets, more than one call of the system takes
    with UDPSocket() as receiver, UDPSocket() as sender, labdaq.Ring() as ring:
        receiver.bind(Address("127.0.0.1", 0))
        receiver.timeout = 0.1
        sender.connect(receiver.address)
        transmit = UDPTransmit("chips_5", sender)
        transmit.set_rate_limit(30_000)
        with UDPCapture("chips_5", receiver, ring, ntime_gulp=50, nsrc=3) as capture:
            capture.start()
            recipe.send(transmit, data)
            sent = 4500
            waited = labdaq_wait(lambda: capture.ledger().handed_over + (receiver.drops or 0) >= sent)
            assert waited
            capture.stop()
            ledger = capture.ledger()
        assert ledger.closes
        assert ledger.handed_over + (ledger.kernel_drops or 0) == sent
        assert ledger.late == ledger.duplicate == 0


def labdaq_wait(condition):
    import time

    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()
