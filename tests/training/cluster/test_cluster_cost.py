"""The estimate is the hand calculation of docs/training-on-aws.md, and the limits hold whatever the file says."""

import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.training.order import Order
from cli.training.plan import Plan, Stage
from cli.training.train import DAYS, TRANSFORMER_EPOCHS
from core.errors import Code, CrpbotError
from core.market import SYMBOLS, Candles
from core.models.manifest import Kind
from training.cluster.cost import Estimate, Load, estimate, highest_rate, lifetime_hours
from training.cluster.order import Unit
from training.cluster.price_list import read_prices
from training.cluster.terms import Cluster, Limits, Machine, read_cluster
from training.history import History

ROOT = Path(__file__).parents[3]
CLUSTER = read_cluster(ROOT / "ray_cluster.yaml")
DOCUMENT = (ROOT / "docs/training-on-aws.md").read_text()
LIMITS = Limits(hours=4.0, dollars=10.0, idle_minutes=10.0)

# windows: 70 % of the minutes of 240 days or of two years, of which each 15th is learned where no stride is named
EXAMPLES: dict[str, list[Load]] = {
    "one coin": [Load(Kind.LSTM, 1, 16_128, 15)],
    "four coins, then the Transformer": [Load(Kind.LSTM, 4, 49_056, 15), Load(Kind.TRANSFORMER, 1, 196_224, 5)],
    "ten coins on four machines": [Load(Kind.LSTM, 10, 735_840, 15), Load(Kind.TRANSFORMER, 1, 7_358_400, 5)],
}
COMMANDS = {  # what is said of each, beside the folder
    "one coin": Order("BTC"),
    "four coins, then the Transformer": Order("all"),
    "ten coins on four machines": Order("all", days=730, stride=1),
}


def by_hand(name: str) -> dict[str, float]:
    """The figures of the document's own table: every row is evaluated, and the last column is its product."""
    part = DOCUMENT.split(f"### Example: {name}\n")[1].split("\n##")[0]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", part, re.MULTILINE)
    found = {}
    for what, sum_, result in rows:
        if not re.fullmatch(r"[\d\s.,+x/()-]+", sum_):
            continue
        value = eval(
            sum_.replace(",", "").replace("x", "*"), {"__builtins__": {}}
        )  # digits and signs alone, as matched above
        assert value == pytest.approx(float(result.strip("$ h").replace(",", "")), rel=0.005), f"{name}: {what}"
        found[what.strip()] = value
    return found


def of(found: Estimate, what: str) -> float:
    return next(line.dollars for line in found.lines if line.what.startswith(what))


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_the_examples_are_what_their_commands_learn(name: str) -> None:
    order = COMMANDS[name]
    minutes = 1_440 * (DAYS if name == "one coin" else 730)
    one = Candles("BTC-USD", "1m", 60_000 * np.arange(minutes), *np.ones((5, minutes)))
    symbols = SYMBOLS[: EXAMPLES[name][0].units]
    stages = [Stage(tuple(Unit(Kind.LSTM, (symbol,)) for symbol in symbols), order)]
    if order.coin == "all":
        stages.append(Stage((Unit(Kind.TRANSFORMER, symbols),), replace(order, epochs=TRANSFORMER_EPOCHS)))
    plan = Plan(tuple(stages), tuple(History("made", (replace(one, symbol=symbol),)) for symbol in symbols))
    assert plan.loads() == EXAMPLES[name]


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_the_estimate_is_the_hand_calculation_within_five_percent(name: str) -> None:
    hand = by_hand(name)
    found = estimate(CLUSTER, LIMITS, EXAMPLES[name])
    assert found.hours == pytest.approx(hand["hours of the head"], rel=0.05)
    assert found.worker_hours == pytest.approx(hand["hours of workers"], rel=0.05)
    assert of(found, "head") == pytest.approx(hand["head"], rel=0.05)
    assert of(found, "workers") == pytest.approx(hand["workers"], rel=0.05)
    assert of(found, "disks") == pytest.approx(hand["disks"], rel=0.05)
    assert of(found, "public") == pytest.approx(hand["addresses"], rel=0.05)
    assert of(found, "surplus") == pytest.approx(hand["surplus"], rel=0.05)
    assert found.dollars == pytest.approx(hand["together"], rel=0.05)
    assert found.most_dollars == pytest.approx(hand["the most"], rel=0.05)
    assert found.fits


def test_the_terms_of_a_hand_calculation_add_up_to_its_sum() -> None:
    for name in EXAMPLES:
        hand = by_hand(name)
        assert sum(hand[what] for what in ("head", "workers", "disks", "addresses", "surplus")) == pytest.approx(
            hand["together"], rel=0.01
        )


def test_the_highest_rate_counts_every_machine_on_demand_with_its_disk_and_address() -> None:
    head = 0.0832 + 2 * 0.7 * 0.05 + 40 * 0.08 / 730 + 0.005
    worker = 0.526 + 100 * 0.08 / 730 + 0.005
    assert highest_rate(CLUSTER) == pytest.approx(head + 4 * worker, rel=1e-9)


def test_a_head_pays_for_cpu_beyond_its_credits_while_it_boots() -> None:
    found = estimate(CLUSTER, LIMITS, EXAMPLES["one coin"])
    assert of(found, "surplus") == pytest.approx(6 / 60 * 2 * 0.7 * 0.05)
    assert "beyond its CPU credits while it boots" in " ".join(found.assumptions)


def test_the_smaller_limit_ends_the_launch() -> None:
    rate = highest_rate(CLUSTER)
    assert lifetime_hours(CLUSTER, Limits(2.0, 100.0, 5.0)) == 2.0
    assert lifetime_hours(CLUSTER, Limits(50.0, 1.0, 5.0)) == pytest.approx(1.0 / rate)


def test_work_that_does_not_fit_its_limits_is_known_before() -> None:
    found = estimate(CLUSTER, Limits(0.5, 100.0, 5.0), EXAMPLES["ten coins on four machines"])
    assert not found.fits
    assert found.most_hours == 0.5


@pytest.mark.parametrize(
    ("units", "workers", "hours", "worker_hours"),
    [
        # 49,056 windows x 15 epochs / 20,000 / 3,600 = 0.01022 h a training; boot 8, idle 5, head and ending 6 + 2 min
        (1, 4, 16 / 60 + 0.01022, 4 * 0.01022 + 4 * 13 / 60),  # one training, four machines
        (4, 2, 16 / 60 + 2 * 0.01022, 8 * 0.01022 + 4 * 13 / 60),  # two rounds of two pairs
        (2, 3, 16 / 60 + 2 * 0.01022, 6 * 0.01022 + 3 * 13 / 60),  # two rounds of three machines: the fourth is none
        (4, 1, 16 / 60 + 0.01022, 4 * 0.01022 + 4 * 13 / 60),
    ],
)
def test_every_machine_that_shares_a_training_is_priced(
    units: int, workers: int, hours: float, worker_hours: float
) -> None:
    found = estimate(CLUSTER, LIMITS, [Load(Kind.LSTM, units, 49_056, 15, workers)])
    assert found.hours == pytest.approx(hours, rel=1e-3)
    assert found.worker_hours == pytest.approx(worker_hours, rel=1e-3)
    assert of(found, "workers") == pytest.approx(worker_hours * 0.21, rel=1e-3)
    assert ("share a training learn no faster" in " ".join(found.assumptions)) is (workers > 1)


def test_machines_that_shared_the_stage_before_are_there_at_once() -> None:
    loads = [Load(Kind.LSTM, 2, 49_056, 15, 2), Load(Kind.TRANSFORMER, 1, 98_112, 5, 2)]
    found = estimate(CLUSTER, LIMITS, loads)
    transformer = 98_112 * 5 / 8_000 / 3_600
    assert found.hours == pytest.approx(16 / 60 + 0.01022 + transformer, rel=1e-3)
    assert found.worker_hours == pytest.approx(4 * 0.01022 + 2 * transformer + 4 * 13 / 60, rel=1e-3)


def test_more_workers_than_machines_with_a_gpu_are_refused() -> None:
    load = Load(Kind.LSTM, 1, 1, 1, 5)
    words = r"^workers: 5 machines .* than the 4 with a GPU .*; remedy: --workers 4"
    with pytest.raises(CrpbotError, match=words) as refused:
        estimate(CLUSTER, LIMITS, [load])
    assert refused.value.reason == "TOO_MANY_WORKERS"
    spot, steady = CLUSTER.workers
    fewer = replace(CLUSTER, workers=(replace(spot, most=2), replace(steady, gpus=0)))
    with pytest.raises(CrpbotError, match="than the 2 with a GPU"):
        estimate(fewer, LIMITS, [replace(load, workers=3)])
    assert estimate(fewer, LIMITS, [replace(load, workers=2)]).worker_hours > 0


def test_a_plan_tells_how_many_machines_share_a_training() -> None:
    one = Candles("BTC-USD", "1m", 60_000 * np.arange(1_440), *np.ones((5, 1_440)))
    history = History("made", (one,))
    for kind in (Kind.LSTM, Kind.PPO):
        stage = Stage((Unit(kind, ("BTC-USD",)),), Order("BTC", workers=4))
        assert [each.workers for each in Plan((stage,), (history,)).loads()] == [4]


def test_a_rate_of_ones_own_takes_the_place_of_the_assumed_one() -> None:
    load = EXAMPLES["one coin"]
    assumed, own = estimate(CLUSTER, LIMITS, load), estimate(CLUSTER, LIMITS, load, rates={Kind.LSTM: 40_000.0})
    hours = 16_128 * 15 / 20_000 / 3600
    assert assumed.worker_hours - own.worker_hours == pytest.approx(hours / 2)
    assert "lstm 20,000 windows a second (assumed)" in " ".join(assumed.assumptions)
    assert "lstm 40,000 windows a second (given)" in " ".join(own.assumptions)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(CrpbotError, match="remedy"):
        estimate(CLUSTER, LIMITS, EXAMPLES["one coin"], rates={Kind.LSTM: rate})


def test_a_region_without_prices_is_refused_with_those_that_have() -> None:
    with pytest.raises(CrpbotError, match=r"region ap-south-1.*us-east-1.*remedy") as caught:
        estimate(replace(CLUSTER, region="ap-south-1"), LIMITS, EXAMPLES["one coin"])
    assert caught.value.code is Code.NOT_FOUND


@pytest.mark.parametrize("place", ["head", "workers"])
def test_a_machine_without_a_price_is_refused(place: str) -> None:
    dear = replace(CLUSTER.workers[0], instance_type="p5.48xlarge")
    cluster = replace(CLUSTER, head=dear) if place == "head" else replace(CLUSTER, workers=(dear, *CLUSTER.workers[1:]))
    for ask in (lambda: lifetime_hours(cluster, LIMITS), lambda: estimate(cluster, LIMITS, EXAMPLES["one coin"])):
        with pytest.raises(CrpbotError, match=r"p5.48xlarge in us-east-1.*remedy.*prices.toml"):
            ask()


def test_a_machine_without_an_assumed_speed_is_refused() -> None:
    slow = tuple(replace(each, instance_type="t3.xlarge") for each in CLUSTER.workers)
    with pytest.raises(CrpbotError, match=r"speed of t3.xlarge.*g4dn.xlarge"):
        estimate(replace(CLUSTER, workers=slow), LIMITS, EXAMPLES["one coin"])


@pytest.mark.parametrize("field", ["units", "windows", "epochs", "workers"])
def test_nothing_to_train_is_refused(field: str) -> None:
    with pytest.raises(CrpbotError, match="remedy"):
        replace(Load(Kind.LSTM, 1, 1, 1), **{field: 0})


LOADS = st.lists(
    st.builds(
        Load,
        kind=st.sampled_from(Kind),
        units=st.integers(1, 30),
        windows=st.integers(1, 10_000_000),
        epochs=st.integers(1, 50),
        workers=st.integers(1, 2),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=200, deadline=None)
@given(
    loads=LOADS,
    hours=st.floats(0.01, 72.0),
    dollars=st.floats(0.01, 1_000.0),
    most_workers=st.integers(2, 8),
)
def test_no_launch_costs_more_than_its_limit(
    loads: list[Load], hours: float, dollars: float, most_workers: int
) -> None:
    cluster = replace(CLUSTER, most_workers=most_workers)
    limits = Limits(hours, dollars, 10.0)
    found = estimate(cluster, limits, loads)
    assert found.most_dollars <= dollars * (1 + 1e-9)
    assert found.most_hours <= hours
    assert found.dollars == pytest.approx(sum(line.amount * line.price for line in found.lines))
    # what is expected lies below the highest rate for its time: the most is truly the most
    if found.fits:
        idle = most_workers * (cluster.idle_minutes / 60) * len(loads) * found.highest_rate
        assert found.dollars <= found.hours * found.highest_rate + idle
    assert estimate(cluster, limits, [*loads, loads[0]]).dollars > found.dollars


@pytest.mark.parametrize("region", ["us-east-1", "us-east-2", "us-west-2", "eu-west-1", "eu-central-1"])
def test_each_region_has_whole_prices(region: str) -> None:
    prices = read_prices(region)
    assert prices.noted <= date.today()  # noqa: DTZ011 - the day the file names has no zone
    assert {each.instance_type for each in machines(CLUSTER)} <= set(prices.machines)
    assert all(0 < each.spot < each.on_demand for each in prices.machines.values())
    assert 0.05 < prices.gb_hour * 730 < 0.2
    assert highest_rate(replace(CLUSTER, region=region)) > 0
    assert all(rate > 0 for rates in prices.rates.values() for rate in rates.values())
    assert all(set(rates) == set(Kind) for rates in prices.rates.values())


def machines(cluster: Cluster) -> tuple[Machine, ...]:
    return (cluster.head, *cluster.workers)


def test_the_prices_say_that_they_are_not_live() -> None:
    text = (ROOT / "training/cluster/prices.toml").read_text()
    assert "not live" in text
    assert re.search(r"^noted = \d{4}-\d\d-\d\d$", text, re.MULTILINE)
    assert re.search(r'^source = "[^"]+"$', text, re.MULTILINE)
    assert "not live" in " ".join(estimate(CLUSTER, LIMITS, EXAMPLES["one coin"]).assumptions)
