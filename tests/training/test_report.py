"""The page of a training: what stands in the judgement stands on it, and nothing else is needed to read it."""

from __future__ import annotations

import re
from dataclasses import replace
from html import escape
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from core.models.judgement import Outcome, RuleName, Ruling, Verdict
from tests.core.model_cases import make_model
from tests.training.gate_cases import TERMS, judge_scores, plant_scores, ruling_on
from training.evaluate import bins_of, measure, trades_of
from training.gate_terms import Terms
from training.reached import Reached
from training.report import HEADINGS, INVENTED, Sheet, draw, tell, tell_facts, write_page
from training.report_pictures import (
    NAMES,
    NUMBERS,
    Bin,
    Epoch,
    draw_calibration,
    draw_equity,
    draw_gate,
    draw_loss,
)

EPOCHS = tuple(Epoch(number, 0.7 - 0.02 * number, 0.69 - 0.01 * number) for number in range(1, 6))
SVG = "{http://www.w3.org/2000/svg}"


def make_sheet(folder: Path, *, terms: Terms = TERMS, edge: float = 1.0) -> Sheet:
    manifest, _ = make_model()
    scores = plant_scores(3, edge=edge)
    return Sheet(
        manifest,
        judge_scores(folder, scores, terms=terms),
        (measure("mine", [scores], terms),),
        bins_of([scores], terms.horizon),
        trades_of([scores], terms),
        EPOCHS,
    )


def texts(picture: str) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def test_every_ruling_stands_on_the_page_with_its_words(tmp_path: Path) -> None:
    sheet = make_sheet(tmp_path)
    page = write_page(sheet)
    assert HEADINGS[sheet.judgement.verdict] in page
    assert escape(sheet.judgement.sentence) in page
    for each in sheet.judgement.rulings:
        assert f"<td>{each.rule}</td><td>{each.symbol}</td>" in page
        assert escape(each.sentence) in page
    for value in tell_facts(sheet.manifest).values():
        assert escape(value) in page


def test_the_page_needs_no_other_file_and_no_program(tmp_path: Path) -> None:
    page = write_page(make_sheet(tmp_path))
    assert page.count("<svg") == 4
    assert not re.search(r"<(script|img|link|iframe)\b|https?://(?!www\.w3\.org/2000/svg)", page)


def test_what_failed_is_not_called_passed(tmp_path: Path) -> None:
    sheet = make_sheet(tmp_path, edge=0.0)
    assert sheet.judgement.verdict is Verdict.FAIL
    page = write_page(sheet)
    assert HEADINGS[Verdict.FAIL] in page
    assert HEADINGS[Verdict.PASS] not in page


def test_words_from_outside_cannot_change_the_page(tmp_path: Path) -> None:
    sheet = make_sheet(tmp_path)
    manifest, _ = make_model()
    bad = replace(sheet, manifest=replace(manifest, label="<b>bold</b>"), notes=("<script>",))
    page = write_page(bad)
    assert "<b>bold" not in page
    assert "&lt;b&gt;bold" in page
    assert "<script>" not in page


def test_invented_prices_are_called_so(tmp_path: Path) -> None:
    sheet = make_sheet(tmp_path)
    assert INVENTED not in write_page(sheet)
    assert INVENTED in write_page(replace(sheet, notes=(INVENTED,)))


def test_the_table_has_the_gates_own_drawdown(tmp_path: Path) -> None:
    sheet = make_sheet(tmp_path)
    assert sheet.lines[0].drawdown == pytest.approx(ruling_on(sheet.judgement, RuleName.DRAWDOWN).value)
    assert sheet.lines[0].sharpe == pytest.approx(ruling_on(sheet.judgement, RuleName.SHARPE).value)
    assert sheet.lines[0].won.value == pytest.approx(ruling_on(sheet.judgement, RuleName.WIN_RATE).value)


def test_a_picture_that_would_be_empty_is_not_drawn(tmp_path: Path) -> None:
    sheet = make_sheet(tmp_path)
    assert list(draw(sheet)) == ["gate", "loss", "calibration", "equity"]
    none = trades_of([plant_scores(3)], TERMS._replace(threshold=1.0))
    assert list(draw(replace(sheet, epochs=(), trades=none))) == ["gate", "calibration"]


def test_a_rule_that_holds_has_its_dot_right_of_the_limit_and_one_that_fails_left_of_it(tmp_path: Path) -> None:
    rulings = [each for edge in (0.0, 1.0) for each in judged(tmp_path / str(edge), edge=edge)]
    assert {Outcome.PASS, Outcome.FAIL} <= {each.outcome for each in rulings}
    for each in rulings:
        root = ElementTree.fromstring(draw_gate([each]))
        dots = [float(dot.get("cx", "nan")) - (NAMES + NUMBERS) / 2 for dot in root.iter(f"{SVG}circle")]
        decides = each.bound if each.by_bound else each.value
        assert len(dots) == (decides is not None), each.rule
        if dots and each.outcome in {Outcome.PASS, Outcome.FAIL}:
            assert dots[0] >= 0 if each.outcome is Outcome.PASS else dots[0] <= 0, each.rule


def test_of_several_coins_the_worst_one_is_drawn(tmp_path: Path) -> None:
    good, bad = (judged(tmp_path / str(edge), edge=edge) for edge in (1.0, 0.0))
    assert draw_gate([*good, *bad]) == draw_gate(bad) == draw_gate([*bad, *good])


def judged(folder: Path, *, edge: float) -> tuple[Ruling, ...]:
    folder.mkdir()
    return make_sheet(folder, edge=edge).judgement.rulings


def test_the_kept_epoch_is_marked() -> None:
    losses = (0.70, 0.60, 0.65)
    picture = draw_loss([Epoch(number, 0.7, loss) for number, loss in enumerate(losses, start=1)])
    root = ElementTree.fromstring(picture)
    (dot,) = root.iter(f"{SVG}circle")
    points = [line.get("points", "").split() for line in root.iter(f"{SVG}polyline")][1]
    assert points[1] == f"{dot.get('cx')},{dot.get('cy')}"


def test_one_epoch_is_a_curve_too() -> None:
    ElementTree.fromstring(draw_loss([Epoch(1, 0.7, 0.69)]))


def test_the_calibration_counts_all_windows_and_has_a_dot_for_each_bin() -> None:
    bins = [Bin(0.4, 0.35, 0.3, 0.4, 100), Bin(0.6, 0.7, 0.65, 0.75, 1_200)]
    picture = draw_calibration(bins)
    assert any("n = 1,300" in words for words in texts(picture))
    assert len(list(ElementTree.fromstring(picture).iter(f"{SVG}circle"))) == 2


@pytest.mark.parametrize("net", [[0.01], [0.01, -0.02, 0.03], [-0.01] * 40])
def test_the_equity_counts_its_trades_and_stays_on_the_paper(net: list[float]) -> None:
    exits = 1_760_000_000.0 + 900.0 * np.arange(len(net))
    picture = draw_equity(exits, np.array(net))
    assert any(f"n = {len(net)} trades" in words for words in texts(picture))
    numbers = [
        float(number) for path in re.findall(r' d="([^"]+)"', picture) for number in re.findall(r"-?[\d.]+", path)
    ]
    assert all(-1.0 <= number <= 1_000.0 for number in numbers)


@pytest.mark.parametrize(
    ("reached", "told"),
    [
        (Reached(0.5, 0.4, 0.6, 9), "50% (40% to 60%)"),
        (Reached(0.5, None, None, 9), "50%"),
        (Reached(None, None, None, 0), "-"),
    ],
)
def test_a_number_is_told_with_its_interval_where_there_is_one(reached: Reached, told: str) -> None:
    assert tell(reached, "{:.0%}") == told
