"""From voltages to means of powers on a GPU: `power`, `coherences`, `stokes`, `integrate` of :mod:`labdaq.kernels`."""

from typing import Any

import numpy as np

from labdaq.errors import LayoutError
from labdaq.native.cuda import C_TYPES, Device, Kernel

__all__ = ["INTEGRATE", "POWER", "PRODUCTS", "integrate", "power", "products"]

POWER = Kernel(
    "power",
    """
KERNEL power(const REAL *parts, REAL *out, long long n) {
    long long i = THREAD;
    if (i >= n) return;
    REAL re = parts[2 * i], im = parts[2 * i + 1];
    out[i] = re * re + im * im;
}
""",
)

PRODUCTS = Kernel(
    "products",
    """
KERNEL products(const REAL *parts, REAL *out, long long n) {
    long long i = THREAD;
    if (i >= n) return;
    REAL a = parts[4 * i], b = parts[4 * i + 1], c = parts[4 * i + 2], d = parts[4 * i + 3];
    REAL xx = a * a + b * b, yy = c * c + d * d, re = a * c + b * d, im = b * c - a * d;
    out[4 * i] = STOKES ? xx + yy : xx;
    out[4 * i + 1] = STOKES ? xx - yy : yy;
    out[4 * i + 2] = STOKES ? 2 * re : re;
    out[4 * i + 3] = STOKES ? -2 * im : im;
}
""",
)

INTEGRATE = Kernel(
    "integrate",
    """
KERNEL integrate(const IN *frames, const double *weights, OUT *out, long long count, long long inner, long long each,
                 long long n) {
    long long i = THREAD;
    if (i >= n) return;
    long long mean = i / inner, at = i % inner;
    double sum = 0, total = WEIGHTED ? 0 : (double)count;
    for (long long frame = mean * count; frame < (mean + 1) * count; frame++) {
        double value = frames[frame * inner + at];
        if (WEIGHTED) {
            double weight = weights[(frame * inner + at) / each];
            sum += weight * value;
            total += weight;
        } else sum += value;
    }
    out[i] = (OUT)(sum / total);
}
""",
)


def _floats(voltages: Any) -> Any:
    if voltages.dtype.kind not in "iufc":
        raise LayoutError(f"voltages of {voltages.dtype}: numbers are needed; unpack() first")
    return voltages.astype(np.float32) if voltages.dtype.kind in "iu" or voltages.dtype == np.float16 else voltages


def power(device: Device, voltages: Any) -> Any:
    """See :func:`labdaq.kernels.power`. Relative error 1.2e-7 of 32 bits, 2.3e-16 of 64."""
    array = _floats(voltages)
    if array.dtype.kind != "c":
        return array * array
    parts = device.xp.ascontiguousarray(array)
    out = device.xp.empty(array.shape, array.real.dtype)
    device.launch(POWER.of(REAL=C_TYPES[out.dtype.str[1:]]), out.size, parts, out, out.size)
    return out


def products(device: Device, voltages: Any, *, stokes: bool) -> Any:
    """See :func:`labdaq.kernels.coherences` and :func:`labdaq.kernels.stokes`. Errors as of `power`, of I."""
    array = _floats(voltages)
    if array.ndim == 0 or array.shape[-1] != 2:
        raise LayoutError(f"voltages of shape {array.shape}: the last axis must be two polarisations, X and Y")
    wide = np.complex128 if array.dtype in (np.complex128, np.float64) else np.complex64
    pairs = device.xp.ascontiguousarray(array.astype(wide, copy=False))
    out = device.xp.empty((*array.shape[:-1], 4), pairs.real.dtype)
    kernel = PRODUCTS.of(REAL=C_TYPES[out.dtype.str[1:]], STOKES=int(stokes))
    device.launch(kernel, out.size // 4, pairs, out, out.size // 4)
    return out


def integrate(device: Device, parted: Any, spread: Any) -> Any:
    """See :func:`labdaq.kernels.integrate`; frames are ``(mean, frame, …)``. Relative error 6e-8, or 1e-15 of 64 bits.

    Parameters
    ----------
    spread
        Weights with the axes of `parted`, of length 1 behind the last one they have; or None.
    """
    xp = device.xp
    if parted.dtype == np.float16:
        parted = parted.astype(np.float32)
    numbers = xp.ascontiguousarray(parted)
    is_complex = numbers.dtype.kind == "c"
    real = numbers.real.dtype if is_complex else numbers.dtype
    wanted = np.dtype(np.float32 if real == np.float32 else np.float64)
    means, count = parted.shape[:2]
    out = xp.empty((means, *parted.shape[2:]), np.result_type(wanted, np.complex64) if is_complex else wanted)
    size = out.size * (1 + is_complex)
    inner = size // means if means else 1
    weights = xp.ascontiguousarray(xp.zeros(1) if spread is None else spread)
    each = max(1, numbers.size * (1 + is_complex) // weights.size) if weights.size else 1
    kernel = INTEGRATE.of(IN=C_TYPES[real.str[1:]], OUT=C_TYPES[wanted.str[1:]], WEIGHTED=int(spread is not None))
    device.launch(kernel, size, numbers, weights, out, count, inner, each, size)
    return out
