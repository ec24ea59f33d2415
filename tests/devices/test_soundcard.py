"""Sound cards, on a package that behaves like sounddevice."""

import sys
import threading
import time

import numpy as np
import pytest

from labdaq.devices.soundcard import SoundCard, load_sounddevice
from labdaq.errors import BusyError, ClosedError, LayoutError, MissingExtraError, NotFoundError, ResourceError
from labdaq.roles import PushSource
from tests.devices.fake_sounddevice import Cards
from tests.devices.slots import PATIENCE


@pytest.fixture
def cards(monkeypatch):
    cards = Cards()
    monkeypatch.setitem(sys.modules, "sounddevice", cards)
    return cards


class Taking:
    """What `put` is, until so many blocks were taken."""

    def __init__(self, number):
        self.number, self.blocks, self.stamps, self.enough = number, [], [], threading.Event()

    def __call__(self, record, *, counter=None, timestamp_ns=None, deadtime=None):
        if len(self.blocks) == self.number:
            return False
        self.blocks.append(np.array(record))
        self.stamps.append(timestamp_ns)
        if len(self.blocks) == self.number:
            self.enough.set()
        return True


@pytest.mark.parametrize("channels", [1, 2])
def test_blocks_come_in_order_and_whole(cards, channels):
    cards.overflows = [False] * 3
    with SoundCard("left", channels=channels, block=5) as card:
        assert isinstance(card, PushSource)
        put = Taking(3)
        card.start(put)
        assert put.enough.wait(PATIENCE)
        card.stop()
        card.stop()
        assert not card.finished
    for number, block in enumerate(put.blocks):
        assert block.dtype == np.float32
        assert block.shape == card.shape
        expected = np.arange(5 * channels).reshape(5, channels).T.reshape(card.shape) + 1000 * number
        np.testing.assert_array_equal(block, expected)
    assert cards.opened[0].closed


def test_the_time_stamp_is_when_the_samples_were_taken(cards):
    cards.overflows = [False]
    put = Taking(1)
    with SoundCard("left") as card:
        card.start(put)
        assert put.enough.wait(PATIENCE)
        assert put.stamps[0] <= time.time_ns() - 500_000_000


def test_overflows_are_counted(cards):
    cards.overflows = [False, True, False, True]
    put = Taking(4)
    with SoundCard("left") as card:
        card.start(put)
        assert put.enough.wait(PATIENCE)
        card.stop()
        assert card.losses() == {"input overflow": 2}


@pytest.mark.parametrize("ending", ["not wanted", "closed", "interrupted"])
def test_what_ends_it(cards, ending):
    cards.endless = True
    enough = threading.Event()

    def put(record, **_):
        enough.set()
        if ending == "closed":
            raise ClosedError("the ring was closed")
        return ending == "interrupted"

    with SoundCard("left") as card:
        card.start(put)
        assert enough.wait(PATIENCE)
        if ending == "interrupted":
            card.interrupt()
        cards.opened[0].thread.join(PATIENCE)
        assert card.finished


@pytest.mark.parametrize(
    ("name", "number", "full"),
    [
        ("", 3, "Microphone"),
        ("right", 2, "USB Audio right"),
        ("USB AUDIO L", 1, "USB Audio left"),
        (2, 2, "USB Audio right"),
    ],
)
def test_names(cards, name, number, full):
    with SoundCard(name) as card:
        assert cards.opened[0].settings == (number, 44100.0)
        assert card.device == f"sound card {full}"


def test_no_default_of_the_system(cards):
    cards.default.device[0] = -1
    with SoundCard() as card:
        assert card.device == "sound card USB Audio left"


def test_a_whole_name_is_not_ambiguous(cards):
    cards.names = [("USB", 1), ("USB 2", 1)]
    with SoundCard("USB") as card:
        assert card.device == "sound card USB"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("USB", "2 sound cards with 'USB' in the name; .*: 1: USB Audio left; 2: USB Audio right$"),
        ("violin", "no sound card with 'violin' .*: 1: USB Audio left; 2: USB Audio right; 3: Microphone$"),
        ("HDMI", "no sound card"),
        (7, "no sound card"),
    ],
)
def test_names_that_are_ambiguous_or_of_no_card(cards, name, words):
    with pytest.raises(NotFoundError, match=words):
        SoundCard(name).open()


def test_no_sound_card_at_all(cards):
    cards.names = []
    with pytest.raises(NotFoundError, match=r"none$"):
        SoundCard().open()


def test_one_user_at_a_time(cards):
    with SoundCard("left"):
        with pytest.raises(BusyError, match="is used by"):
            SoundCard(1).open()  # the same by its number


def test_a_card_that_another_program_has(cards):
    cards.used.add(3)
    with pytest.raises(BusyError, match="other program"):
        SoundCard().open()


def test_too_many_channels(cards):
    with pytest.raises(ResourceError, match="has it 2 inputs"):
        SoundCard("Microphone", channels=2).open()


def test_start_before_open(cards):
    with pytest.raises(ClosedError):
        SoundCard().start(Taking(1))
    SoundCard().stop()


def test_without_portaudio(monkeypatch, tmp_path):
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ResourceError, match="apt install libportaudio2"):
        load_sounddevice()


def test_without_sounddevice(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtraError, match=r"labdaq\[devices\]"):
        SoundCard().open()


def test_impossible_settings():
    with pytest.raises(LayoutError, match="positive"):
        SoundCard(block=0)
