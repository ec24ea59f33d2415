"""Energies that a scintillator sees of a gamma source: photopeaks, Compton continua and background.

Each gamma quantum leaves either all of its energy, or what a Compton electron gets of it. How often the latter
gives which energy is the formula of Klein and Nishina (Z. Phys. 52 (1929) 853). Real crystals add multiple
scattering, escape and backscatter, which this model leaves out.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labdaq.errors import LayoutError, NotFoundError
from labdaq.sim.simulation import check_positive

__all__ = ["GAMMA_LINES", "GammaSpectrum", "compton_edge", "klein_nishina"]

_ELECTRON_KEV = 510.99895
_CAESIUM_KEV = 661.657  # where resolution and photofraction are quoted

GAMMA_LINES = {
    "Cs-137": ((661.657, 0.851),),
    "Co-60": ((1173.228, 0.9985), (1332.492, 0.9998)),
    "Na-22": ((510.999, 1.807), (1274.537, 0.9994)),
}
"""Energy in keV and quanta per decay, after the Evaluated Nuclear Structure Data File."""

Floats = npt.NDArray[np.float64]


def compton_edge(energy_kev: float) -> float:
    """The most that a gamma quantum leaves in one Compton scattering, in keV.

    Examples
    --------
    >>> round(compton_edge(661.657), 1)
    477.3
    """
    ratio = 2 * energy_kev / _ELECTRON_KEV
    return energy_kev * ratio / (1 + ratio)


def klein_nishina(electron_kev: npt.ArrayLike, energy_kev: float) -> Floats:
    """How often Compton electrons have which energy, in arbitrary units; 0 beyond the edge.

    Parameters
    ----------
    electron_kev : array_like
        Kinetic energies of the electron.
    energy_kev : float
        Energy of the gamma quantum.

    Examples
    --------
    >>> klein_nishina([0, 477, 478], 661.657).round(1)
    array([2. , 3.9, 0. ])
    """
    electron = np.asarray(electron_kev, dtype=np.float64)
    epsilon = energy_kev / _ELECTRON_KEV
    inside = (electron >= 0) & (electron <= compton_edge(energy_kev))
    s = np.where(inside, electron, 0.0) / energy_kev
    density = 2 + s**2 / (epsilon**2 * (1 - s) ** 2) + s / (1 - s) * (s - 2 / epsilon)
    return np.where(inside, density, 0.0)


@dataclass(frozen=True)
class GammaSpectrum:
    """The energies that a scintillator sees.

    Parameters
    ----------
    source
        One of :data:`GAMMA_LINES`.
    resolution
        Full width at half maximum over energy, at 662 keV; it falls with the root of the energy.
    photofraction
        Fraction of quanta of 662 keV that leave all their energy; it falls with the energy.
    background
        Fraction of the pulses that are no quanta of the source. Their energies fall exponentially.
    background_kev
        Mean energy of the background.
    least_kev
        Energies below do not fire the trigger, and are not drawn.

    Raises
    ------
    NotFoundError
        For a source that is not known.
    LayoutError
        If a setting is outside its range.

    Examples
    --------
    >>> spectrum = GammaSpectrum("Cs-137", background=0.0)
    >>> seen_kev, left_kev = spectrum.draw(np.random.default_rng(1), 10_000)
    >>> peak = seen_kev[left_kev == 661.657]
    >>> len(peak), int(peak.mean()), round(float(2.355 * peak.std() / peak.mean()), 3)
    (3128, 661, 0.07)
    """

    source: str = "Cs-137"
    resolution: float = 0.07
    photofraction: float = 0.3
    background: float = 0.1
    background_kev: float = 300.0
    least_kev: float = 30.0

    def __post_init__(self) -> None:
        if self.source not in GAMMA_LINES:
            raise NotFoundError(f"no gamma source {self.source!r}; there are {', '.join(GAMMA_LINES)}")
        check_positive(background_kev=self.background_kev)
        fractions = self.resolution, self.photofraction, self.background
        if min(fractions) < 0 or max(fractions) > 1 or not 0 <= self.least_kev <= 300:
            raise LayoutError(
                "resolution, photofraction and background are fractions in 0..1, least_kev is in 0..300; "
                f"given: {fractions}, {self.least_kev}"
            )

    def draw(self, rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        """Energies of n pulses in keV: as seen, and as left in the crystal."""
        seen, left = np.empty(n), np.empty(n)
        missing = np.arange(n)
        while len(missing):
            left[missing] = self._left(rng, len(missing))
            width = self.resolution / 2.3548 * np.sqrt(left[missing] * _CAESIUM_KEV)
            seen[missing] = left[missing] + width * rng.standard_normal(len(missing))
            missing = missing[seen[missing] < self.least_kev]
        return seen, left

    def _left(self, rng: np.random.Generator, n: int) -> Floats:
        lines = GAMMA_LINES[self.source]
        quanta = np.array([intensity for _, intensity in lines])
        line = rng.choice(len(lines), size=n, p=quanta / quanta.sum())
        chance = rng.random((3, n))
        left: Floats = -self.background_kev * np.log1p(-chance[0])
        for number, (energy, _) in enumerate(lines):
            is_full = chance[1] < min(1.0, self.photofraction * _CAESIUM_KEV / energy)
            quantum = np.where(is_full, energy, _compton(chance[0], energy))
            left = np.where((line == number) & (chance[2] >= self.background), quantum, left)
        return left


def _compton(chance: Floats, energy_kev: float) -> Floats:
    """Energies of Compton electrons where the integral of their distribution reaches these chances."""
    electron = np.linspace(0, compton_edge(energy_kev), 512)
    density = klein_nishina(electron, energy_kev)
    integral = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    energies: Floats = np.interp(chance * integral[-1], integral, electron)
    return energies
