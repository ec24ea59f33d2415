"""How quick labdaq is on a GPU, against limits that are measured in the same minute.

    python -m tests.device.measure [--out figures.json]

Each figure stands beside its limit: what the machine does when nothing but the copy, or nothing but the library's
call, is asked for. Work is repeated until it takes a tenth of a second or more, in five rounds; the median counts.
"""

import argparse
import json
import statistics
import sys
import threading
import time
from pathlib import Path

import numpy as np

import labdaq
from labdaq import kernels
from labdaq.errors import LabdaqError
from labdaq.native.cuda import cuda_device

ROUNDS = 5
LENGTH, TAPS, MEAN = 4096, 4, 64  # of the spectrometer
CHANNELS, INPUTS = 128, 64  # of the correlator


def seconds(device, work, least_s=0.1):
    """How long a piece of work takes on this thread's stream."""

    def lasts(count):
        begin = time.perf_counter()
        for _ in range(count):
            work()
        device.stream().synchronize()
        return time.perf_counter() - begin

    lasts(1)  # compiled, and memory taken
    count = max(1, int(least_s / max(lasts(1), 1e-7)))
    return statistics.median(lasts(count) for _ in range(ROUNDS)) / count


class Figures:
    """What was measured, as lines of a table."""

    def __init__(self):
        self.rows = []

    def add(self, name, value, unit, limit=None, wanted="", is_time=False):
        """A figure, its limit in the same unit, and the ratio that is wanted of them."""
        ratio = None if limit is None else (limit / value if is_time else value / limit)
        self.rows.append({"name": name, "value": value, "unit": unit, "limit": limit, "ratio": ratio, "wanted": wanted})
        shown = f"{name:44} {value:12.4g} {unit:6}"
        print(shown + ("" if limit is None else f" of {limit:10.4g}  = {ratio:5.2f}  ({wanted})"), flush=True)


def ceilings(device, figures, nbytes):
    """What the machine can do: copies there, back, both at once, and on the device."""
    xp = device.xp
    pinned, other = device.allocate_pinned(nbytes), device.allocate_pinned(nbytes)
    there, back = device.allocate(nbytes), device.allocate(nbytes)
    down, up = device.new_stream(), device.new_stream()

    def both():
        with down:
            device.copy(there, pinned)
        with up:
            device.copy(other, back)
        down.synchronize()
        up.synchronize()

    found = {
        "to the device": nbytes / seconds(device, lambda: device.copy(there, pinned)),
        "from the device": nbytes / seconds(device, lambda: device.copy(other, there)),
        "both at once, each": nbytes / seconds(device, both),
        "on the device, read and written": 2 * nbytes / seconds(device, lambda: xp.copyto(back, there)),
    }
    for name, rate in found.items():
        figures.add(f"limit: copies {name}", rate / 1e9, "GB/s")
    return found


def write_spans(ring, gulp, spans, took):
    """Hand spans over; the time when the rings were full for the first time."""
    with ring.begin_writing() as writer, writer.begin_sequence() as sequence:
        for number in range(spans):
            with sequence.reserve(gulp) as span:
                span.data[:1] = number % 256  # the memory is there; what is in it does not matter
            if number == 3:
                took.append(time.perf_counter())


def read_spans(reader, gulp, took):
    """Look at each span, which waits for its copy; the time when all were there."""
    for sequence in reader:
        for span in sequence.read(gulp):
            _ = span.data[:1]
    took.append(time.perf_counter())


def ring_copy(figures, limit, spaces, gulp, spans=64):
    """Pinned ring to device ring to pinned ring, each step in a thread of its own."""
    rings = [labdaq.Ring(space=space) for space in spaces]
    for ring in rings:
        ring.resize(gulp, 4 * gulp)
    first, middle, last = rings
    took, reader = [], last.read()
    steps = (
        (read_spans, (reader, gulp, took)),
        (labdaq.copy, (middle, last)),
        (labdaq.copy, (first, middle)),
        (write_spans, (first, gulp, spans, took)),
    )
    threads = [threading.Thread(target=step, args=arguments) for step, arguments in steps]
    for thread in threads:
        thread.start()
        time.sleep(0.2)  # each has joined before there is anything to read
    for thread in threads:
        thread.join()
    for ring in rings:
        ring.close()
    rate = (spans - 4) * gulp / (took[1] - took[0])
    figures.add("rings: host to device to host", rate / 1e9, "GB/s", limit / 1e9, "at least 0.9")


def span_overhead(figures, space, spans=2000):
    """What handing a span over costs: reserve, take a view, commit; acquire, take a view, release."""
    with labdaq.Ring(space=space) as ring:
        ring.resize(4096, 16384)
        with ring.read() as reader, ring.begin_writing() as writer, writer.begin_sequence() as sequence:
            reading = reader.next_sequence()

            def some(count, position):
                for number in range(position, position + count):
                    with sequence.reserve(4096) as span:
                        _ = span.data
                    with reading.acquire(4096 * number, 4096) as span:
                        _ = span.data

            some(100, 0)
            begin = time.perf_counter()
            some(spans, 100)
            each = (time.perf_counter() - begin) / spans
    figures.add("rings: overhead of a span, written and read", 1e6 * each, "us", 20.0, "at most 20", is_time=True)


def memory_bound(device, figures, limit, count):
    """Kernels that do little with each byte."""
    xp = device.xp
    packed, floats = xp.zeros(count, np.uint8), xp.zeros((MEAN * (count // 1024 // MEAN), 256), np.float32)
    voltages = xp.zeros(count // 8, np.complex64)
    work = {
        "unpack ci4": (9 * count, lambda: kernels.unpack(packed, "ci4")),
        "quantise to ci8": (10 * voltages.size, lambda: kernels.quantise(voltages, "ci8", 2.0)),
        "power": (12 * voltages.size, lambda: kernels.power(voltages)),
        f"integrate {MEAN}": (floats.nbytes + floats.nbytes // MEAN, lambda: kernels.integrate(floats, MEAN)),
    }
    for name, (nbytes, do) in work.items():
        figures.add(f"kernel: {name}", nbytes / seconds(device, do) / 1e9, "GB/s", limit / 1e9, "at least 0.8")


def spectrometer(device, figures, limit, samples):
    """ci8 to means of power spectra, against the sum of its floors: bytes at the copy rate, and cuFFT alone."""
    xp = device.xp
    spectra = samples // LENGTH - TAPS + 1
    raw, window = xp.zeros((samples, 2), np.int8), kernels.pfb_window(LENGTH, TAPS)
    blocks = xp.zeros((spectra, LENGTH), np.complex64)

    def work():
        voltages = kernels.unpack(raw, "ci8")[:, 0]
        return kernels.integrate(kernels.power(kernels.channelise(voltages, LENGTH, window)), MEAN)

    transform_s = seconds(device, lambda: xp.fft.fft(blocks, axis=1))
    numbers = spectra * LENGTH
    moved = samples * (2 + 8) + numbers * (8 + 8) + numbers * (8 + 4) + numbers * 4  # unpack, fold, power, integrate
    floors = moved / limit + transform_s
    took = seconds(device, work)
    figures.add("floor: bytes of the spectrometer", 1e3 * moved / limit, "ms")
    figures.add("floor: cuFFT of the spectrometer", 1e3 * transform_s, "ms")
    figures.add("spectrometer, ci8 to mean powers", 1e3 * took, "ms", 1e3 * floors, "at least 0.7", is_time=True)
    figures.add("spectrometer, samples", samples / took / 1e6, "MS/s")


def correlator(device, figures, frames):
    """Visibilities of ci8 voltages, against the product of matrices alone."""
    xp = device.xp
    raw = xp.zeros((frames, CHANNELS, INPUTS, 2), np.int8)
    ready = xp.zeros((CHANNELS, INPUTS, frames), np.complex64)
    turned = xp.ascontiguousarray(ready.conj().swapaxes(-1, -2))
    product_s = seconds(device, lambda: xp.matmul(ready, turned))
    took = seconds(device, lambda: kernels.correlate(kernels.unpack(raw, "ci8")[..., 0]))
    figures.add("correlator, ci8", 1e3 * took, "ms", 1e3 * product_s, "at least 0.5", is_time=True)


def measure(device, spaces=("cuda_host", "cuda", "cuda_host"), *, nbytes=1 << 30):
    """All figures; `nbytes` is the size of the larger arrays."""
    figures = Figures()
    with device.new_stream():
        limits = ceilings(device, figures, nbytes // 4)
        ring_copy(figures, limits["both at once, each"], spaces, nbytes // 64)
        span_overhead(figures, spaces[1])
        limit = limits["on the device, read and written"]
        memory_bound(device, figures, limit, nbytes // 4)
        spectrometer(device, figures, limit, nbytes // 16)
        correlator(device, figures, max(16, nbytes // 16 // CHANNELS // INPUTS))
    return figures.rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="write the figures here, as JSON")
    chosen = parser.parse_args()
    try:
        device = cuda_device()
    except LabdaqError as missing:
        sys.exit(f"nothing was measured: {missing}")
    gpu = device.xp.cuda.runtime.getDeviceProperties(0)["name"].decode()
    print(f"{gpu}, CuPy {device.xp.__version__}, labdaq {labdaq.__version__}")
    rows = measure(device)
    if chosen.out:
        about = {"gpu": gpu, "cupy": device.xp.__version__, "labdaq": labdaq.__version__, "figures": rows}
        chosen.out.write_text(json.dumps(about, indent=1))


if __name__ == "__main__":
    main()
