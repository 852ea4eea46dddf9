"""Asks for analyses: from a running server, or computed here."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.errors import Code, CrpbotError

Answer = dict[str, Any]  # Any: decoded JSON: `analyses`, and `refused` with the symbols that could not be read


def analyze_there(
    url: str | None, symbols: Sequence[str], theories: tuple[str, ...], window: int | None, interval: str | None
) -> Answer:
    """The answer of the server at `url`, or of the one that the settings describe."""
    from client.sdk import ApiError, Client
    from serving.configuration import load
    from serving.probe import server_url

    try:
        with Client(url or server_url(load().settings)) as client:
            return client.ask(*symbols, theories=theories, window=window, interval=interval)
    except ApiError as error:
        remedy = "" if error.problem else ", or add --local to compute here"
        raise CrpbotError(Code.UNAVAILABLE, f"{error}{remedy}", reason="SERVER_REFUSED") from None


def analyze_here(
    url: str | None, symbols: Sequence[str], theories: tuple[str, ...], window: int | None, interval: str | None
) -> Answer:
    """The same, computed in this process without Ray. `url` is not used."""
    from serving.session import kernel_folder

    os.environ.setdefault("NUMBA_CACHE_DIR", str(kernel_folder(Path.cwd())))
    from api.body import adapter
    from core.analysis import AnalyzeRequest, AnalyzeResponse
    from serving.app import build_local_desk
    from serving.configuration import load

    settings = load().settings
    request = AnalyzeRequest(symbols=tuple(symbols), theories=theories, window=window, interval=interval)
    desk = build_local_desk(settings)
    seconds = settings.serving.analysis_deadline_seconds
    response = asyncio.run(desk.analyze(request, timeout_seconds=seconds))
    answer: Answer = adapter(AnalyzeResponse).dump_python(response, mode="json")
    return answer


def list_theories() -> list[dict[str, Any]]:
    """The catalogue, as this installation has it."""
    from dataclasses import asdict

    from core.analyzers import discover

    return [asdict(analyzer.describe()) for analyzer in discover().values()]
