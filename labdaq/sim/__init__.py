"""Simulated instruments: seeded, and the same to the byte for the same seed.

`simulation`      how they are all read: a base for your own
`muon`            a water-Cherenkov detector in which cosmic muons stop and decay
`pulses`          the shape of its pulses
`muon_stack`      a stack of scintillators in which cosmic muons stop and decay
`scintillator`    gamma spectroscopy with a scintillator and a shaping amplifier
`gamma_spectrum`  the energies that it sees
`shaping`         the pulses of the amplifier
`geiger`          a counting tube with a dead time
`analog`          analogue signals, in blocks
`signals`         signals as expressions
`signal_kinds`    what they are made from
`signal_text`     the same from text
`pendulum`        a pendulum with friction and large swings
`telescope`       an antenna of a radio telescope: noise, a tone, a pulsar
`clocked`         any source at a rate, in real time
`triggered`       any source behind a trigger
`counted_noise`   noise by counting, for compiled loops
"""

from labdaq.sim.analog import AnalogSource
from labdaq.sim.clocked import clocked
from labdaq.sim.gamma_spectrum import GAMMA_LINES, GammaSpectrum
from labdaq.sim.geiger import GeigerCounter
from labdaq.sim.muon import MuonBatch, MuonDetector
from labdaq.sim.muon_stack import MuonStack
from labdaq.sim.pendulum import Pendulum
from labdaq.sim.scintillator import Scintillator
from labdaq.sim.shaping import shaped_pulse
from labdaq.sim.signal_kinds import chirp, cw, dc, noise, pulse, sawtooth, square
from labdaq.sim.signal_text import parse_signal
from labdaq.sim.signals import Signal
from labdaq.sim.simulation import SimulatedBatch, Simulation
from labdaq.sim.telescope import RadioTelescope
from labdaq.sim.triggered import triggered

__all__ = [
    "GAMMA_LINES",
    "AnalogSource",
    "GammaSpectrum",
    "GeigerCounter",
    "MuonBatch",
    "MuonDetector",
    "MuonStack",
    "Pendulum",
    "RadioTelescope",
    "Scintillator",
    "Signal",
    "SimulatedBatch",
    "Simulation",
    "chirp",
    "clocked",
    "cw",
    "dc",
    "noise",
    "parse_signal",
    "pulse",
    "sawtooth",
    "shaped_pulse",
    "square",
    "triggered",
]
