"""Simulated instruments: seeded, and the same to the byte for the same seed.

`muon`    a water-Cherenkov detector in which cosmic muons stop and decay
`pulses`  the shape of its pulses
"""

from labdaq.sim.muon import MuonBatch, MuonDetector

__all__ = ["MuonBatch", "MuonDetector"]
