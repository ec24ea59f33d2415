"""Run control: the table, and real runs that are given commands at random."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labdaq.errors import StateError
from labdaq.pipeline import TRANSITIONS, Command, Pipeline, RunState, state_diagram
from labdaq.pipeline.running.states import next_state
from tests.pipeline.making import LONG_S, Numbers, Seen


@pytest.mark.parametrize(("state", "command"), list(itertools.product(RunState, Command)))
def test_what_is_not_in_the_table_changes_nothing_or_is_refused_with_what_is_possible(state, command):
    try:
        new = next_state(state, command)
    except StateError as error:
        assert (state, command) not in TRANSITIONS
        possible = str(error).rpartition(": ")[2].split(", ")
        for name in possible:
            if name != "a new run":
                assert next_state(state, Command(name)) in RunState
    else:
        assert new == TRANSITIONS.get((state, command), state)


def test_every_state_is_reached_and_nothing_leads_out_of_the_last_ones():
    assert set(TRANSITIONS.values()) | {RunState.IDLE} == set(RunState)
    assert not any(old.is_over for old, _ in TRANSITIONS)
    assert [state for state in RunState if state.is_over] == [RunState.ENDED, RunState.FAILED]


def test_the_diagram_has_every_arrow():
    arrows = {tuple(line.split(" --> ")[0].split()) for line in state_diagram().splitlines()[1:]}
    assert len(state_diagram().splitlines()) == 1 + len(TRANSITIONS)
    assert arrows == {(old.name,) for old, _ in TRANSITIONS}


@settings(max_examples=12)
@given(st.lists(st.sampled_from(["pause", "resume", "stop", "abort"]), max_size=6))
def test_a_real_run_follows_the_table(commands):
    with Pipeline("machine", store=None) as daq:
        raw = daq.ring("raw", "f8", (4,), 32)
        daq.source(Numbers(), raw)
        seen = daq.sink(Seen(), raw)
        daq.start(drain_timeout_s=LONG_S)
        for name in commands:
            before = daq.state  # it may end meanwhile
            possible = {after for (_, c), after in TRANSITIONS.items() if c == Command(name)} | {before}
            try:
                getattr(daq, name)()
                was_refused = False
            except StateError:
                was_refused = True
            if was_refused:
                assert daq.state != before or (before, Command(name)) not in TRANSITIONS
            else:
                assert daq.state in {*possible, RunState.ENDED, RunState.FAILED}
                assert next_state(before, Command(name)) in possible
        if not daq.state.is_over and daq.state != RunState.DRAINING:
            daq.stop()
        result = daq.wait(LONG_S)
        was_aborted = "abort" in commands[: commands.index("stop")] if "stop" in commands else "abort" in commands
        if was_aborted:
            assert result.state == RunState.FAILED
        elif "abort" not in commands:
            assert result.state == RunState.ENDED
        assert result.ledger.is_closed
        assert seen.counters == list(range(len(seen.counters)))
        if result.state == RunState.ENDED:
            assert len(seen.counters) == result.events


def test_the_diagram_in_the_documentation_is_that_of_the_table():
    text = (Path(__file__).parents[3] / "docs" / "pipelines.md").read_text(encoding="utf-8")
    assert f"```mermaid\n{state_diagram()}\n```" in text
