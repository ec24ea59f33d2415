"""The muon suite on mimoCoRB itself: a script of its own, for a Python that has mimocorb and SciPy.

    python mimocorb_suite.py pool.npy events

One source process replays the pool, two filter processes look for double pulses with SciPy as mimoCoRB's own
example does (peaks by prominence, coincidences, signatures), one process writes text and one Parquet. Prints one
line of JSON: events, accepted, seconds between the first event written and the last one filtered.
"""

import json
import os
import sys
import tempfile
import time
import types
from multiprocessing import get_context

import numpy as np

# The module with the window needs a display and Tk; nothing of it is used here.
sys.modules["mimocorb.bufferinfoGUI"] = types.SimpleNamespace(bufferinfoGUI=None)

from mimocorb import buffer_control, mimo_buffer  # noqa: E402
from mimocorb_suite_settings import (  # noqa: E402 - it lies beside this script
    DISTANCE,
    FIRST_MV,
    SECOND_MV,
    SIGNATURES,
    WIDTH,
    WINDOW,
)
from scipy.signal import find_peaks  # noqa: E402

CHANNELS = ("chA", "chB", "chC", "chD")
fork = get_context("fork")


def peaks_of(event):
    found = [find_peaks(event[ch], prominence=SECOND_MV, distance=DISTANCE, width=WIDTH) for ch in CHANNELS]
    return [positions for positions, _ in found], [about["prominences"] for _, about in found]


def coincidences(positions):
    """Groups of peaks that come within the window: an index for each channel, or -1."""
    used, groups = [0] * len(positions), []
    while True:
        waiting = [p[u] if u < len(p) else None for p, u in zip(positions, used, strict=True)]
        left = [p for p in waiting if p is not None]
        if not left:
            return groups
        first, group = min(left), []
        for channel, p in enumerate(waiting):
            is_in = p is not None and abs(p - first) < WINDOW
            group.append(used[channel] if is_in else -1)
            used[channel] += is_in
        groups.append(group)


def matches(group, word):
    return all(s == "0" or (s == "+") == (index >= 0) for s, index in zip(word, group, strict=True))


def find(event):
    positions, prominences = peaks_of(event)
    groups = coincidences(positions)
    if len(groups) < 2:
        return None
    for row, least in ((0, FIRST_MV), (1, SECOND_MV)):
        for channel, index in enumerate(groups[row]):
            if index >= 0 and prominences[channel][index] < least:
                groups[row][channel] = -1
    for words in SIGNATURES:
        if all(matches(group, word) for group, word in zip(groups, words, strict=False)):
            return [pulses(groups, positions, prominences)]
    return None


PULSES = [("decay_time", "int32")] + [
    (f"{order}_{ch}_{what}", kind)
    for order in ("1st", "2nd")
    for ch in CHANNELS
    for what, kind in (("p", "int32"), ("h", "float32"))
]


def pulses(groups, positions, prominences):
    record = np.zeros(1, PULSES)
    means = []
    for order, group in zip(("1st", "2nd"), groups, strict=False):
        for channel, index in zip(range(4), group, strict=True):
            if index >= 0:
                record[f"{order}_{CHANNELS[channel]}_p"] = positions[channel][index]
                record[f"{order}_{CHANNELS[channel]}_h"] = prominences[channel][index]
        means.append(np.mean([positions[channel][index] for channel, index in enumerate(group) if index >= 0]))
    record["decay_time"] = 10 * (means[1] - means[0])
    return record


def source(sink, path, events, begun):
    pool = np.load(path)

    def give():
        begun.value = time.monotonic()
        for number in range(events):
            yield pool[number % len(pool)], None
        yield None, None

    buffer_control.rbImport([sink], {}, give, RB_1="write")()


def filtering(read, sinks, done, accepted, ended):
    def counted(event):
        found = find(event)
        with done.get_lock():
            done.value += 1
            accepted.value += found is not None
            ended.value = time.monotonic()
        return found

    buffer_control.rbTransfer([read], sinks, {}, counted, RB_1="read", RB_2="write", RB_3="write")()


def texts(read, folder):
    buffer_control.rb_toTxtfile([read], {"directory_prefix": folder, "filename": "pulses"}, RB_3="read")()


def parquet(read, folder):
    buffer_control.rb_toParquetfile([read], {"directory_prefix": folder, "filename": "waveforms"}, RB_2="read")()


def main():
    path, events = sys.argv[1], int(sys.argv[2])
    waveform = [(ch, "float32") for ch in CHANNELS]
    raw, accepted_waves = (mimo_buffer.NewBuffer(128, 4250, waveform) for _ in range(2))
    parameters = mimo_buffer.NewBuffer(32, 1, PULSES)
    begun, ended = fork.Value("d", 0.0), fork.Value("d", 0.0)
    done, accepted = fork.Value("q", 0), fork.Value("q", 0)
    with tempfile.TemporaryDirectory() as folder:
        to_waves, to_parameters = accepted_waves.new_writer(), parameters.new_writer()
        read_raw, read_waves, read_parameters = (
            buffer.new_reader_group() for buffer in (raw, accepted_waves, parameters)
        )
        works = [
            (texts, (read_parameters, folder)),
            (parquet, (read_waves, folder)),
            *[(filtering, (read_raw, [to_waves, to_parameters], done, accepted, ended))] * 2,
            (source, (raw.new_writer(), path, events, begun)),
        ]
        processes = [fork.Process(target=target, args=arguments, daemon=True) for target, arguments in works]
        for process in processes:
            process.start()
        while done.value < events:
            time.sleep(0.05)
        seconds = ended.value - begun.value
        print(json.dumps({"events": events, "accepted": accepted.value, "seconds": seconds}), flush=True)
        for process in processes:
            process.kill()
    os._exit(0)  # its threads wait for readers that are gone


if __name__ == "__main__":
    main()
