"""A source: the simulated muon detector, with events at random times."""

from typing import Any

from labdaq.sim import MuonDetector, clocked


def detector(seed: int = 0, rate_hz: float = 400.0) -> Any:
    """A detector that gives so many events per second, as a real one would."""
    return clocked(MuonDetector(seed=seed), rate_hz=rate_hz, poisson=True, seed=seed)
