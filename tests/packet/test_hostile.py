"""Noise, half packets and absurd headers: counted and refused, in bounded memory."""

import io
from pathlib import Path

import numpy as np
import pytest

from labdaq.packet import Batch, BlockSink, PacketCapture, Packets, read
from tests.packet.recipes import RECIPES, packets_of

PER_FORMAT = 8000


def hostile(recipe, rng):
    """Good packets with bytes changed, headers of extremes, cuts, and noise."""
    good = packets_of(recipe, recipe.data(2))
    size = recipe.format.header.itemsize
    for number in range(PER_FORMAT):
        packet = bytearray(good[number % len(good)])
        kind = number % 5
        if kind == 0:
            for _ in range(rng.integers(1, 5)):
                packet[rng.integers(size)] = rng.integers(256)
        elif kind == 1:
            place = rng.integers(size)
            width = rng.choice([1, 2, 4, 8])
            packet[place : place + width] = bytes([rng.choice([0, 255, 128])]) * width
        elif kind == 2:
            packet = packet[: rng.integers(len(packet) + 1)]
        elif kind == 3:
            packet = bytearray(rng.bytes(rng.integers(0, 200)))
        yield bytes(packet)


@pytest.mark.promise("P6", "hostile packets of this format: changed bits and bytes, cut, noise")
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_every_format_stands_them(recipe, often, saw):
    rng = np.random.default_rng(7)
    rounds = often(1, 10)
    for _ in range(rounds):
        stand(recipe, list(hostile(recipe, rng)))
    saw(f"{rounds * PER_FORMAT} packets, all counted, no foreign error")


def stand(recipe, packets):
    """Take them all, count them all."""
    sink = BlockSink()
    capture = PacketCapture(recipe.name, Packets(Batch.of(packets)), sink, ntime_gulp=2, **recipe.reading())
    status = None
    while status not in (1, 4):
        status = capture.recv()
        sink.blocks.clear()
    ledger = capture.ledger()
    assert ledger.closes
    assert ledger.handed_over == len(packets)
    assert sum(ledger.invalid.values()) > PER_FORMAT // 5


CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.pcap"))


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_what_was_kept(path):
    """Headers whose fields are each 0, 0x80… and 0xff…, and half packets: for their own format, and for the others."""
    for recipe in RECIPES:
        reading = read(path, recipe.name.split("_")[0], ntime_gulp=2, **recipe.reading())
        for block in reading:
            assert block.data.nbytes < 1 << 27
        assert reading.ledger.closes
    assert len(CORPUS) == len(RECIPES)


@pytest.mark.parametrize("name", ["tbn", "vdif", "chips", "tbx", "snap2", "drx"])
def test_files_of_noise(name):
    content = np.random.default_rng(3).bytes(60_000)
    reading = read(io.BytesIO(content), name, nsrc=2, src0=0)
    for block in reading:
        assert block.data.size < 1 << 24
    assert reading.ledger.closes


@pytest.mark.parametrize("content", [b"", b"\0", bytes(4128), bytes(9000), b"\xff" * 9000])
def test_files_of_nothing(content):
    for name in ("drx", "chips", "vdif", "tbf"):
        reading = read(io.BytesIO(content), name, nsrc=4)
        assert list(reading) == []
        assert reading.ledger.accepted == 0
