"""Who speaks of a symbol: the promoted models by their readings, those on trial beside them, and why one is silent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.analysis import Findings, Missing, Reading
from core.deciding.ensemble_decision import decide_ensemble
from core.ensemble import Line
from core.errors import Code, CrpbotError
from core.forecasts.lineup import CALIBRATED, PROBABILITY, Lineup, Seat, read_outlook, remedy, silent_outlook
from core.forecasts.seating import Wish, dismiss, fill
from core.models.manifest import Kind
from core.models.store import Entry, slot_of
from core.models.weighting import KINDS, USUAL, Weights
from tests.core.cases import AS_OF
from tests.core.ensemble_cases import an_ensemble_case
from tests.core.model_cases import UNSERVABLE, make_model

MANIFEST, _ = make_model()
BTC = MANIFEST.symbols[0]


def a_seat(kind: str, digit: str, *, candidate: bool = False) -> Seat:
    """A model of this kind; its version is its kind and eight times the digit."""
    return Seat(replace(MANIFEST, kind=Kind(kind), sha256=digit * 64), candidate)


def says(version: str, chance: float, calibrated: float | None = None) -> Reading:
    """A model's answer."""
    own = chance if calibrated is None else calibrated
    return Reading(version, {PROBABILITY: chance, CALIBRATED: own}, 2.0 * own - 1.0, f"{version} speaks.")


SEATS = (a_seat("ppo", "3"), a_seat("lstm", "1"), a_seat("transformer", "2"))
READINGS = (says("lstm-11111111", 0.6, 0.58), says("transformer-22222222", 0.7), says("ppo-33333333", 0.8))
PAIR, WHOLE = Line(("lstm", "ppo"), 1.0, 0.5), Line(KINDS, 0.8, 0.0)


def test_an_outlook_has_one_forecast_of_each_kind_in_the_order_of_the_kinds() -> None:
    found = read_outlook(BTC, AS_OF, Findings(READINGS, ()), Lineup(SEATS))
    assert [each.kind for each in found.forecasts] == list(KINDS)
    assert [each.version for each in found.forecasts] == ["lstm-11111111", "transformer-22222222", "ppo-33333333"]
    assert [(each.probability, each.calibrated) for each in found.forecasts] == [(0.6, 0.58), (0.7, 0.7), (0.8, 0.8)]
    assert (found.as_of, found.horizon_minutes, found.weights, found.candidates) == (AS_OF, 15, USUAL, ())


def test_a_silent_model_says_why_in_the_words_of_whoever_knows() -> None:
    refused = Reading("lstm-11111111", {}, 0.0, "", "the last minute is 90 s old")
    gap = Missing("transformer-22222222", "deadline", "came too late")
    found = read_outlook(BTC, AS_OF, Findings((refused,), (gap,)), Lineup(SEATS))
    assert [each.problem for each in found.forecasts] == [
        "the last minute is 90 s old",
        "came too late",
        "it did not answer",
    ]
    assert {each.probability for each in found.forecasts} == {None}
    assert found.is_staffed


def test_a_kind_of_which_none_is_promoted_names_the_command_that_makes_one_and_how_long_it_takes() -> None:
    found = read_outlook(BTC, AS_OF, Findings((), ()), Lineup())
    assert not found.is_staffed
    assert [each.version for each in found.forecasts] == ["", "", ""]
    for each in found.forecasts:
        assert each.problem == f"no {each.kind} is promoted for {BTC}; remedy: {remedy(each.kind, BTC)}"
    assert "make train COIN=BTC, about 3 minutes" in str(found.forecasts[0].problem)
    assert "make rl COIN=BTC, about 2 minutes" in str(found.forecasts[2].problem)


def test_a_kind_whose_promoted_model_cannot_speak_says_why_and_not_that_none_is_promoted() -> None:
    slot = slot_of(SEATS[1].manifest)
    wish = Wish({slot: Entry("lstm.pt", SEATS[1].manifest)}, {})
    loading = dismiss(Lineup(), wish)
    assert silence_of(loading) == (
        "lstm-11111111 does not speak: it is promoted and is not loaded yet; ask again in some seconds"
    )
    broken = dismiss(fill(loading, wish, {"lstm-11111111": "its weights are damaged"}), wish)
    assert silence_of(broken) == (
        "lstm-11111111 does not speak: it is promoted and cannot be used: its weights are damaged"
    )
    assert broken.faults == (
        f"lstm of {BTC}: lstm-11111111 is promoted and cannot be used: its weights are damaged; "
        "nothing speaks in its place",
    )
    assert dismiss(broken, Wish({}, {})).empty == {}
    assert fill(broken, wish, {}).empty == {}


def silence_of(lineup: Lineup) -> str:
    """What the models' decision says of a symbol for which a model is promoted and none speaks."""
    assert lineup.staffed([BTC, "SOL-USD"]) >= {BTC}
    outlook = silent_outlook(BTC, lineup, "")
    assert outlook.is_staffed
    (doubt,) = decide_ensemble(an_ensemble_case(outlook)).degradations
    assert doubt.reason == "models_silent"
    return doubt.detail


def test_a_promoted_model_whose_manifest_cannot_be_read_is_silent_under_the_name_of_its_file() -> None:
    slot = slot_of(SEATS[1].manifest)
    torn = Entry("lstm.pt", None, CrpbotError(Code.FAILED_PRECONDITION, "lstm.pt is torn", reason="BAD_MODEL_FILE"))
    wish = Wish({slot: torn}, {})
    found = fill(dismiss(Lineup(), wish), wish, {})
    assert silence_of(found) == "lstm.pt does not speak: it is promoted and cannot be used: lstm.pt is torn"
    mended = dismiss(found, Wish({slot: Entry("lstm.pt", SEATS[1].manifest)}, {}))
    assert "is not loaded yet" in silence_of(mended), "what was said of the torn one holds no longer"


def test_a_model_of_some_coins_that_cannot_be_used_is_no_promise_for_others() -> None:
    coins, _ = make_model(Kind.TRANSFORMER)
    assert coins.symbols == (BTC, "ETH-USD")
    wish = Wish({slot_of(coins): Entry("transformer.pt", coins)}, {})
    found = dismiss(Lineup(), wish)
    assert found.staffed([BTC, "ETH-USD", "SOL-USD"]) == {BTC, "ETH-USD"}
    assert not silent_outlook("SOL-USD", found, "").is_staffed
    assert fill(found, wish, {}).staffed([BTC, "SOL-USD"]) == {BTC}


def test_a_model_that_cannot_be_opened_anew_keeps_its_seat_in_other_words_than_a_new_one() -> None:
    seat = SEATS[1].manifest
    wish = Wish({slot_of(seat): Entry("lstm.pt", seat)}, {})
    found = fill(fill(Lineup(), wish, {}), wish, {"lstm-11111111": "it was not loaded within 30 s"})
    assert found.seats == (Seat(seat),)
    assert found.faults == (
        f"lstm of {BTC}: lstm-11111111 keeps its seat, and could not be opened anew: it was not loaded within 30 s",
    )


def test_a_model_without_a_line_of_its_own_says_nothing_calibrated() -> None:
    plain = Reading("lstm-11111111", {PROBABILITY: 0.6}, 0.2, "lstm-11111111 speaks.")
    (found, *_) = read_outlook(BTC, AS_OF, Findings((plain,), ()), Lineup(SEATS)).forecasts
    assert (found.probability, found.calibrated) == (0.6, None)


@pytest.mark.parametrize("entries", UNSERVABLE)
def test_a_model_that_no_question_here_suits_gets_no_seat_and_a_sentence(entries: dict[str, Any]) -> None:
    seat = a_seat("lstm", "1").manifest
    other = replace(a_seat("lstm", "4").manifest, **entries)
    earlier = fill(Lineup(), Wish({slot_of(seat): Entry("lstm.pt", seat)}, {}), {})
    found = fill(earlier, Wish({slot_of(other): Entry("other.pt", other)}, {}), {})
    assert [each.manifest.version for each in found.seats] == ["lstm-11111111"]
    trial = fill(earlier, Wish({slot_of(seat): Entry("lstm.pt", seat)}, {slot_of(other): Entry("o.pt", other)}), {})
    assert [each.manifest.version for each in trial.seats] == ["lstm-11111111"]
    for lineup in (found, trial):
        (fault,) = lineup.faults
        assert "lstm-44444444" in fault
        assert "cannot be asked here" in fault


def test_a_model_on_trial_is_told_beside_the_others_and_never_takes_a_seat() -> None:
    trial = a_seat("lstm", "9", candidate=True)
    for seats in ((trial, *SEATS), (*SEATS, trial)):
        lineup = Lineup(seats)
        found = read_outlook(BTC, AS_OF, Findings((*READINGS, says("lstm-99999999", 0.1)), ()), lineup)
        assert found.forecasts[0].version == "lstm-11111111"
        assert [(each.version, each.probability) for each in found.candidates] == [("lstm-99999999", 0.1)]
    alone = read_outlook(BTC, AS_OF, Findings((says("lstm-99999999", 0.1),), ()), Lineup((trial,)))
    assert not alone.is_staffed
    assert alone.speaking == frozenset()
    assert alone.candidates[0].probability == 0.1


def test_an_answer_of_a_version_that_has_no_seat_counts_nowhere() -> None:
    found = read_outlook(BTC, AS_OF, Findings((says("lstm-77777777", 0.9),), ()), Lineup(SEATS))
    assert found.speaking == frozenset()
    assert found.forecasts[0].problem == "it did not answer"


def test_a_model_of_other_symbols_does_not_speak_of_this_one() -> None:
    found = read_outlook("ETH-USD", AS_OF, Findings(READINGS, ()), Lineup(SEATS))
    assert not found.is_staffed
    assert "no lstm is promoted for ETH-USD" in str(found.forecasts[0].problem)
    assert Lineup(SEATS).of("ETH-USD") == ()


def test_the_line_is_that_of_the_models_that_speak_and_those_of_one_less_are_kept_beside_it() -> None:
    lone = Line(("lstm",), 1.0, 0.1)
    lineup = Lineup(SEATS, lines={BTC: (lone, PAIR, WHOLE), "ETH-USD": (Line(KINDS, 9.0, 9.0),)})
    assert read_outlook(BTC, AS_OF, Findings(READINGS, ()), lineup).line == WHOLE
    assert read_outlook(BTC, AS_OF, Findings(READINGS, ()), lineup).spare_lines == (PAIR,)
    two = read_outlook(BTC, AS_OF, Findings((READINGS[0], READINGS[2]), ()), lineup)
    assert (two.line, two.spare_lines) == (PAIR, (lone,))
    other = read_outlook(BTC, AS_OF, Findings(READINGS[1:], ()), lineup)
    assert (other.line, other.spare_lines) == (None, ())


def test_a_model_without_weight_does_not_choose_the_line() -> None:
    weights = Weights(0.5, 0.0, 0.5)
    found = read_outlook(BTC, AS_OF, Findings(READINGS, ()), Lineup(SEATS, weights, {BTC: (WHOLE, PAIR)}))
    assert found.speaking == {"lstm", "ppo"}
    assert found.line == PAIR


def test_where_nobody_could_be_asked_every_promoted_model_has_that_one_reason() -> None:
    found = silent_outlook(BTC, Lineup((SEATS[1], a_seat("ppo", "9", candidate=True))), "the minutes cannot be read")
    assert found.as_of is None
    assert found.forecasts[0].problem == "the minutes cannot be read"
    assert (
        found.forecasts[1].problem
        == f"no transformer is promoted for {BTC}; remedy: crpbot train transformer, then crpbot promote"
    )
    assert [(each.version, each.problem) for each in found.candidates] == [
        ("ppo-99999999", "the minutes cannot be read")
    ]


def test_every_version_is_asked_once() -> None:
    assert Lineup((*SEATS, replace_candidate(SEATS[0]))).versions == (
        "ppo-33333333",
        "lstm-11111111",
        "transformer-22222222",
    )


def replace_candidate(seat: Seat) -> Seat:
    """The same model on trial."""
    return seat._replace(candidate=True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_remedy_is_a_command_for_every_kind(kind: str) -> None:
    assert "crpbot promote" in remedy(kind, "ETH-USD")
