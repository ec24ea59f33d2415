"""Batches of waveforms on a GPU: :func:`labdaq.kernels.analyse_pulses` and :class:`labdaq.kernels.Histogram`."""

from typing import Any

import numpy as np

from labdaq.kernels.pulse_heights import PULSE, PulseWindow
from labdaq.native.cuda import C_TYPES, Device, Kernel

__all__ = ["HISTOGRAM", "PULSES", "analyse_pulses", "fill"]

PULSES = Kernel(
    "pulses",
    """
KERNEL pulses(const IN *waveforms, double *out, long long samples, long long begin, long long end,
              long long quiet_begin, long long quiet_end, long long polarity, long long n) {
    long long i = THREAD;
    if (i >= n) return;
    const IN *x = waveforms + i * samples;
    double total = 0, squares = 0, height = -INFINITY, integral = 0;
    long long quiet = quiet_end - quiet_begin, position = begin;
    for (long long k = quiet_begin; k < quiet_end; k++) total += x[k];
    double baseline = total / quiet;
    for (long long k = quiet_begin; k < quiet_end; k++) squares += (x[k] - baseline) * (x[k] - baseline);
    for (long long k = begin; k < end; k++) {
        double level = polarity * (x[k] - baseline);
        integral += level;
        if (level > height) { height = level; position = k; }
    }
    out[i] = position;
    out[n + i] = height;
    out[2 * n + i] = integral;
    out[3 * n + i] = baseline;
    out[4 * n + i] = quiet > 1 ? sqrt(squares / (quiet - 1)) : NAN;
}
""",
)

HISTOGRAM = Kernel(
    "histogram",
    """
KERNEL histogram(const double *x, const double *y, const double *x_edges, const double *y_edges, long long x_last,
                 long long y_last, unsigned long long *counts, unsigned long long *missing, long long n) {
    long long i = THREAD, cell = 0;
    if (i >= n) return;
    for (int axis = 0; axis < DIMENSIONS; axis++) {
        double value = axis ? y[i] : x[i];
        const double *edges = axis ? y_edges : x_edges;
        long long last = axis ? y_last : x_last, low = 0, high = last, bin;
        if (isnan(value) || (axis + 1 < DIMENSIONS && isnan(y[i]))) {
            ADD(missing, 1ull);
            return;
        }
        if (!(value >= edges[0])) bin = 0;
        else if (value >= edges[last]) bin = value == edges[last] ? last : last + 1;
        else {
            while (high - low > 1) {
                long long middle = (low + high) / 2;
                if (edges[middle] <= value) low = middle;
                else high = middle;
            }
            bin = low + 1;
        }
        cell = cell * (last + 2) + bin;
    }
    ADD(counts + cell, 1ull);
}
""",
)


def analyse_pulses(device: Device, waveforms: Any, window: PulseWindow) -> dict[str, Any]:
    """See :func:`labdaq.kernels.analyse_pulses`: the columns of PULSE by name. Relative error 1e-15 of the samples."""
    rows = device.xp.ascontiguousarray(waveforms.astype(np.float32) if waveforms.dtype == np.float16 else waveforms)
    names = PULSE.names or ()
    out = device.xp.empty((len(names), len(rows)), np.float64)
    kernel = PULSES.of(IN=C_TYPES[rows.dtype.str[1:]])
    device.launch(kernel, len(rows), rows, out, rows.shape[1], *map(int, window), len(rows))
    columns = zip(names, out, strict=True)
    return {name: column if name != "position" else column.astype(np.int64) for name, column in columns}


def fill(device: Device, columns: list[Any], edges: tuple[Any, ...]) -> tuple[Any, int]:
    """Counts of a batch with what is out of range, in each dimension, and how many were NaN: exact. Waits for it."""
    xp = device.xp
    values = [xp.ascontiguousarray(xp.ravel(one).astype(np.float64)) for one in columns]
    there = [xp.asarray(one) for one in edges]
    counts = xp.zeros([len(one) + 1 for one in edges], np.uint64)
    missing = xp.zeros(1, np.uint64)
    both = values[0], values[-1], there[0], there[-1], len(edges[0]) - 1, len(edges[-1]) - 1
    device.launch(HISTOGRAM.of(DIMENSIONS=len(edges)), values[0].size, *both, counts, missing, values[0].size)
    return device.to_host(counts).astype(np.int64), int(device.to_host(missing)[0])
