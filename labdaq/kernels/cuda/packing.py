"""Few-bit integers on a GPU: :func:`labdaq.kernels.unpack` and :func:`labdaq.kernels.quantise`."""

from typing import Any

import numpy as np

from labdaq.errors import LayoutError
from labdaq.kernels.quantise import Quantised, fewbit
from labdaq.kernels.unpack import kind_of
from labdaq.native.cuda import C_TYPES, Device, Kernel

__all__ = ["QUANTISE", "UNPACK", "quantise", "unpack"]

UNPACK = Kernel(
    "unpack",
    """
KERNEL unpack(const unsigned char *data, float *out, long long n) {
    long long i = THREAD;
    if (i >= n) return;
    for (int j = 0; j < 8 / BITS; j++) {
        int shift = BITS * (LITTLE ? j : 8 / BITS - 1 - j);
        int field = (data[i] >> shift) & ((1 << BITS) - 1);
        if (SIGNED) field = BITS == 1 ? 1 - 2 * field : (field ^ (1 << (BITS - 1))) - (1 << (BITS - 1));
        out[i * (8 / BITS) + j] = field;
    }
}
""",
)

QUANTISE = Kernel(
    "quantise",
    """
KERNEL quantise(const IN *values, OUT *out, unsigned long long *clipped, double scale, double smallest, double largest,
                long long n) {
    long long i = THREAD;
    if (i >= n) return;
    unsigned packed = 0, bad = 0;
    for (int j = 0; j < PER_ITEM; j++) {
        double value = values[i * PER_ITEM + j], whole = rint(value * scale);
        if (IS_SIGN) {
            bad += isnan(value) != 0;
            whole = value < 0;
        } else if (!(whole >= smallest && whole <= largest)) {
            bad += 1;
            whole = whole > 0 ? largest : whole < 0 ? smallest : 0;
        }
        if (PER_ITEM == 1) out[i] = (OUT)(long long)whole;
        else packed = (packed << (8 / PER_ITEM)) | ((unsigned)(long long)whole & ((1u << (8 / PER_ITEM)) - 1));
    }
    if (PER_ITEM > 1) out[i] = (OUT)packed;
    if (bad) ADD(clipped, (unsigned long long)bad);
}
""",
)


def unpack(device: Device, data: Any, dtype: str, *, order: str) -> Any:
    """See :func:`labdaq.kernels.unpack`: the same numbers."""
    bits, is_signed, is_complex = kind_of(dtype)
    xp = device.xp
    size = max(1, bits * (1 + is_complex) // 8)
    if data.ndim == 0 or data.shape[-1] * data.dtype.itemsize % size or order not in {"big", "little"}:
        raise LayoutError(f"data of {data.dtype}{data.shape}: {size} bytes of the last axis are one number; {order=}")
    raw = xp.ascontiguousarray(data).view(np.uint8)
    if bits < 8:
        out = xp.empty((*raw.shape[:-1], raw.shape[-1] * (8 // bits)), np.float32)
        kernel = UNPACK.of(BITS=bits, SIGNED=int(is_signed), LITTLE=int(order == "little"))
        device.launch(kernel, raw.size, raw, out, raw.size)
        return out.view(np.complex64) if is_complex else out
    if bits > 8 and (order == "little") != np.little_endian:
        raw = xp.ascontiguousarray(raw.reshape(-1, bits // 8)[:, ::-1]).reshape(raw.shape)
    real = raw.view(f"{'i' if is_signed else 'u'}{bits // 8}").astype(np.float64 if bits == 32 else np.float32)
    return real.view(np.complex128 if bits == 32 else np.complex64) if is_complex else real


def quantise(device: Device, values: Any, dtype: str, scale: float) -> Quantised:
    """See :func:`labdaq.kernels.quantise`: the same integers.

    Complex integers of 8 bits and more have their parts along a last axis of 2, because arrays of GPUs hold no records;
    ``clipped`` is an array of one number on the GPU, for which nobody has to wait.
    """
    kind = fewbit(dtype)
    xp = device.xp
    if (values.dtype.kind == "c" and not kind.is_complex) or values.dtype.kind not in "iufc":
        raise LayoutError(f"{values.dtype} numbers cannot become {'complex' if kind.is_complex else 'real'} integers")
    if values.ndim == 0 or values.shape[-1] % kind.per_item:
        raise LayoutError(f"shape {values.shape}: {kind.per_item} numbers go into a byte, along the last axis")
    if kind.is_complex and values.dtype.kind != "c":
        values = values.astype(np.complex128)
    numbers = xp.ascontiguousarray(values)
    if numbers.dtype.kind == "c":
        numbers = numbers.view(numbers.real.dtype)
    if numbers.dtype == np.float16:
        numbers = numbers.astype(np.float32)
    part = np.dtype("u1") if kind.bits < 8 else np.dtype(f"{'i' if kind.smallest else 'u'}{kind.bits // 8}")
    per_item = max(1, 8 // kind.bits)
    out = xp.empty(numbers.size // per_item, part)
    clipped = xp.zeros(1, np.uint64)
    is_sign = int(kind.largest == 0)
    kernel = QUANTISE.of(
        IN=C_TYPES[numbers.dtype.str[1:]], OUT=C_TYPES[part.str[1:]], PER_ITEM=per_item, IS_SIGN=is_sign
    )
    limits = float(scale), float(kind.smallest), float(kind.largest)
    device.launch(kernel, out.size, numbers, out, clipped, *limits, out.size)
    if kind.bits < 8:
        return Quantised(out.reshape(*values.shape[:-1], values.shape[-1] // kind.per_item), clipped[0])
    return Quantised(out.reshape(*values.shape, 2) if kind.is_complex else out.reshape(values.shape), clipped[0])
