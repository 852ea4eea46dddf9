"""`crpbot train`: from candles to a model that is judged on data it never touched, and its page."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from cli.progress import bar
from cli.training.candles import EVERY, parse_coin, read_coin, read_coins
from cli.training.champion import check_judgeable
from cli.training.order import Order, check_torch, told
from core.errors import Code, CrpbotError
from core.market import SYMBOLS
from core.models.manifest import Kind
from core.models.store import EVERY_COIN, Slot
from training.history import History, build_datasets, trainable
from training.recipe import lstm_config, ppo_config, transformer_config

if TYPE_CHECKING:
    from training.dataset import Dataset
    from training.runs import Progress, Where
    from training.runs import Tell as TellProgress
    from training.trained import Run

# Without --days: so long that the judged 15 % hold the 2,000 windows apart that the gate asks for, with room to spare,
# and so short that two cores need minutes; --days 730 takes two years. Of files everything is taken.
# All kinds take as many: what a mean of models is worth is measured on candles that none of them has learned from.
DAYS: Final = 240
# Passes of the Transformer after all coins: it has ten times the windows of one of them.
TRANSFORMER_EPOCHS: Final = 5
# A coin trains on one core as fast as on two: its steps are too small to be shared.
THREADS_A_COIN: Final = "1"

REFUSED: Final = "refused"  # why a coin was not trained, where the others were

Row = dict[str, Any]  # Any: what becomes JSON


def train_lstm(order: Order, *, bucket: str | None = None) -> list[Row]:
    """One coin's model; with `all` each coin's, as many at a time as there are cores, then the Transformer of all.

    With an address all of them are trained on that cluster, whose files lie in the bucket, or beside the models.
    """
    if order.address is not None and order.run is None and order.coin.strip().lower() == EVERY:
        from cli.training.by_address import train_at_address

        return train_at_address(order, bucket)
    check_torch()
    histories = read_coins(order.coin, order.place, most_days=DAYS)
    check_judgeable([Slot(Kind.LSTM, each.symbol) for each in histories], order.models)
    if order.coin.strip().lower() != EVERY:
        return [_train_coin(order, histories[0])]
    if order.run is not None:
        raise _unusable("--run is of one training: name a coin, or leave it out with all of them")
    rows = _train_coins(order, histories)
    trained = [history for history, row in zip(histories, rows, strict=True) if REFUSED not in row]
    if not trained:
        raise _unusable(f"no coin can be trained on: {rows[0][REFUSED]}")
    own = replace(order, hidden=None, batch=None, learning_rate=None, epochs=min(order.epochs, TRANSFORMER_EPOCHS))
    return [*rows, *_go_on(partial(train_transformer, own, among=[each.symbol for each in trained]), Kind.TRANSFORMER)]


def train_transformer(order: Order, *, among: Collection[str] = SYMBOLS) -> list[Row]:
    """The model of trend strength, of all coins together, or of those among them that can be trained on."""
    check_torch()
    from core.models.transformer import WINDOW
    from training import transformer
    from training.dataset import join

    check_judgeable([Slot(Kind.TRANSFORMER, EVERY_COIN)], order.models)
    histories = [each for each in read_coins(order.coin, order.place, most_days=DAYS) if each.symbol in among]
    datasets = build_datasets(trainable(histories, WINDOW), WINDOW)
    begun = time.monotonic()
    with told("training") as tell:
        run = transformer.train(
            transformer_config(order.recipe),
            join(datasets),
            root=order.runs,
            name=order.run,
            where=_where(order),
            tell=tell,
        )
    return [_judge(order, run, datasets, begun)]


def train_ppo(order: Order) -> list[Row]:
    """The agent of one coin that trades under costs and the firm's limits."""
    check_torch()
    from training import ppo

    if order.coin.strip().lower() == EVERY:
        raise _unusable("an agent learns on one coin: name one with --coin BTC")
    check_judgeable([Slot(Kind.PPO, parse_coin(order.coin))], order.models)
    history = read_coin(parse_coin(order.coin), order.place, most_days=DAYS)
    (dataset,) = build_datasets([history], ppo.WINDOW)
    begun = time.monotonic()
    with told("playing") as tell:
        config = ppo_config(order.recipe)
        run = ppo.train(config, dataset, root=order.runs, name=order.run, where=_where(order), tell=tell)
    return [_judge(order, run, [dataset], begun)]


def walk(order: Order, folds: int) -> Row:
    """The fold table of one coin's LSTM."""
    check_torch()
    from cli.training.register import check_counted, register_walk
    from cli.training.terms import house_terms
    from core.models.lstm import WINDOW
    from training import lstm
    from training.walk_forward import walk_forward

    check_counted(order.models)
    history = read_coin(parse_coin(order.coin), order.place, most_days=DAYS)
    config, terms = lstm_config(order.recipe), house_terms()
    candles = []
    with told("walking") as tell:

        def learn(dataset: Dataset, number: int) -> Sequence[Any]:
            candles.append(dataset.data_hash)
            run = lstm.train(config, dataset, root=order.runs, tell=partial(_say, tell, number))
            return run.scores

        found = walk_forward(history.stretches, learn, origin=history.origin, window=WINDOW, folds=folds, terms=terms)
    settings = {"origin": history.origin, "candles": candles[-1], "epochs": config.epochs, "stride": config.stride}
    settings |= {"hidden": config.architecture.hidden, "seed": config.seed}
    settings |= {"batch": config.batch, "learning_rate": config.learning_rate}
    settings |= {} if config.architecture.bidirectional else {"bidirectional": False}  # walks of before name it not
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
                row = rows[running[future]]
                tell(done, len(running), f"{running[future]} {row.get('verdict', 'cannot be trained on')}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [rows[history.symbol] for history in histories]


def _train_alone(order: Order, history: History) -> Row:
    os.environ["OMP_NUM_THREADS"] = THREADS_A_COIN  # read by torch when it is imported, which is below
    (row,) = _go_on(lambda: [_train_coin(order, history, is_told=False)], Kind.LSTM, [history.symbol])
    return row


def _go_on(train: Callable[[], list[Row]], kind: Kind, symbols: Sequence[str] = ()) -> list[Row]:
    """What was trained; or why it cannot be, told with the others' results: it costs them nothing."""
    try:
        return train()
    except CrpbotError as error:
        return [{"kind": str(kind), "symbols": list(symbols), REFUSED: error.detail}]


def _train_coin(order: Order, history: History, *, is_told: bool = True) -> Row:
    from core.models.lstm import WINDOW
    from training import lstm

    (dataset,) = build_datasets([history], WINDOW)
    train = partial(
        lstm.train, lstm_config(order.recipe), dataset, root=order.runs, name=order.run, where=_where(order)
    )
    begun = time.monotonic()
    if not is_told:
        return _judge(order, train(), [dataset], begun)
    with told("training") as tell:
        run = train(tell=tell)
    return _judge(order, run, [dataset], begun)


def _where(order: Order) -> Where:
    from training.runs import Where

    return Where(order.workers, order.address)


def _judge(order: Order, run: Run, datasets: Sequence[Dataset], begun: float) -> Row:
    from cli.training.judging import keep_and_judge

    seconds = time.monotonic() - begun
    return {**keep_and_judge(run, datasets, order), "seconds": round(seconds, 1)}


def _say(tell: TellProgress, fold: int, progress: Progress) -> None:
    tell(progress._replace(words=f"fold {fold}, {progress.words}"))


def _unusable(detail: str) -> CrpbotError:
    return CrpbotError(Code.INVALID_ARGUMENT, detail, reason="OPTIONS_DO_NOT_FIT")
