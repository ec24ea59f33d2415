"""Files of events: saved, played back, and those of mimoCoRB2 itself."""

import logging
import pickle
import time

import numpy as np
import pytest

from labdaq.compat.mimocorb2 import SetupError
from labdaq.compat.mimocorb2.functions import data
from labdaq.compat.mimocorb2.mimo_file import MimoReader, MimoWriter, mimoFile
from labdaq.errors import DataError, LayoutError, NotFoundError
from tests.compat.bench import WAVE


class TestFiles:
    def saved(self, bench, *values):
        bench.buffer("In")
        bench.fill("In", *values)
        data.export(bench.io(["In"]))
        return bench.folder / "In.mimo"

    @pytest.mark.parametrize(
        ("play", "config", "least_s"),
        [
            (data.clocked_importer, {"rate": 1000.0}, 0.003),
            (data.clocked_importer, {"rate": 1e6, "distribution": "poisson", "seed": 1}, 0.0),
            (data.simulate_importer, {}, 0.02),
        ],
    )
    def test_what_was_saved_is_played_back(self, bench, play, config, least_s):
        bench.buffer("Out")
        with MimoWriter(bench.folder / "In.mimo", WAVE, 4) as file:
            for number in range(3):
                file.write(np.full(4, number, WAVE), np.array([(number, 5 + number / 100, 0)], file.metadata_dtype))
        began = time.monotonic()
        play(bench.io(sinks=["Out"], filename="In.mimo", **config))
        assert time.monotonic() - began >= least_s
        assert bench.take("Out") == [(0, 0), (1, 1), (2, 2)]

    def test_times_that_know_nothing_of_each_other_have_the_rate(self, bench, monkeypatch):
        times = []
        monkeypatch.setattr(data, "_play", lambda io, due_s: times.extend(due_s(None) for _ in range(4000)))
        data.clocked_importer(bench.io(rate=50.0, distribution="poisson", seed=2))
        gaps = np.diff(times, prepend=0.0)
        assert gaps.mean() == pytest.approx(1 / 50, rel=0.05)
        assert gaps.std() == pytest.approx(1 / 50, rel=0.05)

    def test_metadata_are_kept(self, bench):
        with mimoFile.from_file(self.saved(bench, 7, 8)) as file:
            *events, end = file.read_data()
        assert [(event["A"][0], metadata[0].item()) for event, metadata in events] == [
            (7, (10, 1.0, 0.5)),
            (8, (11, 2.0, 0.5)),
        ]
        assert end == (None, None)

    def test_files_of_mimocorb2_are_read(self, bench, caplog):
        path = bench.folder / "theirs.mimo"
        dtype, metadata = np.dtype(WAVE), np.dtype([("counter", "i8"), ("timestamp", "f8"), ("deadtime", "f8")])
        header = {"version": 1, "header": "...", "data_dtype": dtype, "data_length": 2, "metadata_dtype": metadata}
        event = np.ones(2, dtype).tobytes() + np.array([(3, 4.0, 0.5)], metadata).tobytes()
        path.write_bytes(pickle.dumps(header | {"metadata_length": 1}) + event + event[:-1])
        with MimoReader(path) as file, caplog.at_level(logging.WARNING):
            ((event, found),) = list(file)
        assert (file.data_dtype, event["A"].tolist(), found["counter"].tolist()) == (dtype, [1, 1], [3])
        assert "its last 55 bytes are left out" in caplog.text

    def test_a_header_that_would_do_something_does_not(self, bench):
        done = bench.folder / "done"

        class Worm:
            def __reduce__(self):
                return (type(done).touch, (done,))

        path = bench.folder / "worm.mimo"
        for content in (pickle.dumps(Worm()), pickle.dumps([1]), b"", b"{}", b'{"data_dtype": "f4", "data_length": 0}'):
            path.write_bytes(content)
            with pytest.raises(DataError, match="has no header of a file of events"):
                MimoReader(path)
        assert not done.exists()
        with pytest.raises(NotFoundError, match=r"files of events there: worm.mimo"):
            MimoReader(bench.folder / "wurm.mimo")

    def test_what_does_not_fit_is_told(self, bench):
        self.saved(bench, 1)
        bench.buffer("Out", length=5)
        with pytest.raises(SetupError, match="has events of 4 values"):
            data.simulate_importer(bench.io(sinks=["Out"], filename="In.mimo"))
        for config in ({"rate": 0}, {"rate": 1, "distribution": "gaussian"}):
            with pytest.raises(SetupError, match="a positive rate"):
                data.clocked_importer(bench.io(sinks=["Out"], filename="In.mimo", **config))
        with MimoWriter(bench.folder / "x.mimo", WAVE, 4) as file, pytest.raises(LayoutError, match="4 values"):
            file.write(np.ones(3, WAVE), np.zeros(1, file.metadata_dtype))
