"""Parameters that several ask for at the same moment: all workers end with what was asked for last."""

import threading
from types import SimpleNamespace

from labdaq.pipeline.running.changes import ParameterChanges
from labdaq.roles import Parameter
from tests.pipeline.making import LONG_S


class Told:
    """A host that remembers what it was told; somebody else may want something just before it hears."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self.meanwhile = None

    def change(self, _name: str, value: float) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        self.values.append(value)


class Find:
    level = Parameter(0.0)


def of_two_workers():
    node = SimpleNamespace(name="find", work=Find())
    members = [SimpleNamespace(node=node, host=Told()) for _ in range(2)]
    return ParameterChanges([node], SimpleNamespace(members={"find": members})), members


def asked_elsewhere(changes, value):
    """Ask from another thread, as far as that is possible now; the thread."""
    thread = threading.Thread(target=changes.ask, args=("find", "level", value))
    thread.start()
    thread.join(0.2)
    return thread


def test_two_who_ask_at_once_leave_all_workers_with_the_same_value():
    changes, (first, second) = of_two_workers()
    others = []
    second.host.meanwhile = lambda: others.append(asked_elsewhere(changes, 2.0))
    changes.ask("find", "level", 1.0)
    others[0].join(LONG_S)
    assert first.host.values == second.host.values == [1.0, 2.0]


def test_one_who_takes_a_place_is_not_told_what_is_wanted_no_more():
    changes, (first, _) = of_two_workers()
    changes.ask("find", "level", 1.0)
    others, first.host.values = [], []
    first.host.meanwhile = lambda: others.append(asked_elsewhere(changes, 2.0))
    changes.tell(first)
    others[0].join(LONG_S)
    assert first.host.values == [1.0, 2.0]
