"""How a worker's work ends, and how often a group asks whether one of its machines is to go."""

import pytest

from core.errors import Code, CrpbotError
from training.group import LEFT, OF_ONE_MACHINE, ending
from training.runs import Interrupted
from training.worker import Rhythm


def raising(error: BaseException) -> None:
    raise error


def test_work_that_is_done_ends_with_nothing_to_say() -> None:
    assert ending(lambda: None) is None


def test_who_kept_its_state_because_the_machine_goes_has_left_and_not_failed() -> None:
    assert ending(lambda: raising(Interrupted("saved at step 3"))) == LEFT


@pytest.mark.parametrize("code", list(Code))
def test_what_another_machine_may_do_better_is_raised_and_all_else_is_told(code: Code) -> None:
    error = CrpbotError(code, "too few candles", reason="TOO_FEW")
    if code in OF_ONE_MACHINE:
        with pytest.raises(CrpbotError):
            ending(lambda: raising(error))
    else:
        assert ending(lambda: raising(error)) == (code.value, "too few candles", "TOO_FEW")


def asked(rhythm: Rhythm, *, steps: int, seconds: float) -> list[int]:
    """At which steps it is asked, when each of them takes so long."""
    found, last = [], 0
    for step in range(1, steps + 1):
        if rhythm.is_due():
            found.append(step)
            rhythm.begin((step - last) * seconds)
            last = step
    return found


def test_quick_steps_are_asked_about_more_and_more_rarely_until_it_is_once_a_second() -> None:
    found = asked(Rhythm(), steps=4_000, seconds=0.001)
    assert found[:6] == [1, 3, 7, 15, 31, 63], "twice as rarely each time"
    assert [after - before for before, after in zip(found[-3:-1], found[-2:], strict=True)] == [1_000, 1_000]


def test_steps_of_more_than_a_second_are_each_asked_about() -> None:
    assert asked(Rhythm(), steps=5, seconds=3.0) == [1, 2, 3, 4, 5]


def test_when_steps_become_slow_it_is_asked_more_often_at_once() -> None:
    rhythm = Rhythm()
    asked(rhythm, steps=2_047, seconds=0.001)
    assert len(asked(rhythm, steps=3_000, seconds=0.1)) > 3_000 / 10 / 2
