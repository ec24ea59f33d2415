"""Sound cards: blocks of samples, pushed by the driver."""

import contextlib
import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from labdaq.devices.base import DeviceSource
from labdaq.devices.extras import needed
from labdaq.errors import BusyError, ClosedError, LayoutError, NotFoundError, ResourceError
from labdaq.roles import Put

__all__ = ["SoundCard", "load_sounddevice"]

_UNAVAILABLE = -9985  # paDeviceUnavailable: in use, or unplugged


def load_sounddevice() -> Any:
    """The package sounddevice.

    Raises
    ------
    MissingExtraError
        When it is not installed.
    ResourceError
        When the library PortAudio is not on this machine.
    """
    try:
        return needed("sounddevice", "sounddevice", "sound cards")
    except OSError as error:
        raise ResourceError(
            f"sound cards need the library PortAudio ({error}): apt install libportaudio2, or brew install portaudio"
        ) from error


class SoundCard(DeviceSource):
    """Blocks of samples of a sound card, one after the other without a gap unless `losses` says so.

    Events have shape ``(block,)``, or ``(channels, block)`` if there are several channels: float32, -1 to 1.

    Parameters
    ----------
    name
        Of the sound card, or a part of it; a number of sounddevice; nothing: the default of the system.
    channels
        Number of inputs.
    rate_hz
        Samples per second.
    block
        Samples in each event.

    Notes
    -----
    It is a push source: the driver calls when a block is there. `losses` counts, as ``input overflow``, how often
    samples were lost before a block, because the blocks before it were not taken in time.

    Raises
    ------
    LayoutError
        For a setting that is not possible.
    NotFoundError
        From ``open``: no sound card, or several, have this name; the message lists them.
    BusyError
        From ``open``: another program has it.
    ResourceError
        From ``open``: PortAudio is not installed, or the card refuses.
    MissingExtraError
        From ``open``: sounddevice is not installed.

    Examples
    --------
    >>> card = SoundCard("USB Audio", channels=2, rate_hz=48000, block=4800)
    >>> card.shape, card.header["sample_interval_ns"]
    ((2, 4800), 20833.333333333332)
    """

    dtype = np.dtype(np.float32)

    def __init__(self, name: str | int = "", *, channels: int = 1, rate_hz: float = 44100, block: int = 4410) -> None:
        if channels < 1 or block < 1 or not (rate_hz > 0 and math.isfinite(rate_hz)):
            raise LayoutError(f"channels, block and rate_hz are positive; given: {channels}, {block}, {rate_hz}")
        self.name, self.channels, self.rate_hz, self.block = name, channels, float(rate_hz), block
        self.shape = (block,) if channels == 1 else (channels, block)
        self.device = f"sound card {name}".strip()
        self._finished = self._is_stopping = False

    @property
    def header(self) -> dict[str, Any]:
        """What goes with the data."""
        return {
            "unit": "full scale",
            "channels": [str(number) for number in range(1, self.channels + 1)],
            "sample_interval_ns": 1e9 / self.rate_hz,
            "sound_card": self.device,
        }

    def start(self, put: Put) -> None:
        """Begin to call `put`; returns at once."""
        self._check()
        self._put, self._finished, self._is_stopping = put, False, False
        with self._telling("starting"):
            self._stream.start()

    def stop(self) -> None:
        """Return when `put` will not be called any more. Stopping twice is fine."""
        self._is_stopping = True
        if self._session is not None:
            with self._telling("stopping"):
                self._stream.abort()

    @property
    def finished(self) -> bool:
        """Whether there will be no more blocks: nobody wants them, it was interrupted, or the card has gone."""
        return self._finished

    def _callback(self, samples: Any, _: int, clock: Any, status: Any) -> None:
        """One block, in a thread of PortAudio."""
        session, sounddevice = self._session, self._sounddevice
        age_s = clock.currentTime - clock.inputBufferAdcTime
        if status.input_overflow:
            self._lost("input overflow")
        if session is None or session.interrupted.is_set():
            raise sounddevice.CallbackStop
        try:
            wanted = self._put(samples.T.reshape(self.shape), timestamp_ns=time.time_ns() - int(1e9 * max(age_s, 0.0)))
        except ClosedError:
            wanted = False
        if not wanted:
            raise sounddevice.CallbackStop

    def _end(self) -> None:
        self._finished = not self._is_stopping

    def _wake(self) -> None:
        self._finished = True  # a card that has gone does not call any more

    # ------------------------------------------------------------------------------------- connection

    def _resolve(self) -> None:
        self._sounddevice = load_sounddevice()
        self._number, full_name = _find(self._sounddevice, self.name)
        self.device = f"sound card {full_name}"

    def _connect(self, opened: contextlib.ExitStack) -> None:
        with self._telling("opening"):
            self._stream = self._sounddevice.InputStream(
                device=self._number,
                channels=self.channels,
                samplerate=self.rate_hz,
                blocksize=self.block,
                dtype="float32",
                callback=self._callback,
                finished_callback=self._end,
            )
        opened.callback(self._stream.close)

    @contextlib.contextmanager
    def _telling(self, doing: str) -> Iterator[None]:
        try:
            yield
        except self._sounddevice.PortAudioError as error:
            text = f"{doing} {self.device!r} failed: {error}"
            if _UNAVAILABLE in error.args:
                raise BusyError(f"{text}; close the other program that has it") from error
            raise ResourceError(
                f"{text}; has it {self.channels} inputs, and {self.rate_hz} samples per second?"
            ) from error


def _find(sounddevice: Any, name: str | int) -> tuple[int, str]:
    """Number and full name of a sound card."""
    inputs = {
        number: card["name"] for number, card in enumerate(sounddevice.query_devices()) if card["max_input_channels"]
    }
    if name == "":
        name = int(sounddevice.default.device[0])
        name = min(inputs, default=-1) if name < 0 else name
    if isinstance(name, int):
        found = [number for number in inputs if number == name]
    else:
        found = [number for number, full in inputs.items() if full == name]
        found = found or [number for number, full in inputs.items() if name.lower() in full.lower()]
    if len(found) != 1:
        candidates = "; ".join(f"{number}: {inputs[number]}" for number in found or inputs) or "none"
        problem = f"{len(found)} sound cards" if found else "no sound card"
        raise NotFoundError(
            f"{problem} with {name!r} in the name; give the number or the whole name of one: {candidates}"
        )
    return found[0], inputs[found[0]]
