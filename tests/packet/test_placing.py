"""The engine against its definition in plain Python: loss, duplicates, disorder, damage, new setups, restarts."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labdaq.errors import BusyError
from labdaq.packet import Batch, BlockSink, CaptureStatus, PacketCapture, Packets
from tests.packet.model import Model
from tests.packet.toy import TOY, stream, toy

REASONS = ("accepted", "late", "duplicate", "bad_header", "wrong_size", "wrong_source", "stray")


def capture(packets, nsrc, gulp=4, open_gulps=2, cuts=(), **options):
    """All blocks, by sequence, and the ledger; the packets come in batches that end at ``cuts``."""
    edges = [0, *sorted({min(cut, len(packets)) for cut in cuts}), len(packets)]
    batches = [packets[a:b] for a, b in itertools.pairwise(edges)]
    sink = BlockSink()
    engine = PacketCapture(TOY, Packets(*batches), sink, nsrc=nsrc, ntime_gulp=gulp, open_gulps=open_gulps, **options)
    statuses = []
    while not statuses or statuses[-1] not in (CaptureStatus.ENDED, CaptureStatus.NO_DATA):
        statuses.append(engine.recv())
        assert engine.ledger().closes
    return list(sink.blocks), engine.ledger(), statuses


def placed(blocks):
    """Everything that is present: a dictionary for each sequence, in order of their first blocks."""
    found = {}
    for block in blocks:
        here = found.setdefault(id(block.header), {})
        for frame, src in np.argwhere(block.present).tolist():
            here[block.seq + frame, src] = block.data[frame, src].tobytes()
        assert not block.data[~block.present].any()
    return list(found.values())


def counts_of(ledger, nsrc):
    found = Counter()
    for reason in REASONS:
        for src, count in enumerate(ledger.by_source[reason].tolist()):
            if count:
                found[reason, src if src < nsrc else None] = count
    return found


def check_against_model(packets, nsrc, gulp, open_gulps, cuts):
    model = Model(nsrc, gulp, open_gulps)
    for packet in packets:
        model.feed(packet)
    model.finish()
    blocks, ledger, _ = capture(packets, nsrc, gulp, open_gulps, cuts)
    assert placed(blocks) == [s.placed for s in model.sequences if s.placed]
    assert counts_of(ledger, nsrc) == model.counts
    assert ledger.handed_over == len(packets)
    assert ledger.expected[0] == sum(s.next - s.first for s in model.sequences)
    assert ledger.closes


@st.composite
def arrivals(draw):
    """Streams with everything that happens to packets on their way."""
    nsrc = draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    packets, seq = [], draw(st.integers(0, 50))
    for _ in range(draw(st.integers(1, 4))):
        frames = draw(st.integers(1, 30))
        packets += stream(
            seq, seq + frames, nsrc, chan=draw(st.sampled_from([7, 8])), tone=draw(st.sampled_from([0, 1]))
        )
        seq = draw(st.sampled_from([seq + frames, seq + frames + 40, seq + 10**9, max(0, seq - 20), 0]))
    kept = [p for p in packets if rng.random() > draw(st.sampled_from([0, 0.3]))]
    doubled = [p for p in kept for _ in range(1 + (rng.random() < 0.1))]
    shift = draw(st.sampled_from([0, 5, 60]))
    order = np.argsort(np.arange(len(doubled)) + rng.uniform(0, shift + 1e-9, len(doubled)), kind="stable")
    arrived = [doubled[i] for i in order]
    damaged = [damage(p, rng) if rng.random() < draw(st.sampled_from([0, 0.1])) else p for p in arrived]
    return damaged, nsrc


def damage(packet, rng):
    kind = rng.integers(3)
    if kind == 0:
        return packet[: rng.integers(len(packet))]
    if kind == 1:
        place = rng.integers(len(packet))
        return packet[:place] + bytes([packet[place] ^ (1 << rng.integers(8))]) + packet[place + 1 :]
    return rng.bytes(rng.integers(1, 30))


class TestAgainstTheDefinition:
    @settings(max_examples=300)
    @given(arrivals(), st.integers(1, 6), st.integers(1, 3), st.lists(st.integers(0, 300), max_size=3))
    def test_anything_that_arrives(self, arrived, gulp, open_gulps, cuts):
        packets, nsrc = arrived
        check_against_model(packets, nsrc, gulp, open_gulps, cuts)

    @settings(max_examples=30)
    @given(st.lists(st.binary(max_size=40), max_size=50), st.integers(1, 3))
    def test_noise(self, packets, nsrc):
        check_against_model(packets, nsrc, 4, 2, ())


class TestOrder:
    def test_disorder_within_the_window_is_put_right(self):
        packets = stream(0, 32, 2)
        order = np.argsort(np.arange(64) + np.random.default_rng(1).uniform(0, 7, 64))
        blocks, ledger, _ = capture([packets[i] for i in order], 2)
        assert all(block.present.all() for block in blocks)
        assert (ledger.accepted, ledger.missing.sum()) == (64, 0)

    def test_what_is_missing_is_zero_and_marked(self):
        packets = stream(5, 17, 3)
        del packets[10:14]
        blocks, ledger, _ = capture(packets, 3)
        present = np.concatenate([block.present for block in blocks]).ravel()
        assert np.flatnonzero(~present).tolist() == [10, 11, 12, 13]
        assert ledger.missing.tolist() == [1, 2, 1]

    def test_a_duplicate_changes_nothing(self):
        packets = stream(0, 8, 2)
        packets.insert(5, toy(1, 0, payload=b"else"))
        blocks, ledger, _ = capture(packets, 2)
        assert placed(blocks) == placed(capture(stream(0, 8, 2), 2)[0])
        assert ledger.by_source["duplicate"].tolist() == [1, 0, 0]

    def test_one_open_gulp_or_many(self):
        packets = stream(0, 24, 1)
        packets.insert(14, packets.pop(9))  # 9 comes behind 14, in another gulp
        for open_gulps, late in [(1, 1), (2, 0), (7, 0)]:
            _, ledger, _ = capture(packets, 1, gulp=4, open_gulps=open_gulps)
            assert (ledger.accepted, ledger.late) == (24 - late, late)

    def test_the_last_span_may_be_short(self):
        blocks, _, statuses = capture(stream(0, 10, 1), 1, gulp=4)
        assert [len(block.data) for block in blocks] == [4, 4, 2]
        assert statuses[0] == CaptureStatus.STARTED
        assert statuses[-1] == CaptureStatus.ENDED


class TestSequences:
    def test_a_new_setup_begins_exactly_at_its_packet(self):
        blocks, ledger, statuses = capture(stream(0, 9, 2) + stream(9, 20, 2, chan=8), 2)
        assert [(b.seq, b.header["chan"]) for b in blocks if b.seq in (0, 9)] == [(0, 7), (9, 8)]
        assert [len(s) for s in placed(blocks)] == [18, 22]
        assert CaptureStatus.CHANGED in statuses
        assert ledger.accepted == 40

    def test_so_does_a_value_of_one_source(self):
        packets = stream(0, 8, 2) + [toy(seq, src, tone=src) for seq in range(8, 16) for src in range(2)]
        blocks, ledger, _ = capture(packets, 2)
        assert [len(s) for s in placed(blocks)] == [18, 14]  # those of the other source between fit both
        assert blocks[-1].header["tone"] == (0, 1)
        assert ledger.accepted == 32

    def test_a_sender_that_starts_again(self):
        blocks, ledger, _ = capture(stream(1000, 1040, 2) + stream(0, 40, 2), 2)
        assert [len(s) for s in placed(blocks)] == [80, 80]
        assert ledger.late == 0

    def test_a_sender_that_starts_again_within_the_window(self):
        _, ledger, _ = capture(stream(0, 6, 1) + stream(0, 40, 1), 1, gulp=4)
        assert ledger.duplicate == 4
        assert ledger.accepted == 6 + 36

    def test_a_jump_makes_no_empty_gulps(self):
        blocks, ledger, _ = capture(stream(0, 10, 1) + stream(10**9, 10**9 + 10, 1), 1)
        assert ledger.expected.tolist() == [20]
        assert [len(s) for s in placed(blocks)] == [10, 10]

    def test_one_damaged_number_splits_nothing(self):
        packets = stream(0, 40, 1)
        packets[20] = toy(1 << 40, 0)
        blocks, ledger, _ = capture(packets, 1)
        assert len(placed(blocks)) == 1
        assert (ledger.invalid["stray"], ledger.missing.tolist()) == (1, [1])

    def test_time_goes_with_numbers(self):
        blocks, _, _ = capture(stream(3, 20, 1), 1, gulp=4)
        assert [(block.time_tag, block.seq) for block in blocks] == [(n, n) for n in (3, 7, 11, 15, 19)]

    def test_alignment_only_when_asked_for(self):
        free, _, _ = capture(stream(3, 40, 1), 1)
        aligned, ledger, _ = capture(stream(3, 40, 1), 1, align=True, ntime_slot=10)
        assert (free[0].seq, aligned[0].seq) == (3, 10)
        assert (ledger.late, ledger.expected.tolist()) == (7, [30])

    def test_numbers_up_to_the_largest(self):
        end = 1 << 62
        _, ledger, _ = capture([*stream(end - 10, end, 1), toy(end), toy((1 << 64) - 1)], 1)
        assert (ledger.accepted, ledger.invalid["bad_header"]) == (10, 2)


def test_a_batch_knows_its_packets():
    batch = Batch.of([b"abc", b"", b"defg"])
    assert [batch.packet(i).tobytes() for i in range(3)] == [b"abc", b"", b"defg"]


def test_a_callback_that_raises_ends_the_capture():
    def start(setup):
        raise ValueError("no such telescope")

    engine = PacketCapture(TOY, Packets(stream(0, 9, 2)), BlockSink(), nsrc=2, sequence_callback=start)
    with pytest.raises(ValueError, match="no such telescope"):
        engine.recv()
    assert engine.ledger().closes
    with pytest.raises(ValueError, match="no such telescope"):
        engine.recv()
    engine.close()


def test_a_callback_cannot_stop_its_capture():
    def start(setup):
        engine.stop()
        return 0, {}

    engine = PacketCapture(TOY, Packets(stream(0, 9, 2)), BlockSink(), nsrc=2, sequence_callback=start)
    with pytest.raises(BusyError):
        engine.recv()
    engine.close()
