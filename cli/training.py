"""`crpbot train`: from candles to a model that is judged on data it never touched, and its page."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from cli.progress import bar
from cli.training_candles import EVERY, History, cut, parse_coin, read_coin, read_coins, trim
from cli.training_champion import check_judgeable
from cli.training_order import RUNS, Order, check_torch, told
from core.errors import Code, CrpbotError
from core.features import WARM_UP
from core.market import interval_seconds
from core.models.manifest import Kind
from core.models.store import EVERY_COIN, Slot

if TYPE_CHECKING:
    from training import lstm
    from training.dataset import Dataset
    from training.runs import Progress, Where
    from training.runs import Tell as TellProgress
    from training.trained import Run

# Without --days: so long that the judged 15 % hold the 2,000 windows apart that the gate asks for, with room to spare,
# and so short that two cores need minutes; --days 730 takes two years. Of files everything is taken.
LSTM_DAYS: Final = 240
TRANSFORMER_DAYS: Final = 160
PPO_DAYS: Final = 240
PPO_WINDOW: Final = 1  # an agent sees one moment
# Passes of the Transformer after all coins: it has ten times the windows of one of them.
TRANSFORMER_EPOCHS: Final = 5
# A coin trains on one core as fast as on two: its steps are too small to be shared.
THREADS_A_COIN: Final = "1"

Row = dict[str, Any]  # Any: what becomes JSON


def train_lstm(order: Order) -> list[Row]:
    """One coin's model; with `all` each coin's, as many at a time as there are cores, then the Transformer of all."""
    check_torch()
    histories = read_coins(order.coin, order.place, most_days=LSTM_DAYS)
    check_judgeable([Slot(Kind.LSTM, each.symbol) for each in histories], order.models)
    if order.coin.strip().lower() != EVERY:
        return [_train_coin(order, histories[0])]
    if order.run is not None or order.address is not None:
        raise _unusable("--run and --address are of one training: name a coin, or leave them out with all of them")
    rows = _train_coins(order, histories)
    return [*rows, *train_transformer(replace(order, hidden=None, epochs=min(order.epochs, TRANSFORMER_EPOCHS)))]


def train_transformer(order: Order) -> list[Row]:
    """The model of trend strength, of all coins together."""
    check_torch()
    from core.models.transformer import STANDARD, WINDOW
    from training import transformer
    from training.dataset import join

    check_judgeable([Slot(Kind.TRANSFORMER, EVERY_COIN)], order.models)
    histories = read_coins(order.coin, order.place, most_days=TRANSFORMER_DAYS)
    datasets = build_datasets(histories, WINDOW)
    config = transformer.FAST if order.preset == "fast" else transformer.ORIGINAL
    config = replace(config, epochs=order.epochs, seed=order.seed, stride=order.stride or config.stride)
    if order.hidden is not None:
        config = replace(config, architecture=replace(STANDARD, width=order.hidden))
    begun = time.monotonic()
    with told("training") as tell:
        run = transformer.train(
            config, join(datasets), root=order.models / RUNS, name=order.run, where=_where(order), tell=tell
        )
    return [_judge(order, run, datasets, begun)]


def train_ppo(order: Order) -> list[Row]:
    """The agent of one coin that trades under costs and the firm's limits."""
    check_torch()
    from training import ppo

    if order.coin.strip().lower() == EVERY:
        raise _unusable("an agent learns on one coin: name one with --coin BTC")
    check_judgeable([Slot(Kind.PPO, parse_coin(order.coin))], order.models)
    history = read_coin(parse_coin(order.coin), order.place, most_days=PPO_DAYS)
    (dataset,) = build_datasets([history], PPO_WINDOW)
    begun = time.monotonic()
    with told("playing") as tell:
        config = ppo.Config(steps=order.steps, seed=order.seed)
        run = ppo.train(config, dataset, root=order.models / RUNS, name=order.run, where=_where(order), tell=tell)
    return [_judge(order, run, [dataset], begun)]


def walk(order: Order, folds: int) -> Row:
    """The fold table of one coin's LSTM."""
    check_torch()
    from cli.training_register import check_counted, register_walk
    from cli.training_terms import house_terms
    from core.models.lstm import WINDOW
    from training import lstm
    from training.walk_forward import walk_forward

    check_counted(order.models)
    history = read_coin(parse_coin(order.coin), order.place, most_days=LSTM_DAYS)
    config, terms = _lstm_config(order), house_terms()
    candles = []
    with told("walking") as tell:

        def learn(dataset: Dataset, number: int) -> Sequence[Any]:
            candles.append(dataset.data_hash)
            run = lstm.train(config, dataset, root=order.models / RUNS, tell=partial(_say, tell, number))
            return run.scores

        found = walk_forward(history.stretches, learn, origin=history.origin, window=WINDOW, folds=folds, terms=terms)
    settings = {"origin": history.origin, "candles": candles[-1], "epochs": config.epochs, "stride": config.stride}
    settings |= {"hidden": config.architecture.hidden, "seed": config.seed}
    register_walk(found.scores, folds, terms, models=order.models, settings=settings)
    spans = [
        {
            "train": [f"{each.train.first:%Y-%m-%d}", f"{each.train.last:%Y-%m-%d}"],
            "test": [f"{each.test.first:%Y-%m-%d}", f"{each.test.last:%Y-%m-%d}"],
            "line": each.line._asdict(),
        }
        for each in found.folds
    ]
    return {"symbol": history.symbol, "origin": history.origin, "folds": spans, "total": found.total._asdict()}


def build_datasets(histories: Sequence[History], window: int) -> list[Dataset]:
    """The coins' data sets on the span that all of them have, with the same borders between their parts."""
    from training.dataset import HORIZON, build_dataset
    from training.split import draw_borders

    least = WARM_UP + window + HORIZON
    begin = max(int(each.stretches[0].open_times[0]) for each in histories)
    end = min(each.stretches[-1].as_of for each in histories)
    kept = [trim(cut(each, begin, end), least) for each in histories]
    begin = min(int(each.stretches[0].open_times[0]) for each in kept)
    end = max(each.stretches[-1].as_of for each in kept)
    borders = None
    if len(kept) > 1:
        borders = draw_borders(begin, end, step=1_000 * interval_seconds(kept[0].stretches[0].interval))
    return [build_dataset(each.stretches, origin=each.origin, window=window, borders=borders) for each in kept]


def _train_coins(order: Order, histories: Sequence[History]) -> list[Row]:
    """Several coins at a time, each in a process with one core."""
    cores = min(len(histories), len(os.sched_getaffinity(0)))
    rows: dict[str, Row] = {}
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    with ProcessPoolExecutor(cores, mp_context=context) as pool, bar("coins") as tell:
        running = {pool.submit(_train_alone, order, history): history.symbol for history in histories}
        try:
            for done, future in enumerate(as_completed(running), start=1):
                rows[running[future]] = future.result()
                tell(done, len(running), f"{running[future]} {rows[running[future]]['verdict']}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [rows[history.symbol] for history in histories]


def _train_alone(order: Order, history: History) -> Row:
    os.environ["OMP_NUM_THREADS"] = THREADS_A_COIN  # read by torch when it is imported, which is below
    return _train_coin(order, history, is_told=False)


def _train_coin(order: Order, history: History, *, is_told: bool = True) -> Row:
    from core.models.lstm import WINDOW
    from training import lstm

    (dataset,) = build_datasets([history], WINDOW)
    train = partial(
        lstm.train, _lstm_config(order), dataset, root=order.models / RUNS, name=order.run, where=_where(order)
    )
    begun = time.monotonic()
    if not is_told:
        return _judge(order, train(), [dataset], begun)
    with told("training") as tell:
        run = train(tell=tell)
    return _judge(order, run, [dataset], begun)


def _lstm_config(order: Order) -> lstm.Config:
    from core.models.lstm import BIDIRECTIONAL, UNIDIRECTIONAL
    from training import lstm

    config = lstm.FAST if order.preset == "fast" else lstm.ORIGINAL
    shape = UNIDIRECTIONAL if order.unidirectional else BIDIRECTIONAL
    if order.hidden is not None:
        shape = replace(shape, hidden=order.hidden, head=order.hidden)
    stride = order.stride or config.stride
    return replace(config, epochs=order.epochs, seed=order.seed, stride=stride, architecture=shape)


def _where(order: Order) -> Where:
    from training.runs import Where

    return Where(order.workers, order.address)


def _judge(order: Order, run: Run, datasets: Sequence[Dataset], begun: float) -> Row:
    from cli.training_judging import keep_and_judge

    seconds = time.monotonic() - begun
    return {**keep_and_judge(run, datasets, order.models), "seconds": round(seconds, 1)}


def _say(tell: TellProgress, fold: int, progress: Progress) -> None:
    tell(progress._replace(words=f"fold {fold}, {progress.words}"))


def _unusable(detail: str) -> CrpbotError:
    return CrpbotError(Code.INVALID_ARGUMENT, detail, reason="OPTIONS_DO_NOT_FIT")
