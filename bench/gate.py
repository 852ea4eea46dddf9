"""Can the promotion gate be fooled, and does it let skill through? Searches on noise, models on a planted edge.

On markets without any edge twenty variants of the logistic regression are tried, and the one that looks best on the
judged days themselves goes to the gate: the worst way to search. On markets with a planted edge the same search, and
the LSTM, shall pass. How many trades that takes is counted from the true hit rate before anything is judged.

python -m bench.gate        # --searches 50 --edges 10 --networks 3; --epochs 3 of the LSTM
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table

from bench.figures import describe_machine
from cli.training.candles import Place, read_coin
from cli.training.judging import house_terms
from core.adapters.files.folder import FolderFiles
from core.models.calibration import fit_platt, log_odds
from core.models.judgement import HOUSE, Judgement, Outcome, RuleName, Ruling, Verdict
from core.models.lstm import UNIDIRECTIONAL
from core.performance.better import trades_for_rate
from core.performance.bootstrap import draw_means, rate_interval
from training.baselines import fit_line, scores_of
from training.dataset import Dataset, build_dataset
from training.gate import Candidate, judge, record
from training.gate_skill import rule_win_rate
from training.gate_terms import ONE_SIDE, Case, Terms
from training.lstm import FAST, Config, train
from training.scores import Scores, Trades, daily_returns, thin, trade
from training.trained import Run
from training.trial_register import TrialRegister

COIN: Final = "BTC-USD"
DAYS: Final = 240  # as `crpbot train lstm` takes: the judged 15 % hold 3,400 scores that share no future
AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
STRIDE: Final = 15  # labels of the learned windows do not overlap
SHARES: Final = (1.0, 0.5, 0.25, 0.1)  # of the windows, the surest ones, on which a variant trades
SUBSETS: Final = 5  # all inputs, and four random halves of them
FIRST_NOISE, FIRST_EDGE = 1_000, 2_000  # seeds


class Row(NamedTuple):
    """A line of the table: how many of how many, and what was to be expected."""

    what: str
    hits: int
    n: int
    goal: str
    is_met: bool | None


class Search(NamedTuple):
    """The verdict on the best of a search, and the yearly Sharpe ratio that it showed."""

    judgement: Judgement
    sharpe: float


def main() -> int:
    """Run all, print the table; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("searches", 50), ("edges", 10), ("networks", 3), ("epochs", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    begun = time.monotonic()
    terms = house_terms()
    rows: list[Row] = []
    if asked.searches:
        rows.extend(noise_rows(asked.searches, terms))
    if asked.edges:
        rows.extend(edge_rows(asked.edges, terms))
    if asked.networks:
        rows.extend(network_rows(asked.networks, asked.epochs, terms))
    _print(rows, time.monotonic() - begun)
    return 0 if all(row.is_met is not False for row in rows) else 1


def noise_rows(searches: int, terms: Terms) -> Iterator[Row]:
    """Bests of twenty where nothing can be foreseen."""
    paying, idle, lucky = [], [], 0
    for seed in range(FIRST_NOISE, FIRST_NOISE + searches):
        tried = list(variants(read_dataset(seed, edge=False), seed))
        paying.append(search(tried, terms).judgement)
        without = search(tried, terms._replace(round_trip=0.0))
        idle.append(without.judgement)
        lucky += without.sharpe > 1.0
    yield _zero("noise, best of 20 logistic regressions, with costs", paying)
    yield _zero("the same, as if trading were free", idle)
    yield Row("the same, had a Sharpe ratio above 1 been enough", lucky, searches, "", None)


def edge_rows(edges: int, terms: Terms) -> Iterator[Row]:
    """The same searches where there is something to find, and whether it takes the trades that were counted ahead."""
    found, shown = [], []
    for seed in range(FIRST_EDGE, FIRST_EDGE + edges):
        tried = list(variants(read_dataset(seed, edge=True), seed))
        found.append(search(tried, terms).judgement)
        shown.extend(show_rate(case_of(tried[0], terms)))
    passed = sum(each.verdict is Verdict.PASS for each in found)
    yield Row("planted edge, best of 20 logistic regressions", passed, edges, "", None)
    for rule in sorted({each.rule for one in found for each in one.rulings if each.outcome is Outcome.FAIL}):
        stopped = sum(ruling_on(one, rule).outcome is Outcome.FAIL for one in found)
        yield Row(f"  of these stopped by {rule}", stopped, edges, "", None)
    share = sum(shown) / max(len(shown), 1)
    yield Row("win rate shown by the trades that 80 % power needs", sum(shown), len(shown), ">= 70 %", share >= 0.7)


def show_rate(case: Case) -> list[bool]:
    """Whether pieces of as many trades as the true hit rate needs show that it is above what was asked.

    The number for 80 % power, times how much more a mean of hits varies than one of independent hits: in a hidden state
    that lasts, right and wrong come in runs.
    """
    right, least = case.trades.right.astype(np.float64), case.terms.min_accuracy
    rate = float(right.mean())
    needed = trades_for_rate(rate, least, tail=ONE_SIDE) if rate > least else None
    if needed is None:
        return []
    runs = float(draw_means(right[:, None]).values.var()) / (rate * (1.0 - rate) / len(right))
    n = max(int(HOUSE[RuleName.TRADES].limit), round(needed * max(runs, 1.0)))
    return [(rule_win_rate(piece).bound or 0.0) >= least for piece in pieces(case, n)]


def network_rows(networks: int, epochs: int, terms: Terms) -> Iterator[Row]:
    """LSTMs of one direction on noise, and on the house's own edge the one that `make train` makes."""
    small = replace(FAST, epochs=epochs, architecture=UNIDIRECTIONAL)
    seeds = range(FIRST_NOISE, FIRST_NOISE + networks)
    runs = [train_alone(replace(small, seed=seed), read_dataset(seed, edge=False)) for seed in seeds]
    for cost, words in ((terms.round_trip, "with costs"), (0.0, "as if trading were free")):
        found = [search(run.scores, terms._replace(round_trip=cost)).judgement for run in runs]
        yield _zero(f"noise, LSTM of one direction, {epochs} epochs, best of {len(SHARES)} thresholds, {words}", found)
    run = train_alone(FAST, read_dataset(FAST.seed, edge=True))
    passed = judge_alone(run, terms).verdict is Verdict.PASS
    yield Row("planted edge, the LSTM of `make train`", int(passed), 1, "1", passed)


def train_alone(config: Config, dataset: Dataset) -> Run:
    """A training that leaves nothing behind."""
    with TemporaryDirectory() as folder:
        return train(config, dataset, root=Path(folder))


def read_dataset(seed: int, *, edge: bool) -> Dataset:
    """A market of its own for each seed."""
    print(f"{COIN} of market {seed}, {'planted edge' if edge else 'noise'} ...", file=sys.stderr)
    history = read_coin(COIN, Place(None, DAYS, seed, edge), most_days=DAYS)
    return build_dataset(history.stretches, origin=history.origin, window=60)


def variants(dataset: Dataset, seed: int) -> Iterator[Scores]:
    """Scores of the test part by logistic regressions on some of the inputs, calibrated on their slice."""
    rng = np.random.default_rng(seed)
    learned, slice_, test = dataset.train.rows[::STRIDE], dataset.calibrate.rows, dataset.test.rows
    width = dataset.features.shape[1]
    for number in range(SUBSETS):
        columns = np.sort(rng.permutation(width)[: width // 2]) if number else np.arange(width)
        line = fit_line(dataset.features[learned][:, columns], dataset.up[learned] > 0.5)

        def say(rows: NDArray[np.int64], columns: NDArray[np.int64] = columns) -> NDArray[np.float64]:
            return log_odds(line.probability(dataset.features[rows][:, columns]))  # noqa: B023 - used at once

        platt = fit_platt(say(slice_), dataset.up[slice_] > 0.5)
        yield scores_of(dataset, test, platt.apply(say(test)))


def search(tried: Sequence[Scores], terms: Terms) -> Search:
    """Every variant at every threshold goes into the register; the one with the best Sharpe ratio is judged."""
    with TemporaryDirectory() as folder:
        register = TrialRegister(FolderFiles(Path(folder)))
        best: tuple[float, Candidate, Terms] | None = None
        for number, scores in enumerate(tried):
            candidate = Candidate(f"variant-{number}", "searched", (scores,), {"variant": str(number)})
            for threshold in thresholds(scores):
                under = terms._replace(threshold=threshold)
                (found,) = record(candidate, under, at=AT)
                register.register(found)
                if best is None or found.trial.daily_sharpe > best[0]:
                    best = (found.trial.daily_sharpe, candidate, under)
        assert best is not None
        return Search(judge(best[1], best[2], register=register, at=AT), best[0] * np.sqrt(365.0))


def thresholds(scores: Scores) -> list[float]:
    """From which confidence on a variant trades, so that it does trade: a search that knows what the gate counts."""
    sure = np.maximum(scores.probability, 1.0 - scores.probability)
    return [float(np.quantile(sure, 1.0 - share)) for share in SHARES]


def judge_alone(run: Run, terms: Terms) -> Judgement:
    """The verdict on the only try."""
    candidate = Candidate(run.manifest.version, run.manifest.kind, run.scores, {"run": run.manifest.run})
    with TemporaryDirectory() as folder:
        register = TrialRegister(FolderFiles(Path(folder)))
        for found in record(candidate, terms, at=AT):
            register.register(found)
        return judge(candidate, terms, register=register, at=AT)


def case_of(scores: Scores, terms: Terms) -> Case:
    """What the gate looks at."""
    trades = trade(scores, threshold=terms.threshold, round_trip=terms.round_trip, horizon=terms.horizon)
    returns = daily_returns(trades, scores, stake=terms.stake)
    return Case(scores, thin(scores, horizon=terms.horizon), trades, returns, terms)


def pieces(case: Case, n: int) -> Iterator[Case]:
    """The trades in pieces of n, one behind the other."""
    for begin in range(0, len(case.trades.net) - n + 1, n):
        yield case._replace(trades=Trades(*(column[begin : begin + n] for column in case.trades)))


def ruling_on(judgement: Judgement, rule: RuleName) -> Ruling:
    """What is said of one rule."""
    return next(each for each in judgement.rulings if each.rule is rule)


def _zero(what: str, found: Sequence[Judgement]) -> Row:
    promoted = sum(each.verdict is Verdict.PASS for each in found)
    return Row(what, promoted, len(found), "none", promoted == 0)


def _print(rows: Sequence[Row], seconds: float) -> None:
    caption = f"{seconds:,.0f} s on {describe_machine()}; {DAYS} days of a market for each seed"
    table = Table(box=box.SIMPLE_HEAD, title="Promoted by the gate", title_justify="left", caption=caption)
    table.add_column("What was judged")
    for column in ("Promoted", "Of", "95 % interval", "Goal"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        low, high = rate_interval(row.hits, row.n) if row.n else (0.0, 1.0)
        goal = row.goal if row.is_met is None else f"[{'green' if row.is_met else 'red'}]{row.goal}[/]"
        table.add_row(row.what, str(row.hits), str(row.n), f"{low:.0%} .. {high:.0%}", goal)
    Console(highlight=False).print(table)


if __name__ == "__main__":
    raise SystemExit(main())
