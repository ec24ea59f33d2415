"""Red Pitaya boards with the multichannel analyser image, over the network.

The server listens on TCP port 1001 and takes commands of 64 bits, little endian: the code in bits 56 to 63, the
input in bits 52 to 55, the value in bits 0 to 51, negative ones in two's complement. Samples are int16 of both
inputs in turn. Sources: the server of Pavel Demin's "red-pitaya-notes" (mcpha), codes 0 to 30; mimoCoRB2 for code
31, which a server made for it answers with many events at once.
"""

import contextlib
import enum
import select
import socket
import struct
from typing import Any

import numpy as np

from labdaq.devices.base import DeviceSource
from labdaq.errors import LayoutError, ResourceError, WaitTimeoutError
from labdaq.roles import EventSlot, Parameter, Trigger

__all__ = ["RedPitaya"]

_CLOCK_NS = 8.0  # 125 million samples per second
_SPARE = 100  # the last samples of each event of code 31 are not good: ask for more and leave them out
_MOST_SAMPLES = 8_388_607 - _SPARE  # the memory of the board
_STATUS_BYTES = 36
_LOOK_S = 0.05  # how often a wait for samples looks whether it is interrupted (seconds)
_POLL_S = 0.002  # how often the board is asked whether an event is there (seconds)
_INPUTS = ("IN1", "IN2")


class _Code(enum.IntEnum):
    RESET = 2
    DECIMATION = 4
    NEGATE = 5
    STATUS = 11
    SOURCE = 13
    SLOPE = 14
    MODE = 15
    LEVEL = 16
    BEFORE = 17
    TOTAL = 18
    START = 19
    READ = 20
    EVENTS = 31


class RedPitaya(DeviceSource):
    """Waveforms of both inputs of a Red Pitaya.

    Events have shape ``(2, samples)``, int16: steps of the converter.

    Parameters
    ----------
    host
        Its name or address.
    trigger
        `level` in steps, -8192 to 8191; `channel` ``"IN1"`` or ``"IN2"``, or 0 or 1; `edge` rising or falling.
    samples
        In each waveform.
    pretrigger
        Fraction of the samples before the trigger, 0 to 1.
    decimation
        1, or 4 to 65535: so many samples of 8 ns are averaged into one.
    auto
        Take events without a trigger, too, when none comes.
    negate
        Turn the sign of ``IN1`` and ``IN2``.
    batch
        Events for each command (code 31), for servers that know it. None: one at a time, as every server can.
    port, timeout
        Of the connection; the timeout, in seconds, is that of answers: a trigger may be waited for for ever.

    Raises
    ------
    LayoutError
        For a setting that the board has not.
    ResourceError
        From ``open`` and ``acquire``: it does not answer, or has gone.
    WaitTimeoutError
        From ``open`` and ``acquire``: it does not answer in time.

    Examples
    --------
    >>> board = RedPitaya("rp-f01b63.local", Trigger(100, channel="IN1"), samples=1000, decimation=4)
    >>> board.shape, board.header["sample_interval_ns"]
    ((2, 1000), 32.0)
    >>> board.level = -50
    """

    level = Parameter(0, unit="steps", low=-8192, high=8191, label="trigger level")
    edge = Parameter("rising", choices=("rising", "falling"), label="trigger edge")
    auto = Parameter(value=False, label="take events without a trigger, too")

    dtype = np.dtype(np.int16)

    def __init__(
        self,
        host: str,
        trigger: Trigger | None = None,
        *,
        samples: int = 1000,
        pretrigger: float = 0.1,
        decimation: int = 4,
        auto: bool = False,
        negate: tuple[bool, bool] = (False, False),
        batch: int | None = None,
        port: int = 1001,
        timeout: float = 5.0,
    ) -> None:
        trigger = trigger or Trigger(0, channel="IN1")
        _check_trigger(trigger)
        if not 1 <= samples <= _MOST_SAMPLES or not 0 <= pretrigger <= 1:
            raise LayoutError(f"samples are 1 to {_MOST_SAMPLES}, pretrigger 0 to 1; given: {samples}, {pretrigger}")
        if decimation != 1 and not 4 <= decimation <= 65535:
            raise LayoutError(f"decimation={decimation}: 1, or 4 to 65535")
        if batch is not None and batch < 1:
            raise LayoutError(f"batch={batch}: at least one event for each command, or None")
        if not timeout > 0:
            raise LayoutError(f"timeout={timeout}: a positive number of seconds")
        self.host, self.port, self.timeout = host, port, timeout
        self.samples, self.pretrigger, self.decimation, self.batch = samples, pretrigger, decimation, batch
        self.negate = negate
        self.channel = _INPUTS.index(trigger.channel) if isinstance(trigger.channel, str) else trigger.channel
        self.level, self.edge, self.auto = trigger.level, trigger.edge, auto
        self.shape = (2, samples)
        self.device = f"Red Pitaya {host}:{port}"
        self._still_to_come = 0
        self._applied: tuple[Any, ...] = ()

    @property
    def header(self) -> dict[str, Any]:
        """What goes with the data."""
        return {
            "unit": "steps",
            "channels": list(_INPUTS),
            "sample_interval_ns": _CLOCK_NS * self.decimation,
            "pretrigger": self.pretrigger,
            "trigger_level": self.level,
            "trigger_channel": _INPUTS[self.channel],
        }

    def acquire(self, event: EventSlot) -> None:
        """Fill the next event; waits for its trigger.

        Raises
        ------
        EndOfDataError
            It was interrupted.
        ResourceError, WaitTimeoutError
            The board has gone, or stopped in the middle of an answer.
        """
        self._check()
        spare = 0 if self.batch is None else _SPARE
        if self._still_to_come == 0:
            self._begin()
        if self.batch is None:
            self._await_trigger()
            self._command(_Code.READ)
        samples = np.frombuffer(self._receive(4 * (self.samples + spare), patient=self.batch is not None), "<i2")
        self._still_to_come -= 1
        event.data[...] = samples.reshape(-1, 2)[: self.samples].T

    # ---------------------------------------------------------------------------------- the protocol

    def _begin(self) -> None:
        """Start the next event, or the next batch, with the settings as they are now."""
        self._apply()
        self._command(_Code.RESET)
        self._command(_Code.START)
        if self.batch is not None:
            self._command(_Code.EVENTS, value=self.batch)
        self._still_to_come = self.batch or 1

    def _apply(self) -> None:
        wanted = self.level, self.edge, self.auto
        if wanted != self._applied:
            self._command(_Code.LEVEL, value=self.level)
            self._command(_Code.SLOPE, value=int(self.edge == "falling"))
            self._command(_Code.MODE, value=int(self.auto))
            self._applied = wanted

    def _await_trigger(self) -> None:
        while True:
            self._command(_Code.STATUS)
            status = struct.unpack("<9I", self._receive(_STATUS_BYTES))
            if not status[8] & 1:  # the bit is set while the oscilloscope runs
                return
            self._pause(_POLL_S)

    def _command(self, code: _Code, channel: int = 0, value: int = 0) -> None:
        with self._talking(f"sending the command {code.name}"):
            self._socket.sendall(_word(code, channel, value))

    def _receive(self, nbytes: int, *, patient: bool = False) -> memoryview:
        """So many bytes; `patient`: the first may take as long as it likes."""
        received, at = memoryview(bytearray(nbytes)), 0
        waited = 0.0
        while at < nbytes:
            self._check()
            if not select.select([self._socket], [], [], _LOOK_S)[0]:
                waited += 0.0 if patient and at == 0 else _LOOK_S
                if waited > self.timeout:
                    raise WaitTimeoutError(f"{self.device!r} sent {at} of {nbytes} bytes and no more")
                continue
            with self._talking("receiving samples"):
                came = self._socket.recv_into(received[at:])
            if came == 0:
                raise ResourceError(f"{self.device!r} closed the connection after {at} of {nbytes} bytes")
            at, waited = at + came, 0.0
        return received

    # ------------------------------------------------------------------------------------- connection

    def _connect(self, opened: contextlib.ExitStack) -> None:
        with self._talking("connecting"):
            self._socket = socket.create_connection((self.host, self.port), self.timeout)
        opened.callback(self._socket.close)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else each question waits for 40 ms
        self._still_to_come, self._applied = 0, ()
        before = min(max(int(self.pretrigger * self.samples), 1), self.samples)  # 0 would be 2^32 on the board
        self._command(_Code.DECIMATION, value=self.decimation)
        for channel, negate in enumerate(self.negate):
            self._command(_Code.NEGATE, channel, int(negate))
        self._command(_Code.SOURCE, self.channel)
        self._command(_Code.BEFORE, value=before)
        self._command(_Code.TOTAL, value=self.samples + (0 if self.batch is None else _SPARE))
        opened.callback(self._make_safe)

    def _make_safe(self) -> None:
        with contextlib.suppress(OSError):  # gone: then there is nothing that could run on
            self._socket.sendall(_word(_Code.RESET, 0, 0))


def _word(code: int, channel: int, value: int) -> bytes:
    """One command.

    Examples
    --------
    >>> _word(16, 0, -2).hex()
    'feffffffffff0f10'
    """
    return struct.pack("<Q", code << 56 | channel << 52 | value & (1 << 52) - 1)


def _check_trigger(trigger: Trigger) -> None:
    if trigger.channel not in {0, 1, *_INPUTS} or trigger.edge == "both":
        raise LayoutError(f"{trigger}: the board triggers on the rising or falling edge of IN1 or IN2 only")
    if (trigger.width, trigger.coincidence, trigger.prescale) != (1, (), 1):
        raise LayoutError(f"{trigger}: the board knows no width, coincidence or prescale; use a filter for that")
