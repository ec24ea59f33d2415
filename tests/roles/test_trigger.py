"""What can be a trigger."""

import pytest

from labdaq.errors import LayoutError
from labdaq.roles import Trigger


@pytest.mark.parametrize("wrong", [{"edge": "up"}, {"prescale": 0}, {"width": 0}, {"window": -1}])
def test_what_can_never_trigger_is_refused(wrong):
    with pytest.raises(LayoutError, match=next(iter(wrong))):
        Trigger(0.03, **wrong)


def test_a_trigger_is_a_value():
    assert Trigger(0.03, edge="falling") == Trigger(0.03, edge="falling") != Trigger(0.03)
    assert len({Trigger(0.03), Trigger(0.03)}) == 1
