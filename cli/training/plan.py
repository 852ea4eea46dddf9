"""What a training on a cluster consists of: its units, how each learns, its candles, and its name before it begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from cli.training.candles import EVERY, parse_coin, read_coins
from cli.training.champion import check_judgeable
from cli.training.order import Order, check_torch
from cli.training.train import DAYS, TRANSFORMER_EPOCHS
from core.errors import Code, CrpbotError
from core.files import Files
from core.models.manifest import Kind
from core.models.store import EVERY_COIN, Slot
from training.cluster.bundle import code_key, pack_code
from training.cluster.order import JobOrder, Unit
from training.snapshot import keep_snapshot

if TYPE_CHECKING:
    from training.cluster.cost import Load
    from training.history import History

TRAIN_SHARE: Final = 0.7  # of the candles: what a network learns from; the rest judges it
MOST_PIECE_BYTES: Final = 500_000_000  # of a snapshot


class Stage(NamedTuple):
    """Units that are trained side by side, and the order that would train one of them here."""

    units: tuple[Unit, ...]
    order: Order


class Plan(NamedTuple):
    """Stages one after another, and the candles of all coins."""

    stages: tuple[Stage, ...]
    histories: tuple[History, ...]

    @property
    def units(self) -> tuple[Unit, ...]:
        return tuple(unit for stage in self.stages for unit in stage.units)

    def of(self, unit: Unit) -> tuple[History, ...]:
        """The candles that a unit learns from."""
        return tuple(each for each in self.histories if each.symbol in unit.symbols)

    def loads(self) -> list[Load]:
        """How much each stage has to learn, for the estimate."""
        return [_load(self, stage) for stage in self.stages]


def make_plan(kind: Kind, order: Order) -> Plan:
    """Reads the candles, and refuses what could not be judged afterwards."""
    check_torch()
    if order.run is not None or order.address is not None:
        detail = (
            "--run and --address are of a training here: leave them out, a job on a cluster is named by its content"
        )
        raise _unusable(detail)
    is_all = order.coin.strip().lower() == EVERY
    if not is_all:
        parse_coin(order.coin)  # told before anything is read
    elif kind is Kind.PPO:
        raise _unusable("an agent learns on one coin: name one with --coin BTC")
    histories = read_coins(order.coin, order.place, most_days=DAYS)
    plan = Plan(_stages(kind, order, tuple(each.symbol for each in histories), is_all=is_all), histories)
    check_judgeable([_slot(unit) for unit in plan.units], order.models)
    return plan


def pack(plan: Plan, files: Files) -> tuple[JobOrder, bytes]:
    """The job with its name, and the code it is of; its candles are kept in `files`, from where `send` takes them."""
    code, sha = pack_code()
    return order_of(plan, files, sha), code


def order_of(plan: Plan, files: Files, code: str) -> JobOrder:
    """The job of that code; its candles are kept in `files`."""
    return JobOrder(
        stages=tuple(stage.units for stage in plan.stages),
        recipes=tuple(stage.order.recipe for stage in plan.stages),
        data=keep_snapshot(files, plan.histories),
        code=code,
        workers=plan.stages[0].order.workers,
    )


def send(job: JobOrder, code: bytes, here: Files, there: Files) -> int:
    """Sends code and candles that are not there yet; how many bytes that were."""
    sent = 0
    if code_key(job.code) not in there.stamps(code_key(job.code)):
        there.write(code_key(job.code), code)
        sent += len(code)
    under = f"data/{job.data}/"
    index = f"{under}index.json"
    if index in there.stamps(under):
        return sent
    for name in sorted(here.stamps(under), key=lambda each: each == index):  # last: without it there is no snapshot
        content = here.read(name, most=MOST_PIECE_BYTES)
        there.write(name, content)
        sent += len(content)
    return sent


def _stages(kind: Kind, order: Order, symbols: Sequence[str], *, is_all: bool) -> tuple[Stage, ...]:
    if kind is not Kind.LSTM or not is_all:
        return (Stage((Unit(kind, tuple(symbols)),), order),)
    epochs = min(order.epochs, TRANSFORMER_EPOCHS)
    own = replace(order, hidden=None, batch=None, learning_rate=None, epochs=epochs)
    coins = tuple(Unit(kind, (symbol,)) for symbol in symbols)
    return Stage(coins, order), Stage((Unit(Kind.TRANSFORMER, tuple(symbols)),), own)


def _slot(unit: Unit) -> Slot:
    return Slot(unit.kind, EVERY_COIN if unit.kind is Kind.TRANSFORMER else unit.symbols[0])


def _load(plan: Plan, stage: Stage) -> Load:
    """An agent plays its steps once; a network learns every so many windows, which is its stride."""
    from training.cluster.cost import Load
    from training.recipe import lstm_config, transformer_config

    kind, recipe, workers = stage.units[0].kind, stage.order.recipe, stage.order.workers
    if kind is Kind.PPO:
        return Load(kind, len(stage.units), recipe.steps, 1, workers)
    stride = (lstm_config(recipe) if kind is Kind.LSTM else transformer_config(recipe)).stride
    candles = sum(each.count for unit in stage.units for each in plan.of(unit))
    windows = max(1, round(TRAIN_SHARE * candles / stride / len(stage.units)))
    return Load(kind, len(stage.units), windows, recipe.epochs, workers)


def _unusable(detail: str) -> CrpbotError:
    return CrpbotError(Code.INVALID_ARGUMENT, detail, reason="OPTIONS_DO_NOT_FIT")
