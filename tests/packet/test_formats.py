"""Every format: written and read again, the same; what is not of it, refused."""

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labdaq.errors import LayoutError, NotFoundError
from labdaq.packet import DiskWriter, HeaderInfo, find_format, format_names, read
from tests.packet.recipes import BY_NAME, RECIPES, packets_of

each = pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)


def write(recipe, data):
    file = io.BytesIO()
    recipe.send(DiskWriter(recipe.name, file), data)
    return file.getvalue()


class TestRoundTrip:
    @each
    def test_what_is_written_is_read(self, recipe):
        @settings(max_examples=5)
        @given(frames=st.integers(1, 5), seed=st.integers(0, 1000), gulp=st.integers(1, 4))
        def check(frames, seed, gulp):
            data = recipe.data(frames, seed)
            reading = read(io.BytesIO(write(recipe, data)), recipe.name, ntime_gulp=gulp, **recipe.reading())
            blocks = list(reading)
            assert np.array_equal(np.concatenate([recipe.payloads(b) for b in blocks]), data)
            assert all(block.present.all() for block in blocks)
            assert reading.ledger.accepted == frames * recipe.nsrc
            assert reading.ledger.closes

        check()

    @each
    def test_a_block_says_when_it_was(self, recipe):
        blocks = list(read(io.BytesIO(write(recipe, recipe.data(3))), recipe.name, ntime_gulp=1, **recipe.reading()))
        steps = np.diff([block.time_tag for block in blocks])
        assert [block.seq - blocks[0].seq for block in blocks] == [0, 1, 2]
        assert len(set(steps.tolist())) == 1
        is_vdif = recipe.name.startswith("vdif")
        assert steps[0] == (100 if is_vdif else recipe.step)  # 100 complex samples of 8 + 8 bits
        assert blocks[0].time_tag == recipe.seq0 * (100 if is_vdif else recipe.step)

    @each
    def test_every_name_of_bifrost_is_there(self, recipe):
        family = recipe.name.split("_")[0].rstrip("12") if "beam" in recipe.name else recipe.name.split("_")[0]
        assert family in format_names()
        assert len({r.name for r in RECIPES}) == len(format_names())


class TestSetup:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("chips_5", {"chan0": 1200, "nchan": 5, "gbe": 1}),
            ("ibeam2_4", {"chan0": 700, "nchan": 4, "nbeam": 2}),
            ("pbeam1_8", {"chan0": 64, "nchan": 8, "navg": 24, "nbeam": 1}),
            ("cor_6", {"chan0": 12, "nchan": 6, "navg": 500, "nserver": 1}),
            ("tbn", {"tuning": 83269774, "decimation": 1960, "gain": 20}),
            ("drx", {"tuning": 0, "tuning1": 1, "decimation": 10, "beam": 1}),
            ("drx8", {"tuning": 0, "tuning1": 0, "decimation": 10}),
            ("snap2", {"chan0": 0, "nchan_tot": 6, "npol_tot": 16, "sync_time": 1_700_000_000}),
            ("vdif_232", {"nchan": 1, "nbits": 8, "is_complex": 1, "sample_rate_hz": 5000, "station": 65}),
            ("tbf", {"chan0": 2348, "nchan": 36, "nstand": 5}),
            ("vbeam_7", {"nchan": 7}),
        ],
    )
    def test_a_sequence_has_the_fields_of_its_format(self, name, expected):
        recipe, seen = BY_NAME[name], []

        def start(setup):
            seen.append(setup)
            return 5, {"mine": setup.nsrc}

        file = io.BytesIO(write(recipe, recipe.data(2)))
        (block,) = read(file, name, sequence_callback=start, **recipe.reading())
        (setup,) = seen
        assert {key: setup[key] for key in expected} == expected
        assert (block.time_tag, block.header) == (5, {"mine": recipe.nsrc})

    def test_time_goes_on_from_the_first_frame(self):
        recipe = BY_NAME["tbn"]
        packets = packets_of(recipe, recipe.data(3))
        late_start = packets[4:8] + packets[:4] + packets[8:]
        (block,) = read(io.BytesIO(b"".join(late_start)), "tbn", **recipe.reading())
        assert block.time_tag == recipe.seq0 * recipe.step
        assert block.present.all()


class TestChanges:
    @pytest.mark.parametrize("values", [{"decimation": 20}, {"tuning": 77}])
    def test_drx_begins_anew_where_its_setup_changes(self, values):
        recipe = BY_NAME["drx"]
        other = replace(recipe, info=recipe.info | values, step=values.get("decimation", 10) * 4096)
        packets = packets_of(recipe, recipe.data(6)) + packets_of(other, other.data(6), first=6)
        reading = read(io.BytesIO(b"".join(packets)), "drx", **recipe.reading())
        headers = []
        for block in reading:
            assert block.present.all()
            headers.append((block.seq, block.header["decimation"], block.header["tuning"], block.header["tuning1"]))
        tuning = values.get("tuning", 0)
        assert headers == [(1000, 10, 0, 1), (1006, values.get("decimation", 10), tuning, tuning + 1)]
        assert reading.ledger.accepted == 48

    def test_chips_retunes_in_the_middle_of_disorder(self):
        recipe = BY_NAME["chips_5"]
        other = replace(recipe, info={"chan0": 900})
        packets = packets_of(recipe, recipe.data(20)) + packets_of(other, other.data(20), first=20)
        packets[58], packets[60] = packets[60], packets[58]
        reading = read(io.BytesIO(b"".join(packets)), "chips", **recipe.reading())
        blocks = list(reading)
        assert [(block.seq, block.header["chan0"]) for block in blocks] == [(1000, 1200), (1020, 900)]
        assert reading.ledger.closes
        assert reading.ledger.accepted + reading.ledger.late == 120

    def test_a_vdif_rate_is_learnt_across_a_second(self):
        recipe = BY_NAME["vdif_232"]
        packets = packets_of(recipe, recipe.data(120))
        reading = read(io.BytesIO(b"".join(packets)), "vdif", nsrc=2)
        (block,) = reading
        assert reading.capture.rate == 50
        assert block.present.all()

    def test_without_a_whole_second_each_is_a_sequence(self):
        recipe = BY_NAME["vdif_232"]
        packets = packets_of(recipe, recipe.data(30))
        reading = read(io.BytesIO(b"".join(packets)), "vdif", nsrc=2)
        assert sum(block.present.sum() for block in reading) == 60
        assert reading.ledger.closes


class TestNames:
    @pytest.mark.parametrize(
        ("name", "nbytes"),
        [("chips_132", 16 + 32 * 132), ("ibeam2_32", 15 + 32 * 32), ("pbeam1_128", 18 + 16 * 128),
         ("cor_72", 32 + 32 * 72),
         ("pbeam_128", 18 + 16 * 128), ("vbeam_32", 52 + 16 * 32), ("tbn", 1048), ("drx", 4128), ("drx8", 8224)],
    )  # fmt: skip
    def test_the_number_is_that_of_channels(self, name, nbytes):
        assert find_format(name).nbytes == nbytes

    @pytest.mark.parametrize("name", ["nothing", "chips_", "_5", "ibeam9", "tbn_7", "chips_0", "CHIPS", "ibeam2_x", ""])
    def test_others_are_refused(self, name):
        with pytest.raises((NotFoundError, LayoutError), match=name.split("_")[0] or "format"):
            find_format(name)


class TestWriting:
    def test_dtype_shape_and_sizes_are_checked(self):
        recipe = BY_NAME["tbn"]
        file = io.BytesIO()
        writer, good = DiskWriter("tbn", file), recipe.data(2)
        for data, wrong in [
            (good[0], "shape"), (good[..., :100], "100 samples"), (good.view("u2"), "uint16"), (good[:0], "shape"),
        ]:  # fmt: skip
            with pytest.raises(LayoutError, match=wrong):
                writer.send(HeaderInfo(), 0, 1, 0, 1, data)
        assert file.getvalue() == b""

    def test_a_number_that_its_field_cannot_hold_is_refused(self):
        recipe = BY_NAME["chips_5"]
        with pytest.raises(LayoutError, match="roach=301"):
            DiskWriter("chips_5", io.BytesIO()).send(HeaderInfo(), 0, 1, 300, 1, recipe.data(1)[:, :1])
        with pytest.raises(LayoutError, match="gain"):
            HeaderInfo(gain=-1)
        with pytest.raises(AttributeError, match="beam_width"):
            HeaderInfo().set_beam_width(3)

    def test_frames_are_counted(self):
        recipe, file = BY_NAME["tbn"], io.BytesIO()
        writer = DiskWriter("tbn", file)
        for _ in range(2):
            recipe.send(writer, recipe.data(2))
        writer.reset_counter()
        recipe.send(writer, recipe.data(1))
        headers = np.frombuffer(file.getvalue(), np.dtype([("h", find_format("tbn").header), ("p", "u1", 1024)]))["h"]
        assert headers["frame_count"].reshape(5, 4).tolist() == [[n] * 4 for n in (0, 1, 2, 3, 0)]
