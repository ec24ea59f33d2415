"""The lifetime of a particle from single decay times: an exponential over a flat background.

In a window from a to b the density of a decay time t is

    p(t) = (1 - f) exp(-t / tau) / tau / (exp(-a / tau) - exp(-b / tau))  +  f / (b - a)

with the lifetime tau and the fraction f of background (pairs of unrelated particles, which come at any
delay alike). The fit maximises the likelihood of the times themselves: no bins, no loss.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from labdaq.errors import DataError, LayoutError, MissingExtraError

__all__ = ["LifetimeFit", "fit_lifetime", "lifetime_density", "lifetime_nll"]

Window = tuple[float, float]
FloatArray = npt.NDArray[np.float64]

_FEWEST = 3  # two parameters and one degree of freedom


def lifetime_density(times_us: npt.ArrayLike, tau_us: float, background: float, window_us: Window) -> FloatArray:
    """Probability density of decay times in a window.

    Parameters
    ----------
    times_us : array_like
        Times within the window, in microseconds, of any shape.
    tau_us : float
        Lifetime in microseconds, positive.
    background : float
        Fraction of flat background in the window, 0 to 1.
    window_us : tuple of float
        First and last time considered, in microseconds.

    Returns
    -------
    ndarray of float64
        Per microsecond; its integral over the window is 1.

    Examples
    --------
    >>> lifetime_density([0.0, 2.0], tau_us=2.0, background=0.0, window_us=(0.0, 100.0)).round(3)
    array([0.5  , 0.184])
    """
    begin, end = window_us
    elapsed = (np.asarray(times_us, dtype=np.float64) - begin) / tau_us
    # Counted from the beginning of the window, the exponential neither under- nor overflows.
    signal = np.exp(-elapsed) / (-tau_us * np.expm1(-(end - begin) / tau_us))
    return np.asarray((1 - background) * signal + background / (end - begin))


def lifetime_nll(times_us: npt.ArrayLike, tau_us: float, background: float, window_us: Window) -> float:
    """Negative logarithm of the likelihood of decay times, to be minimised.

    Parameters are those of :func:`lifetime_density`. An increase by 0.5 over the minimum is one standard
    deviation.

    Examples
    --------
    >>> round(lifetime_nll([1.0, 2.0, 3.0], 2.0, 0.0, (0.0, 100.0)), 3)
    5.079
    """
    return -float(np.sum(np.log(lifetime_density(times_us, tau_us, background, window_us))))


@dataclass(frozen=True)
class LifetimeFit:
    """What a lifetime fit found. Times are in microseconds."""

    tau_us: float
    """The lifetime."""
    tau_error_us: float
    """Its standard error from the curvature at the minimum."""
    tau_error_minus_us: float
    """Distance down to where the likelihood has fallen by one standard deviation (MINOS), positive."""
    tau_error_plus_us: float
    """Distance up, likewise. NaN when the likelihood falls too little on that side: take more data."""
    background: float
    """Fraction of flat background in the window, 0 to 1."""
    background_error: float
    """Its standard error."""
    correlation: float
    """Correlation of lifetime and background, -1 to 1."""
    n: int
    """Decay times in the window."""
    window_us: Window
    """First and last time that the fit looked at."""
    nll: float
    """Negative log-likelihood at the minimum."""
    is_valid: bool
    """The minimum was found and its covariance matrix is good. If not, do not trust the errors."""

    def rate(self, times_us: npt.ArrayLike) -> FloatArray:
        """Expected decays per microsecond at these times, to be drawn over a histogram."""
        return self.n * lifetime_density(times_us, self.tau_us, self.background, self.window_us)

    def __str__(self) -> str:
        doubt = "" if self.is_valid else " (NOT VALID: the fit found no good minimum)"
        return (
            f"tau = {self.tau_us:.3f} -{self.tau_error_minus_us:.3f} +{self.tau_error_plus_us:.3f} us, "
            f"background {100 * self.background:.1f} +- {100 * self.background_error:.1f} %, "
            f"{self.n} decays in {self.window_us[0]:g}..{self.window_us[1]:g} us{doubt}"
        )


def fit_lifetime(times_us: npt.ArrayLike, window_us: Window = (1.5, 15.0), *, start_us: float = 2.0) -> LifetimeFit:
    """Fit a lifetime and a flat background to decay times, unbinned.

    Parameters
    ----------
    times_us : array_like, shape (n,)
        Decay times in microseconds; those outside the window are left out.
    window_us : tuple of float
        First and last time considered, in microseconds. Begin where the detector sees all second pulses.
    start_us : float
        Where the search for the lifetime begins.

    Returns
    -------
    LifetimeFit
        The lifetime with symmetric and asymmetric errors, and the background.

    Raises
    ------
    DataError
        If a time is not a number, or fewer than three lie in the window.
    LayoutError
        If the times are not a row of numbers, or the window has no length.
    MissingExtraError
        If iminuit is not installed.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> fit = fit_lifetime(rng.exponential(2.2, 20_000), window_us=(0.5, 15.0))
    >>> abs(fit.tau_us - 2.2) < 4 * fit.tau_error_us, fit.is_valid
    (True, True)
    """
    times = _within(times_us, window_us)
    try:
        from iminuit import Minuit
    except ImportError as error:
        raise MissingExtraError("fits need iminuit: pip install 'labdaq[notebook]'") from error

    def nll(tau_us: float, background: float) -> float:
        return lifetime_nll(times, tau_us, background, window_us)

    minuit = Minuit(nll, tau_us=start_us, background=0.3)
    minuit.errordef = Minuit.LIKELIHOOD
    length = window_us[1] - window_us[0]
    minuit.limits["tau_us"] = (1e-3 * length, 1e2 * length)
    minuit.limits["background"] = (0.0, 1.0)
    minuit.migrad()
    minuit.hesse()
    return _result(minuit, len(times), window_us)


def _within(times_us: npt.ArrayLike, window_us: Window) -> FloatArray:
    begin, end = window_us
    if not begin < end:
        raise LayoutError(f"a window must end after it begins, not {begin}..{end} us")
    times = np.asarray(times_us, dtype=np.float64)
    if times.ndim != 1:
        raise LayoutError(f"decay times come as a row of numbers, not with shape {times.shape}")
    if np.isnan(times).any():
        raise DataError(f"{int(np.isnan(times).sum())} of {len(times)} decay times are not numbers")
    inside = times[(times > begin) & (times < end)]
    if len(inside) < _FEWEST:
        raise DataError(f"{len(inside)} of {len(times)} decay times lie in {begin}..{end} us: too few to fit")
    return inside


def _result(minuit: Any, n: int, window_us: Window) -> LifetimeFit:
    is_valid = bool(minuit.valid and minuit.accurate)
    minus = plus = float("nan")
    if is_valid:
        minuit.minos("tau_us")
        errors = minuit.merrors["tau_us"]
        minus = -float(errors.lower) if errors.lower_valid else minus
        plus = float(errors.upper) if errors.upper_valid else plus
    covariance = minuit.covariance
    return LifetimeFit(
        tau_us=float(minuit.values["tau_us"]),
        tau_error_us=float(minuit.errors["tau_us"]),
        tau_error_minus_us=minus,
        tau_error_plus_us=plus,
        background=float(minuit.values["background"]),
        background_error=float(minuit.errors["background"]),
        correlation=float(covariance.correlation()[0, 1]) if covariance is not None else float("nan"),
        n=n,
        window_us=window_us,
        nll=float(minuit.fval),
        is_valid=is_valid,
    )
