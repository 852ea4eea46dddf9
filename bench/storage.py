"""How much a day of decisions weighs on disk: real readings of synthetic markets, stored as the server stores them.

`python -m bench.storage` needs nothing; `--url` measures another database, `--model` lets each decision ask a language
model (its reply is made up here, as long as real ones are). The first slot fills in 500 candles a symbol, so it is left
out; growth from the second slot on is what every further day costs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from core.adapters.ledger.address import is_sqlite, parse_address, sqlite_file
from core.adapters.ledger.engine import make_blocking_engine
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.migrations import upgrade
from core.adapters.ledger.signals.reads import Signals
from core.adapters.ledger.signals.store import store_signal
from core.adapters.synthetic.market import SyntheticMarket
from core.analysis import AnalyzeRequest
from core.analyzers import choose
from core.deciding.confidence import Threshold
from core.deciding.consultation import Consultation
from core.deciding.decision import Case, decide
from core.deciding.levels import measure
from core.deciding.synthesis import EQUAL
from core.desk import Defaults, Desk
from core.llm.prompt import Question, hash_prompt, write_prompt
from core.market import SYMBOLS
from core.panel import LocalAnalysts
from core.signal import LlmUse, Mode, RuntimeMode, Synthesis, Unasked, Variant, Verdict, Version
from core.signals.case_file import write_case
from core.signals.draft import Frame, draft
from core.signals.ports import Study
from core.signals.store import NewSignal, SnapshotReference
from core.trade import Book

START = datetime(2026, 11, 20, tzinfo=UTC)
SLOT = timedelta(minutes=5)
DECISIONS_A_DAY = 2_880  # ten symbols, 288 slots
INTERVAL, WINDOW = "5m", 500
VERSIONS = (Version("code", "0.1.0"), Version("numerics", "8c1f0a2b3d4e5f60"))


def main() -> None:
    """Store some slots and print what they weigh."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slots", type=int, default=25)
    parser.add_argument("--model", action="store_true")
    parser.add_argument("--url")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = arguments.url or f"sqlite:///{folder}/crpbot.db"
        upgrade(url)
        asyncio.run(run(url, arguments.slots, model=arguments.model))


async def run(url: str, slots: int, *, model: bool) -> None:
    """Measure after the first slot and after the last."""
    market = SyntheticMarket(7)
    seconds: list[float] = []
    await store_slot(url, market, 0, model=model, seconds=[])
    first = weigh_tables(url)
    for number in range(1, slots):
        await store_slot(url, market, number, model=model, seconds=seconds)
    last = weigh_tables(url)
    count = (slots - 1) * len(SYMBOLS)
    print(f"{count} decisions, {'each asks a model' if model else 'rule only'}; {url.split(':', 1)[0]}")
    for table in sorted(last, key=lambda name: first.get(name, 0) - last[name]):
        growth = last[table] - first.get(table, 0)
        print(f"  {table:24} {growth / count:8.0f} bytes a decision")
    total = (sum(last.values()) - sum(first.values())) / count
    print(f"  all {total:.0f} bytes a decision, {total * DECISIONS_A_DAY / 1e6:.1f} MB a day")
    seconds.sort()
    print(f"  stored in {1_000 * seconds[len(seconds) // 2]:.1f} ms (median), candles of a slot not counted")


async def store_slot(url: str, market: SyntheticMarket, number: int, *, model: bool, seconds: list[float]) -> None:
    """Ten decisions of one slot, through a ledger of its own: closing it brings everything into the file."""
    now = START + number * SLOT
    desk = Desk(
        market=market,
        analysts=LocalAnalysts(time.monotonic),
        now=lambda: now,
        defaults=Defaults(INTERVAL, WINDOW),
    )
    answer = await desk.analyze(AnalyzeRequest(symbols=SYMBOLS, theories=tuple(choose(()))), timeout_seconds=120)
    series = await market.latest(SYMBOLS, INTERVAL, WINDOW, now_ms=int(now.timestamp() * 1_000))
    ledger = await Ledger.open(url)
    references = await Signals(ledger).store_snapshots(series, identity=market.identity, at=now)
    for candles, analysis, reference in zip(series, answer.analyses, references, strict=True):
        new = write_decision(Study(candles, market.identity, analysis), reference, now, model=model)
        begun = time.perf_counter()
        async with ledger.writing() as connection:
            await store_signal(connection, new, created_at=now)
        seconds.append(time.perf_counter() - begun)
    await ledger.close()


def write_decision(study: Study, reference: SnapshotReference, now: datetime, *, model: bool) -> NewSignal:
    """What the desk would store: the case, and with a model prompt and reply."""
    threshold, yardstick = Threshold(0.65, True, "the profile's"), measure(study.candles)
    prompt = write_prompt(Question(study.analysis, Mode.CONSERVATIVE, threshold.value, yardstick, 1.234))
    unasked = Unasked("no_key", "no language model is configured")
    case = Case(study.analysis, EQUAL, unasked, Variant.V7_FULL_MATH, threshold, yardstick)
    ruled = decide(case)
    words = f"{ruled.reasoning} Last close {study.candles.close[-1]}."
    text = json.dumps({"signal": ruled.leaning.value, "confidence": 0.58, "reasoning": words})
    if model:
        case = replace(case, reply=Verdict(ruled.leaning, 0.58, words, None, Synthesis.LLM, text))
    frame = Frame(
        account="paper",
        slot=now,
        key="",
        mode=Mode.CONSERVATIVE,
        runtime_mode=RuntimeMode.DRYRUN,
        interval=INTERVAL,
        window=WINDOW,
        source="synthetic",
        synthetic=True,
        versions=VERSIONS,
        actor="scheduler",
    )
    used = LlmUse("deepseek-chat", Decimal("0.000285"), 2_345, 1_024, 180, 1, 2_345.6) if model else None
    consultation = Consultation(
        *(
            Book.PRIMARY,
            case,
            decide(case),
            Mode.CONSERVATIVE,
            prompt if model else None,
            text if model else None,
            used,
        ),
        versions=(Version("rule", EQUAL.label), *((Version("prompt", hash_prompt(prompt)),) if model else ())),
    )
    timings = {"candles": 1.234, "theories": 45.678, "verdict": 0.456, "levels": 3.21}
    drafted = draft(study, consultation, frame, at=now, stop_first=None, references=(reference,), timings_ms=timings)
    texts = {"case": write_case(case, Mode.CONSERVATIVE)}
    if model:
        texts |= {"prompt": f"{prompt.system}\0{prompt.user}", "reply": text}
    facts = {"symbol": drafted.signal.symbol, "direction": drafted.signal.direction.value, "book": "primary"}
    return NewSignal(drafted.signal, frame.actor, snapshots=(reference,), texts=texts, facts=facts)


def weigh_tables(url: str) -> dict[str, int]:
    """Bytes of each table with its indexes, as the database counts them; of SQLite the file."""
    address = parse_address(url)
    if is_sqlite(address):
        return {"whole file": sqlite_file(address).stat().st_size}
    query = "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r' AND relnamespace = 2200"
    with make_blocking_engine(address).connect() as connection:
        connection.exec_driver_sql("CHECKPOINT")
        return {row[0]: row[1] for row in connection.exec_driver_sql(query)}


if __name__ == "__main__":
    main()
