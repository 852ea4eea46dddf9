"""A download of candles in a process of its own, that a test may kill at any moment."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from cli.data.work import Order, fetch
from tests.core.histories import GAP_OF_TWO, HOLE, NOW_MS, FakeHistory


def start_download(folder: Path, seconds_a_page: float) -> ForkServerProcess:
    """A process that has just begun to download; forked, for what it imports takes longer than what it does."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    begun, beginning = context.Pipe(duplex=False)
    process = context.Process(target=_download, args=(folder, seconds_a_page, beginning))
    process.start()
    beginning.close()  # so that a process that dies before it begins is not waited for
    begun.recv()
    begun.close()
    return process


def _download(folder: Path, seconds_a_page: float, beginning: Connection) -> None:
    source = FakeHistory(holes=[GAP_OF_TWO, HOLE], seconds_a_page=seconds_a_page)
    order = Order(("BTC-USD", "ETH-USD"), ("1m", "1h"), "2025-01-01", "2025-02-15", folder)
    beginning.send(None)
    outcomes = fetch(order, source, lambda *_: None, clock=lambda: NOW_MS)
    assert not any(outcome.problem for outcome in outcomes), outcomes
