"""Signals: values, arithmetic, exact phases from block to block, and text that means the same."""

import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labdaq.errors import LayoutError, NotFoundError
from labdaq.roles import Parameter
from labdaq.sim import AnalogSource, chirp, cw, dc, noise, parse_signal, pulse, sawtooth, square
from labdaq.sim.signals import Stretch

NUMBERS = st.floats(0.01, 100) | st.integers(1, 100)
LEAVES = st.one_of(
    st.builds(dc, st.floats(-10, 10)),
    st.builds(cw, NUMBERS, NUMBERS, st.floats(-3, 3)),
    st.builds(square, NUMBERS, NUMBERS, st.floats(0, 1)),
    st.builds(sawtooth, NUMBERS),
    st.builds(chirp, NUMBERS, NUMBERS, NUMBERS),
    st.builds(pulse, NUMBERS, NUMBERS),
    st.builds(noise, NUMBERS),
)
SIGNALS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a + b, inner, inner),
        st.builds(lambda a, b: a - b, inner, inner),
        st.builds(lambda a, b: a * b, inner, inner),
        st.builds(lambda a, b: a * b, NUMBERS, inner),
        st.builds(lambda a, b: a / b, inner, NUMBERS),
        st.builds(lambda a: -a, inner),
    ),
    max_leaves=6,
)
DETERMINISTIC = "cw(7, 2, 0.5) + square(3, 1, 0.3) * sawtooth(5) - chirp(1, 20, 0.7) / 2 + pulse(2, 0.05) + dc(0.25)"


class TestText:
    @settings(max_examples=60)
    @given(SIGNALS)
    def test_of_a_signal_means_the_signal(self, signal):
        assert parse_signal(repr(signal)) == signal
        assert pickle.loads(pickle.dumps(signal)) == signal

    @pytest.mark.parametrize(
        ("text", "signal"),
        [
            ("cw(1e3) + noise(0.1)", cw(1e3) + noise(0.1)),
            (" 2*cw(frequency_hz=50, phase_rad=pi/2)", 2 * cw(50, 1.0, np.pi / 2)),
            ("-(dc(1) - 3) / (1 + 3)", -(dc(1) - 3) / 4),
            ("cw(1) - (cw(2) - cw(3))", cw(1) - (cw(2) - cw(3))),
            ("1 - +cw(2)", 1 - cw(2)),
        ],
    )
    def test_is_read_like_python(self, text, signal):
        assert parse_signal(text) == signal

    @pytest.mark.parametrize("text", ["sin(1)", "cw(1) + foo(2)", "__import__('os')", "eval('1')"])
    def test_unknown_names_are_told_what_there_is(self, text):
        with pytest.raises(
            NotFoundError, match="is no signal; there are chirp, cw, dc, noise, pulse, sawtooth, square"
        ):
            parse_signal(text)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "is no signal"),
            ("cw(1", "is no signal"),
            ("cw(1) +", "is no signal"),
            ("cw(1); cw(2)", "is no signal"),
            ("cw(1)\0", "is no signal"),
            ("3 * 4", r"a constant signal is dc\(12\)"),
            ("cw", "calls, numbers"),
            ("cw(1).shape", "calls, numbers"),
            ("(lambda: 1)()", "calls, numbers"),
            ("[cw(1)][0]", "calls, numbers"),
            ("cw(1) ** 2", "calls, numbers"),
            ("dc('1')", "calls, numbers"),
            ("dc(True)", "calls, numbers"),
            ("dc(1j)", "calls, numbers"),
            ("cw(*[1])", "calls, numbers"),
            ("cw(**{})", "calls, numbers"),
            ("cw()", "missing a required argument: frequency_hz"),
            ("cw(1, 2, 3, 4)", r"cw\(frequency_hz, amplitude, phase_rad\): too many"),
            ("cw(1, frequency_hz=2)", "multiple values"),
            ("cw(cw(1))", "is no finite number"),
            ("cw(1e999)", "is no finite number"),
            ("dc(" + 400 * "9" + ")", "is no finite number"),
            ("cw(-1)", "are positive"),
            ("square(1, 1, 2)", "duty=2"),
            ("cw(1) / 0", "not 0"),
            ("cw(1 / 0)", "division"),
            ("1 / cw(1)", "divide nothing"),
            ("cw(1) / cw(2)", "divided by numbers"),
            ("-" * 1900 + "dc(1)", "is no signal"),
            ("(" * 900 + "dc(1)" + ")" * 900, "is no signal"),
            ("dc(1)" + " " * 2000, "at most 2000 characters"),
        ],
    )
    def test_that_is_no_signal(self, text, message):
        with pytest.raises(LayoutError, match=message):
            parse_signal(text)


class TestValues:
    def test_arithmetic_is_that_of_the_values(self):
        a, b = cw(3.0).sample(50, 100), square(2.0).sample(50, 100)
        for signal, expected in [
            (cw(3.0) + square(2.0), a + b),
            (cw(3.0) - square(2.0), a - b),
            (cw(3.0) * square(2.0), a * b),
            (1 - 2 * cw(3.0) / 4, 1 - a / 2),
            (np.float64(2) * cw(3.0), 2 * a),
            (Parameter(2.0) * cw(3.0), 2 * a),
        ]:
            np.testing.assert_allclose(signal.sample(50, 100), expected, atol=1e-15)

    def test_sweep_goes_through_its_frequencies(self):
        values = chirp(10.0, 110.0, 1.0).sample(100_000, 100_000)
        rising = np.flatnonzero((values[:-1] < 0) & (values[1:] >= 0)) * 1e-5
        frequency = 1 / np.diff(rising)
        np.testing.assert_allclose(frequency, 10 + 100 * (rising[1:] + rising[:-1]) / 2, rtol=0.02)

    def test_pulses_are_as_wide_as_ordered(self):
        values = pulse(10.0, 0.004).sample(1000, 1000)
        assert values[::100].tolist() == [1.0] * 10
        assert values[[4, 96]] == pytest.approx([np.exp(-0.5)] * 2)
        assert values.sum() == pytest.approx(10 * 4 * np.sqrt(2 * np.pi), rel=1e-6)

    def test_noise_is_white_and_gaussian(self):
        values = noise(0.5).sample(100_000, 1.0, seed=4)
        assert [values.mean(), values.std()] == pytest.approx([0, 0.5], abs=0.01)
        assert abs(np.mean(values[1:] * values[:-1])) < 0.005

    def test_two_noises_in_one_signal_are_two(self):
        assert (noise(1.0) - noise(1.0)).sample(10_000, 1.0).std() == pytest.approx(np.sqrt(2), abs=0.05)

    def test_sizes_that_are_none(self):
        for count, rate_hz in [(-1, 1.0), (1, 0.0), (1, np.inf)]:
            with pytest.raises(LayoutError, match="samples at a positive rate"):
                dc(1).sample(count, rate_hz)


class TestBlocks:
    @pytest.mark.parametrize("samples", [1, 7, 64])
    def test_hang_together(self, samples):
        source = AnalogSource(DETERMINISTIC, sample_rate_hz=1000.0, samples=samples)
        n = 1400 // samples
        together = source.batch(n).data.ravel()
        np.testing.assert_allclose(together, parse_signal(DETERMINISTIC).sample(n * samples, 1000.0), atol=1e-6)

    def test_phase_is_exact_after_years(self):
        rate_hz, frequency_hz = 1e6, 123_456.789
        first = 10**14  # more than three years
        late = cw(frequency_hz).sample(4, rate_hz, first=first)
        cycles = [float(Fraction(frequency_hz) * (first + i) / 10**6 % 1) for i in range(4)]
        np.testing.assert_allclose(late, np.sin(2 * np.pi * np.array(cycles)), atol=1e-12)

    def test_times_are_those_of_the_first_samples(self):
        truth = AnalogSource("dc(1)", sample_rate_hz=44_100.0, samples=441, start_ns=5).batch(200).truth
        assert truth["timestamp_ns"].tolist() == [5 + 10_000_000 * i for i in range(200)]
        assert truth["sample"].tolist() == [441 * i for i in range(200)]

    def test_channels(self):
        source = AnalogSource(["dc(1)", "dc(2)"], channels=["one", "two"], samples=10)
        assert source.batch(3).data[:, :, 0].tolist() == [[1, 2]] * 3
        assert source.header["channels"] == ["one", "two"]
        assert source.header["signals"] == ["dc(1)", "dc(2)"]

    def test_one_signal_in_several_channels_has_noise_of_its_own_in_each(self):
        data = AnalogSource("noise(1)", channels=["a", "b"], samples=5000).batch(1).data[0]
        assert abs(np.corrcoef(data)[0, 1]) < 0.06

    def test_memory_with_gaps_is_filled(self):
        source = AnalogSource(["dc(1)", "dc(2)"], samples=4)
        memory = np.zeros((2, 4, 3)).transpose(2, 0, 1)

        class Events:
            data, planes = memory, {"timestamp_ns": np.zeros(3, np.int64)}

        assert source.acquire_batch(Events()) == 3
        assert memory.sum() == 3 * 4 * (1 + 2)

    @pytest.mark.parametrize(
        ("signal", "setting"),
        [
            (["dc(1)", "dc(2)"], {"channels": ["a", "b", "c"]}),
            ([], {}),
            ("dc(1)", {"channels": []}),
            ("dc(1)", {"samples": 0}),
            ("dc(1)", {"sample_rate_hz": 0.0}),
        ],
    )
    def test_settings_that_do_not_fit(self, signal, setting):
        with pytest.raises(LayoutError, match=r"signals for|must be positive"):
            AnalogSource(signal, **setting)


def test_cycles_of_a_stretch_begin_in_the_first_period():
    assert 0 <= Stretch(10**18 + 3, 1, 7.0).cycles(0.1)[0] < 1
