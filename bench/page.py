"""Writes docs/benchmarks.md from the records of one measuring session: `python -m bench.page GATEWAY THEORIES LOAD`.

GATEWAY is what `python -m bench.gateway --json GATEWAY` wrote; THEORIES and LOAD are what
`python -m bench.theories --json` and `python -m loadtests.run --json` printed. docs/measured/speed.json does for
THEORIES as well.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from bench.figures import shown
from bench.records import Record
from cli.docs import markdown_row, speed_judged

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"

HEAD = """# Benchmarks

Measured on {day}: {machine}.
Generator, gateway and replicas share the cores, so a rate is really CPU a request, and an absolute figure says as much
about the machine as about the program: read the ratios, taken within one run. `make bench` and `make loadtest` print
these tables anew; `bench/page.py` wrote this page from their records.
"""

GATEWAY = """
## The gateway against bare servers

500 candles of the caller's own and three theories in every call. "bare" is the smallest FastAPI or grpc.aio server that
calls the same theories in its own process (`bench/bare_http.py`, `bench/bare_grpc.py`): no process border, no check of
the candles, no deadline. One caller or sixteen in a closed loop, rounds in turn.

| figure | median | min .. max | n | goal | met |
| --- | --- | --- | --- | --- | --- |
"""

READING = """
What is not reached, and what limits it. A call through the gateway crosses two process borders and the bare server
none, so at one caller it is two to three milliseconds slower; at sixteen, requests that travel together win most of
that back. gRPC is somewhat slower than REST: Python's grpc.aio costs about 0.3 ms a call more than uvicorn (0.38
against 0.11 ms for a call that does nothing), strict checks cost both faces the same, and the gateway's hop to Ray
Serve is a second gRPC call in the same event loop. Under load the gateway's one thread is the limit; a second gateway
process is the remedy.
"""

THEORIES = """
## The theories against libraries

Microseconds a window of {length} candles, in a batch of {batch:,} and alone, median of {rounds} rounds, one thread,
{versions}. Times faster is what the goal judges: a window of the batch, or where it says so the window alone.

| theory | what | batch | alone | library | its time | times faster | goal | met |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""

LOAD = """
## Load

`make loadtest`: 30 s of mixed calls on both faces through Ray Serve.

| operation | requests | failures | a second | p50 ms | p95 ms | p99 ms |
| --- | --- | --- | --- | --- | --- | --- |
"""


def render(gateway: Record, theories: Record, load: Record) -> str:
    """The page."""
    parts = [HEAD.format(day=datetime.now(UTC).date(), machine=gateway["machine"]), GATEWAY]
    parts += [_figure(each) for each in gateway["figures"]]
    parts.append(READING)
    parts += _theories(theories)
    parts.append(LOAD)
    parts += [_operation(each) for each in load["operations"]]
    return "".join(parts)


def _figure(each: Record) -> str:
    met = {True: "yes", False: "**no**", None: ""}[each["met"]]
    spread = f"{shown(each['lowest'])} .. {shown(each['highest'])}"
    median = f"{shown(each['median'])} {each['unit']}"
    return f"| {each['name']} | {median} | {spread} | {each['n']} | {each['goal'] or ''} | {met} |\n"


def _theories(record: Record) -> list[str]:
    entries = record["theories"].values()
    versions = "; ".join(dict.fromkeys(entry["versions"] for entry in entries))
    length, batch, rounds = (next(iter(entries))[name] for name in ("length", "batch", "rounds"))
    parts = [THEORIES.format(length=length, batch=batch, rounds=rounds, versions=versions)]
    parts += [_contest(each) for entry in entries for each in entry["contests"]]
    if together := record["together"]:
        parts.append(
            f"\nAll {together['theories']} theories on one lone window, with votes and words: "
            f"{together['single_us']:,.0f} µs; through the libraries {together['libraries_us']:,.0f} µs, "
            f"{together['times_faster']:.0f} times as long.\n"
        )
    return parts


def _contest(each: Record) -> str:
    times = f"{each['batch_us']:.2f}", f"{each['single_us']:.1f}", each["library"], f"{each['library_us']:,.1f}"
    row = each["theory"], each["name"], *times, *speed_judged(each), "yes" if each["met"] else "**no**"
    return markdown_row(*row) + "\n"


def _operation(each: Record) -> str:
    return (
        f"| {each['operation']} | {each['requests']:,} | {each['failures']} | {each['per_second']:.1f} | "
        f"{each['median_ms']:.1f} | {each['p95_ms']:.1f} | {_or_dash(each['p99_ms'])} |\n"
    )


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


if __name__ == "__main__":
    PAGE.write_text(render(*(json.loads(Path(name).read_text()) for name in sys.argv[1:4])))
