"""A question asked again until it has an answer, or its time is over."""

import pytest

from core.again import PAUSE_SECONDS, again


class Clock:
    """Only sleeping moves it."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Slow:
    """Answers from the third time on."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, word: str) -> str:
        self.times += 1
        if self.times < 3:
            raise RuntimeError("not yet")
        return word


def test_no_answer_yet_is_asked_for_again() -> None:
    assert again(Slow(), RuntimeError, seconds=60.0, clock=Clock())("well") == "well"


@pytest.mark.parametrize(("seconds", "times"), [(0.0, 1), (PAUSE_SECONDS, 2)])
def test_when_its_time_is_over_the_last_refusal_is_told(seconds: float, times: int) -> None:
    slow = Slow()
    with pytest.raises(RuntimeError, match="not yet"):
        again(slow, RuntimeError, seconds=seconds, clock=Clock())("well")
    assert slow.times == times


def test_another_error_is_told_at_once() -> None:
    slow = Slow()
    with pytest.raises(RuntimeError, match="not yet"):
        again(slow, ValueError, seconds=60.0, clock=Clock())("well")
    assert slow.times == 1
