"""What was begun is ended once, and nothing that arrives meanwhile interrupts the ending."""

from __future__ import annotations

import os
import signal

import pytest

from cli.cluster.guard import SIGNALS, Asked, Guard


def send(number: signal.Signals) -> None:
    """To this very process; Python hears it before the next line."""
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_what_was_begun_and_others_do_not_disturb(
    number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    ended: list[str] = []

    def end() -> None:
        for each in SIGNALS:
            send(each)
        ended.append("whole")

    def work() -> None:
        with Guard() as guard, guard.ending("it is being ended", end):
            send(number)
            ended.append("never")

    with pytest.raises(Asked) as caught:
        work()
    assert caught.value.code == 128 + number
    assert ended == ["whole"]
    told = capfd.readouterr().err.splitlines()
    assert told[0].endswith(": ending what was begun")
    assert told[1:] == [f"{words}: it is being ended" for words in SIGNALS.values()]


def test_it_ends_after_an_error_and_after_none() -> None:
    ended: list[str] = []
    with Guard() as guard:
        with pytest.raises(ValueError, match="of the work"), guard.ending("", lambda: ended.append("after an error")):
            raise ValueError("of the work")
        with guard.ending("", lambda: ended.append("after none")):
            pass
    assert ended == ["after an error", "after none"]


def test_what_is_begun_while_signals_are_held_is_known_when_they_are_heard() -> None:
    begun: list[str] = []

    def begin(name: str, *, is_checked: bool) -> None:
        with Guard() as guard, guard.holding():
            send(signal.SIGTERM)
            if is_checked:
                guard.check()
            begun.append(name)

    with pytest.raises(Asked):
        begin("the head", is_checked=False)
    with pytest.raises(Asked):
        begin("never", is_checked=True)
    assert begun == ["the head"]


def test_a_second_signal_before_the_ending_raises_no_second_time() -> None:
    with Guard() as guard:
        with pytest.raises(Asked):
            send(signal.SIGTERM)
        send(signal.SIGINT)
        with guard.ending("", lambda: None):
            send(signal.SIGHUP)


def test_what_was_held_is_raised_once() -> None:
    with Guard() as guard:
        with guard.holding():
            send(signal.SIGTERM)
            with pytest.raises(Asked):
                guard.check()
            guard.check()  # in the ending of what was begun, which it does not interrupt
        guard.check()


def test_afterwards_signals_mean_what_they_meant() -> None:
    before = {each: signal.getsignal(each) for each in SIGNALS}
    with Guard():
        assert signal.getsignal(signal.SIGHUP) != before[signal.SIGHUP]
    assert {each: signal.getsignal(each) for each in SIGNALS} == before
