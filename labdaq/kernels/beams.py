"""Beams of an array: weighted sums of its inputs, channel by channel.

Source: H. L. Van Trees, *Optimum Array Processing* (2002), chapter 2.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError
from labdaq.native.cuda import as_array, device_of

__all__ = ["form_beams", "form_beams_reference", "steering_weights"]


def steering_weights(delays_s: npt.ArrayLike, frequencies_hz: npt.ArrayLike) -> npt.NDArray[np.complex128]:
    """Weights that undo delays, so that a wave which arrives with them adds up to its own voltage.

    Parameters
    ----------
    delays_s : array_like
        ``(beam, input)``: by how much the wave that a beam looks for is later at each input, in seconds.
    frequencies_hz : array_like
        Of the channels, as the sky has them.

    Returns
    -------
    ndarray
        ``(beam, channel, input)``: ``exp(2 pi i f delay) / inputs``.

    Raises
    ------
    LayoutError
        When shapes do not fit.

    Examples
    --------
    >>> steering_weights([[0, 0.25]], [1.0]).round(3).tolist()
    [[[(0.5+0j), 0.5j]]]
    """
    delays, frequencies = np.asarray(delays_s, np.float64), np.asarray(frequencies_hz, np.float64)
    if delays.ndim != 2 or frequencies.ndim != 1 or 0 in delays.shape:
        raise LayoutError(f"delays of shape {delays.shape}, frequencies {frequencies.shape}: (beam, input), (channel)")
    turns = frequencies[None, :, None] * delays[:, None, :]
    return np.asarray(np.exp(2j * np.pi * turns) / delays.shape[1])


def _checked(voltages: npt.ArrayLike, weights: npt.ArrayLike) -> tuple[Any, Any]:
    inputs, factors = as_array(voltages), as_array(weights)
    if (device := device_of(inputs)) is not None and device_of(factors) is None:
        factors = device.to_device(factors)
    if (
        inputs.ndim < 2
        or factors.ndim != 3
        or inputs.shape[-2:] != factors.shape[1:]
        or inputs.dtype.kind not in "iufc"
    ):
        raise LayoutError(
            f"voltages of {inputs.dtype}{inputs.shape}, weights of {factors.shape}: numbers of (…, channel, input) and "
            "(beam, channel, input) are needed"
        )
    return inputs, factors


def form_beams_reference(voltages: npt.ArrayLike, weights: npt.ArrayLike) -> npt.NDArray[Any]:
    """The definition of :func:`form_beams`, in NumPy with 64 bits."""
    inputs, factors = _checked(voltages, weights)
    return np.asarray((inputs[..., None, :] * factors.swapaxes(0, 1).astype(np.complex128)).sum(axis=-1))


def form_beams(voltages: npt.ArrayLike, weights: npt.ArrayLike) -> npt.NDArray[Any]:
    """Add the inputs up with weights.

    Parameters
    ----------
    voltages : array_like
        ``(…, channel, input)``.
    weights : array_like
        ``(beam, channel, input)``, such as :func:`steering_weights`.

    Returns
    -------
    ndarray
        ``(…, channel, beam)``: the sum over inputs of weight times voltage; complex64 of voltages of up to 32
        bits, complex128 of others.

    Raises
    ------
    LayoutError
        When shapes do not fit.

    Examples
    --------
    >>> form_beams([[1, 2], [3, 4]], [[[1, 1], [1, -1]]])
    array([[ 3.+0.j],
           [-1.+0.j]], dtype=complex64)
    """
    inputs, factors = _checked(voltages, weights)
    is_wide = inputs.dtype in (np.complex128, np.float64)
    kind = np.complex128 if is_wide else np.complex64
    by_channel = np.moveaxis(inputs, -2, 0)
    flat = by_channel.reshape(len(by_channel), -1, inputs.shape[-1]).astype(kind, copy=False)
    summed = flat @ factors.transpose(1, 2, 0).astype(kind, copy=False)
    return np.moveaxis(summed.reshape(*by_channel.shape[:-1], len(factors)), 0, -2)
