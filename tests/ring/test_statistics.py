"""Numbers that balance, name who is in the way, and can be read from another process."""

import dataclasses
import json
import logging
import subprocess
import sys
import time

import pytest

import labdaq
from labdaq.ring import RingStatistics, clean, leftovers, statistics_of_all
from labdaq.ring.statistics import GroupStatistics, ParticipantStatistics


@pytest.fixture
def ring():
    with labdaq.Ring("counted", dtype="i8", shape=(2,), capacity=8) as ring:
        yield ring


def test_numbers_balance(ring):
    observer = ring.observer()
    with ring.writer(label="w") as writer, ring.reader("g", label="r") as reader:
        for number in range(8):
            with writer.reserve() as event:
                event.data[:] = number
                if number == 3:
                    event.void()
        for _ in range(5):
            reader.read()
        reader.release()
        for number in range(4):
            writer.put([number, number])
        held = writer.reserve()
        observer.read()
        found = ring.statistics()
        held.commit()
    observer.close()
    assert (found.name, found.space, found.state) == ("counted", "system", "open")
    assert (found.capacity, found.frame_nbytes) == (8, 16)
    assert (found.frames_written, found.voided, found.frames_reserved, found.frames_read) == (11, 1, 1, 6)
    assert found.fill == pytest.approx(7 / 8)
    (group,) = found.groups
    assert (group.name, group.declared, group.members) == ("g", False, 1)
    assert (group.frames, group.lag, group.open_claims) == (6, 7, 0)
    assert [(one.name, one.role, one.frames, one.spans) for one in found.writers] == [("w", "writer", 11, 12)]
    assert [(one.name, one.role, one.group, one.lag) for one in found.readers] == [("r", "reader", "g", 7)]
    assert [(one.role, one.frames, one.skipped, one.lag) for one in found.observers] == [("observer", 1, 5, 7)]
    assert found.lag == {"r": 7, "MainThread": 7}


def test_what_was_lost_is_counted(ring):
    with ring.writer() as writer:
        for number in range(20):
            writer.put([number, 0])
    with ring.reader("g") as reader:
        assert ring.statistics().missed == 12
        with pytest.raises(ZeroDivisionError), ring.reader("g") as other:  # noqa: PT012 - so is a filter that fails
            other.read()
            raise ZeroDivisionError
        assert reader.read().redelivered
        assert ring.statistics().readers[0].redelivered == 1
    assert ring.statistics().redelivered == 1


def test_never_negative_while_a_later_claim_is_voided(ring):
    with ring.writer() as writer:
        first, second = writer.reserve(), writer.reserve()
        second.void()
        assert ring.statistics().frames_written == 0
        first.commit()
        assert (ring.statistics().frames_written, ring.statistics().voided) == (1, 1)


def test_rates_are_since_the_last_look(ring):
    ring.statistics()
    with ring.writer() as writer, ring.reader() as reader:
        for _ in range(5):
            writer.put([1, 1])
            reader.read()
        reader.release()
        found = ring.statistics()
        assert found.written_per_s > 0
        assert found.read_per_s > 0
        time.sleep(0.001)
        assert ring.statistics().written_per_s == 0


def test_rates_of_a_new_ring_are_its_own():
    for count in (100, 1, 0):
        with labdaq.Ring(dtype="i8", capacity=8) as ring:
            with ring.writer() as writer:
                for number in range(count):
                    writer.put(number)
            found = ring.statistics()
            assert found.written_per_s >= 0
            assert (found.written_per_s > 0) == (count > 0)


def test_a_claim_that_is_held_for_long_is_named_and_warned_about(ring, caplog):
    caplog.set_level(logging.WARNING, "labdaq.ring")
    with ring.writer(label="sleeper") as writer, ring.writer() as other, ring.reader() as reader:
        event = writer.reserve()
        assert ring.statistics().oldest_claim_age_s < 1
        other.put([1, 1])  # has to wait behind it, which alone is worth a warning
        with pytest.raises(labdaq.errors.WaitTimeoutError):
            reader.read(timeout=1.2)
        found = ring.statistics()
        assert found.oldest_claim_age_s > 1
        assert found.oldest_claim_owner == "writer 'sleeper' in this process"
        event.commit()
        assert (ring.statistics().oldest_claim_age_s, ring.statistics().oldest_claim_owner) == (0, "")
    (record,) = caplog.records
    assert "'sleeper'" in record.getMessage()
    assert "'counted'" in record.getMessage()


@pytest.mark.parametrize("kind", [RingStatistics, GroupStatistics, ParticipantStatistics])
def test_they_are_frozen(kind):
    assert dataclasses.is_dataclass(kind)
    assert kind.__dataclass_params__.frozen


def test_pictures(ring):
    ring.group("<b>wild</b>")
    html = ring._repr_html_()
    assert "<svg" in html
    assert "&lt;b&gt;wild" in html
    assert "<b>wild" not in html
    assert "<script" not in html
    assert repr(ring) == "<ring 'counted' of 8 x int64 (2,) in system memory>"
    ring.close()
    assert "closed" in repr(ring)
    assert "closed" in ring._repr_html_()


def test_a_ring_without_memory_has_a_picture():
    with labdaq.Ring("new") as ring:
        assert "0 x bytes" in repr(ring)
        assert "<svg" in ring._repr_html_()
        assert ring.statistics().capacity == 0


LOOK = """
import json
from dataclasses import asdict
from labdaq.ring import statistics_of_all, leftovers
print(json.dumps([[asdict(ring) for ring in statistics_of_all()], leftovers()]))
"""


def test_another_process_sees_shared_rings_and_disturbs_nobody():
    with labdaq.Ring("seen elsewhere", dtype="i8", capacity=8, space="shared") as ring, ring.writer() as writer:
        writer.put(1)
        ring.group("g")
        event = writer.reserve()
        done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True)
        rings, left = json.loads(done.stdout)
        (found,) = [one for one in rings if one["name"] == "seen elsewhere"]
        assert (found["frames_written"], found["frames_reserved"], found["capacity"]) == (1, 1, 8)
        assert found["oldest_claim_owner"].startswith("writer 'MainThread' in process ")
        assert [group["name"] for group in found["groups"]] == ["g"]
        assert not any(ring._core.token in name for name in left)
        assert "seen elsewhere" in [one.name for one in statistics_of_all()]
        event.commit()


CRASH = """
import os, labdaq
ring = labdaq.Ring("crashed", dtype="i8", capacity=8, space="shared")
print(ring._core.token, flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="processes are killed by signals")
def test_what_a_crash_left_is_found_and_cleaned():
    with labdaq.Ring(dtype="i8", capacity=8, space="shared") as alive:
        done = subprocess.run([sys.executable, "-c", CRASH], capture_output=True, text=True)
        token = done.stdout.strip()
        assert {f"{token}.ring", f"{token}.1"} <= set(leftovers())
        removed = clean()
        assert {f"{token}.ring", f"{token}.1"} <= set(removed)
        assert not any(name.startswith(token) for name in leftovers())
        with alive.writer() as writer:
            writer.put(1)


def test_frames_written_never_go_back_while_one_is_taken_back_behind_an_open_claim():
    with labdaq.Ring(dtype="i8", capacity=16) as ring, ring.writer() as one, ring.writer() as other:
        for number in range(3):
            one.put(number)
        assert ring.statistics().frames_written == 3
        with one.reserve() as event:
            event.data[...] = 3
            other.reserve(4).void()
            assert ring.statistics().frames_written == 3
        after = ring.statistics()
        assert (after.frames_written, after.voided) == (4, 4)
