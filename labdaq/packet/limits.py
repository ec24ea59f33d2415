"""How many packets per second this machine takes without losing any: the critical rate, by a noisy search.

A machine that does other things, too, loses packets now and then at any rate, and sometimes none far above what it can
take. So a rate is not right or wrong, but passes with a probability, which falls from 1 to 0 around the critical
rate. Each trial makes the rates on one side of it less likely, and the next one is made where the chance is even
(probabilistic bisection: Horstein, IEEE Trans. Inf. Theory 9, 136, 1963).
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdaq.errors import LayoutError
from labdaq.packet.address import Address
from labdaq.packet.format import PacketFormat
from labdaq.packet.transmitting import UDPTransmit
from labdaq.packet.udp_capture import UDPCapture
from labdaq.packet.udp_socket import UDPSocket
from labdaq.packet.writing import HeaderInfo
from labdaq.ring import Ring

__all__ = ["CriticalRate", "Trial", "critical_rate", "loopback_trial"]

_GRID = 200
_TRUST = 0.8  # how likely a trial tells the right side
_FRAMES = 64  # sent at a time


@dataclass(frozen=True)
class Trial:
    """What became of the packets at one rate."""

    rate: float
    """Asked for, in packets per second."""
    sent_rate: float
    """What the sender made of it."""
    sent: int
    lost: int

    @property
    def passed(self) -> bool:
        """Whether none was lost, and the sender kept to the rate."""
        return self.lost == 0 and self.sent_rate > 0.95 * self.rate

    def __str__(self) -> str:
        slower = "" if self.passed or self.lost else f"  the sender came to {self.sent_rate:.0f} /s only"
        return f"{self.rate:12.0f} /s  {self.sent:8d} sent  {self.lost:8d} lost{slower}"


@dataclass(frozen=True)
class CriticalRate:
    """The result of the search."""

    rate: float
    """Packets per second; as likely too high as too low."""
    low: float
    high: float
    """Between the two with 80 % probability."""
    trials: tuple[Trial, ...]
    rates: NDArray[np.float64]
    """What was thought possible."""
    belief: NDArray[np.float64]
    """How likely each is."""

    def __str__(self) -> str:
        best = max((trial.rate for trial in self.trials if trial.passed), default=0.0)
        lines = [str(trial) for trial in self.trials]
        verdict = f"critical rate {self.rate:.0f} packets/s ({self.low:.0f} to {self.high:.0f}); no loss at {best:.0f}"
        return "\n".join([*lines, verdict])


def critical_rate(
    trial: Callable[[float], Trial], low: float = 1e3, high: float = 1e6, trials: int = 20
) -> CriticalRate:
    """Search the rate above which packets are lost.

    Parameters
    ----------
    trial
        Sends for a while at a rate; such as :func:`loopback_trial`.
    low, high
        Packets per second between which it is searched.
    trials
        How many.

    Examples
    --------
    >>> found = critical_rate(lambda rate: Trial(rate, rate, 1000, int(rate > 40_000)))
    >>> 30_000 < found.rate < 50_000
    True
    """
    if not 0 < low < high or trials < 1:
        raise LayoutError(f"low={low!r}, high={high!r}, trials={trials!r}: 0 < low < high and 1 trial at least")
    rates = np.geomspace(low, high, _GRID)
    belief = np.full(_GRID, 1 / _GRID)
    seen = []
    for _ in range(trials):
        rate = _quantile(rates, belief, 0.5)
        seen.append(trial(rate))
        is_above = rates > rate
        belief = np.where(is_above == seen[-1].passed, _TRUST, 1 - _TRUST) * belief
        belief /= belief.sum()
    low, middle, high = (_quantile(rates, belief, part) for part in (0.1, 0.5, 0.9))
    return CriticalRate(middle, low, high, tuple(seen), rates, belief)


def _quantile(rates: NDArray[np.float64], belief: NDArray[np.float64], part: float) -> float:
    return float(np.interp(part, np.cumsum(belief), rates))


def loopback_trial(nbytes: int = 1408, seconds: float = 1.0) -> Callable[[float], Trial]:
    """Trials with a sender and a capture on this machine, over the loopback.

    Parameters
    ----------
    nbytes
        Of a payload.
    seconds
        Of each trial.

    Notes
    -----
    Sender and capture share this machine, so it stands a network at a higher rate than what is found.
    """
    packet_format = PacketFormat("limits", _HEADER, _decode, payload=nbytes, fill=_fill)
    data = np.zeros((_FRAMES, 1, nbytes), np.uint8)

    def trial(rate: float) -> Trial:
        with UDPSocket() as receiver, UDPSocket() as sender, Ring() as ring:
            receiver.bind(Address("127.0.0.1", 0))
            receiver.timeout = 1.0
            sender.connect(receiver.address)
            transmit = UDPTransmit(packet_format, sender, offload=False)
            with UDPCapture(packet_format, receiver, ring, nsrc=1, max_size=nbytes + 8, ntime_gulp=1024) as capture:
                capture.start()
                transmit.send(HeaderInfo(), 0, 1, 0, 1, data)  # begins the sequence, which takes some ms
                _wait_for(lambda: capture.ledger().accepted > 0)
                transmit.set_rate_limit(rate)
                sent, elapsed = _send(transmit, data, rate, seconds)
                _wait_for(lambda: capture.ledger().handed_over >= sent)
                came = capture.ledger().handed_over
                capture.stop()
        return Trial(rate, (sent - _FRAMES) / elapsed, sent, sent - came)

    return trial


def _send(transmit: UDPTransmit, data: Any, rate: float, seconds: float) -> tuple[int, float]:
    begin, sent = time.perf_counter(), len(data)
    end = sent + rate * seconds
    while sent < end and time.perf_counter() - begin < 2 * seconds:
        sent += transmit.send(HeaderInfo(), sent, 1, 0, 1, data)
    return sent, time.perf_counter() - begin


def _wait_for(condition: Callable[[], bool], seconds: float = 0.5) -> None:
    """Until it holds, or nothing more can be expected."""
    end, rest = time.monotonic() + seconds, threading.Event()
    while not condition() and time.monotonic() < end:
        rest.wait(0.005)


_HEADER = np.dtype([("seq", ">u8")])


def _decode(h: Any) -> tuple[int, int]:
    return h.seq, 0


def _fill(header: Any, out: Any) -> None:
    header["seq"] = out.seq
