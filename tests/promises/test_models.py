"""Rings and stores against plain models of them: lists and counters, whatever is done in whatever order."""

import uuid

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from labdaq.store import DataStore
from labdaq.testing import StoreMachine
from tests.ring.test_model import RingModel


def checked(machine, examples):
    """Draw so many sequences of steps, and hold what happens against the model after each step."""
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=40, deadline=None))


@pytest.mark.promise("P2", "rings, step by step, against a model: writers, voided frames, groups, observers, ends")
def test_a_ring_does_what_the_model_does(often, saw):
    examples = often(10, 3000)
    checked(RingModel, examples)
    saw(f"{examples} sequences of up to 40 steps, all as in the model")


@pytest.mark.promise("P2", "stores, step by step, against a model: scans, streams, cursors, trimming, reopening")
@pytest.mark.parametrize("engine", ["memory", "embedded"])
def test_a_store_does_what_the_model_does(engine, tmp_path, monkeypatch, often, saw):
    monkeypatch.setattr("labdaq.store.embedded.segments.SEGMENT_NBYTES", 64)
    examples = often(5, 1500)

    class Machine(StoreMachine):
        def open_store(self):
            name = uuid.uuid4().hex
            return DataStore(f"memory://{name}" if engine == "memory" else tmp_path / name)

    checked(Machine, examples)
    saw(f"{examples} sequences of up to 40 steps, all as in the model")
