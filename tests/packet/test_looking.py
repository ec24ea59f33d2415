"""Files of packets looked at, sent again, and captures kept in folders; the commands that do so."""

import io
import json
import threading
import time

import numpy as np
import pytest
from typer.testing import CliRunner

import labdaq
from labdaq.cli import app
from labdaq.errors import DataError, LayoutError
from labdaq.packet import (
    Address,
    PacketCapture,
    Packets,
    RingSink,
    UDPSocket,
    guess_format,
    keep,
    replay,
    survey,
)
from labdaq.packet.limits import Trial, critical_rate, loopback_trial
from tests.packet.recipes import BY_NAME, RECIPES, packets_of
from tests.packet.test_transports import pcap
from tests.packet.toy import TOY, stream


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def recording(tmp_path):
    """Packets of TBN, three of which are missing."""
    recipe = BY_NAME["tbn"]
    packets = packets_of(recipe, recipe.data(30))
    path = tmp_path / "capture.dat"
    path.write_bytes(b"".join(packet for i, packet in enumerate(packets) if i not in (20, 21, 77)) + b"half")
    return path


class TestGuessing:
    @pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
    def test_every_format_is_told_by_its_packets(self, recipe):
        packets = packets_of(recipe, recipe.data(20))
        for content in (b"".join(packets), pcap(packets)):
            file = io.BytesIO(content)
            best = guess_format(file)[0]
            assert best.format.name == recipe.format.name
            assert (best.nsrc, best.src0) == (recipe.nsrc, recipe.src0)
            assert file.tell() == 0

    def test_noise_is_of_no_format(self, tmp_path):
        path = tmp_path / "noise.dat"
        path.write_bytes(np.random.default_rng(5).bytes(50_000))
        with pytest.raises(DataError, match="give format"):
            survey(path)


class TestSurvey:
    def test_counts_gaps_and_times(self, recording):
        seen = survey(recording)
        assert (seen.format.name, seen.nsrc) == ("tbn", 4)
        (sequence,) = seen.sequences
        assert (sequence.frames, sequence.gaps) == (30, [(1005, 1), (1019, 1)])
        assert (seen.ledger.missing.sum(), seen.ledger.trailing_nbytes) == (3, 4)
        for part in ("format tbn", "1005 (+1), 1019 (+1)", "0.153600 s", "4 bytes at the end"):
            assert part in str(seen)

    def test_a_recording_says_when(self, tmp_path):
        path = tmp_path / "recording"
        path.write_bytes(pcap(packets_of(BY_NAME["tbn"], BY_NAME["tbn"].data(5))))
        assert survey(path, port=4015).recorded_s == (0.0, 19.0)
        with pytest.raises(DataError):
            survey(path, port=4016)

    def test_the_command_says_it_all(self, recording):
        found = call("packets", recording)
        assert found.exit_code == 0
        assert "format tbn, nsrc=4" in found.output
        assert call("packets", recording.with_name("nothing")).exit_code == 1


class TestReplay:
    @pytest.fixture
    def receiver(self):
        with UDPSocket() as receiver:
            receiver.bind(Address("127.0.0.1", 0))
            receiver.socket.settimeout(5)
            yield receiver

    @pytest.mark.parametrize("how", [{}, {"rate": float("inf")}, {"rate": 50_000}])
    def test_what_was_recorded_comes_again(self, recording, receiver, how):
        sent = replay(recording, receiver.address, packet_format="tbn", speed=100, **how)
        assert sent == 117
        content = b"".join(receiver.socket.recv(2000) for _ in range(sent))
        assert content == recording.read_bytes()[:-4]

    def test_at_its_own_times(self, tmp_path, receiver):
        """One packet a second, 200 times as fast: 5 ms from one to the next, never earlier than 1 ms before."""
        path, packets = tmp_path / "recording", stream(0, 8, 1)
        path.write_bytes(pcap(packets))
        seen = []

        def watch():
            while len(seen) < len(packets):
                packet = receiver.socket.recv(100)
                seen.append((time.monotonic(), packet))

        thread = threading.Thread(target=watch)
        thread.start()
        begin = time.monotonic()
        assert replay(path, receiver.address, speed=200) == len(packets)
        thread.join()
        assert [packet for _, packet in seen] == packets
        assert all(when - begin >= 0.005 * i - 0.0015 for i, (when, _) in enumerate(seen))

    def test_without_times_a_rate_is_needed(self, tmp_path, receiver):
        path = tmp_path / "chips.dat"
        path.write_bytes(b"".join(packets_of(BY_NAME["chips_5"], BY_NAME["chips_5"].data(4))))
        with pytest.raises(LayoutError, match="give a rate"):
            replay(path, receiver.address, packet_format="chips")
        assert (
            call("send", path, f"udp://127.0.0.1:{receiver.address.port}", "--rate", 1000).output == "12 packets sent\n"
        )
        assert call("send", path, "http://127.0.0.1:80").exit_code == 1


class TestKeeping:
    def test_a_file_for_each_sequence(self, tmp_path):
        with labdaq.Ring() as ring:
            packets = Packets(stream(0, 100, 2), stream(0, 30, 2, chan=9))
            capture = PacketCapture(TOY, packets, RingSink(ring, is_live=False), nsrc=2, ntime_gulp=8)
            ledger = keep(capture, ring, tmp_path / "run")
        assert ledger.accepted == 260
        frames = [np.load(tmp_path / "run" / f"toy-{i}.npy") for i in (0, 1)]
        assert [len(array) for array in frames] == [100, 30]
        assert frames[0][:, 0, 0].tolist() == [n % 256 for n in range(100)]
        described = [json.loads((tmp_path / "run" / f"toy-{i}.json").read_text()) for i in (0, 1)]
        assert [one["header"]["chan"] for one in described] == [7, 9]
        assert "260 accepted" in (tmp_path / "run" / "ledger.txt").read_text()

    def test_the_command_for_some_time(self, tmp_path):
        found = call("capture", "tbn", "udp://127.0.0.1:0", "--out", tmp_path / "run", "--seconds", 0.1)
        assert found.exit_code == 0
        assert "0 packets = 0 accepted" in found.output
        assert "receive buffer" in found.output


class TestCriticalRate:
    def test_a_noisy_search_finds_it(self):
        """Trials that tell the truth in nine cases of ten."""
        rng = np.random.default_rng(2)

        def trial(rate):
            is_lost = (rate > 80_000) ^ (rng.random() < 0.1)
            return Trial(rate, rate, 1000, int(is_lost))

        found = critical_rate(trial, trials=60)
        assert 60_000 < found.rate < 100_000
        assert found.low < found.rate < found.high
        assert len(found.trials) == 60

    def test_the_loopback_is_tried(self, tmp_path):
        found = loopback_trial(100, seconds=0.05)(2000)
        assert found.sent >= 100
        assert 0 <= found.lost <= found.sent

    def test_the_command_draws_it(self, tmp_path):
        picture = tmp_path / "limits.png"
        found = call("bench", "capture", "--seconds", 0.02, "--trials", 2, "--out", picture)
        assert "critical rate" in found.output
        assert "#" in found.output
        assert picture.read_bytes()[:4] == b"\x89PNG"
