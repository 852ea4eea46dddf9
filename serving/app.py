"""Start reading here: how the server is put together. Reads the settings once and builds everything from them."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from api.gateway import Address, Gateway
from api.metrics import Metrics
from api.readiness import Check, Readiness
from core.adapters.fits import FitFolder
from core.adapters.ledger.chain import AuditEvent
from core.adapters.ledger.ledger import Ledger, Run
from core.adapters.ledger.signals.decisions import StoredDecisions
from core.adapters.ledger.signals.reads import Signals
from core.analyzers import discover
from core.desk import Defaults, Desk
from core.errors import CrpbotError
from core.panel import LocalAnalysts, warm_up
from core.ports import Analysts, Contexts, Forecasters, TradeRecords
from core.settings.declared import Settings
from core.settings.view import fingerprint, masked
from serving.analysts import samples
from serving.configuration import load
from serving.ensemble import build_models, model_url
from serving.groups import Group, load_groups, load_model_groups
from serving.handles import ServeAnalysts
from serving.logs import configure_logging
from serving.product import build_product
from serving.session import kernel_folder, token_file
from serving.signals import report_model
from serving.sources import Source, build_contexts, build_market


def build_desk(
    settings: Settings,
    analysts: Analysts,
    contexts: Contexts | None = None,
    *,
    source: Source | None = None,
    records: TradeRecords | None = None,
    forecasters: Forecasters | None = None,
) -> Desk:
    """The desk over a market (that of the settings where none is given), its facts, closed trades and the analysts."""
    market, now = source or build_market(settings)
    return Desk(
        market=market,
        analysts=analysts,
        now=now,
        defaults=Defaults(settings.market.interval, settings.market.window),
        contexts=contexts,
        records=records,
        forecasters=forecasters,
    )


def build_local_desk(
    settings: Settings,
    contexts: Contexts | None = None,
    *,
    source: Source | None = None,
    records: TradeRecords | None = None,
    forecasters: Forecasters | None = None,
) -> Desk:
    """The desk without Ray: everything in this process."""
    analysts = LocalAnalysts(time.monotonic, FitFolder(fit_folder(settings)).library)
    return build_desk(settings, analysts, contexts, source=source, records=records, forecasters=forecasters)


def build_records(ledger: Ledger) -> TradeRecords:
    """How the signals ended, for the theories: what the threshold is raised by too."""
    return StoredDecisions(ledger, Signals(ledger))


def fit_folder(settings: Settings) -> Path:
    """Where fitted theories lie."""
    return settings.runtime.state_folder.resolve() / "fitted"


def build_groups(settings: Settings) -> tuple[Group, ...]:
    """How the theories are spread over Serve deployments."""
    return load_groups(settings.serving.groups_file, tuple(discover()))


async def open_ledger(settings: Settings) -> Ledger:
    """The ledger, with this start of the server on record: under which settings, and in the audit log."""
    ledger = await Ledger.open(settings.database_url.get_secret_value())
    at = datetime.now(UTC)
    run = Run(
        started_at=at,
        version=version("crpbot"),
        settings=json.dumps(masked(settings), sort_keys=True),
        data_provider=settings.market.provider,
        runtime_mode=settings.runtime.mode,
    )
    number = await ledger.record_run(run)
    facts = {"version": run.version, "settings_sha256": fingerprint(settings), "mode": run.runtime_mode}
    await ledger.append_audit(AuditEvent(at, "server", "start", f"run {number}", facts))
    return ledger


async def problem_of(ledger: Ledger) -> str | None:
    """What is wrong with the ledger, for readiness."""
    try:
        await ledger.check()
    except CrpbotError as error:
        return error.detail
    return None


async def run_gateway(settings: Settings) -> None:
    """The gateway process, until SIGTERM or SIGINT."""
    ledger = await open_ledger(settings)
    source = build_market(settings)
    market = source[0]
    checks: dict[str, Check] = {"ledger": lambda: problem_of(ledger), "market": market.problem}
    contexts = build_contexts(settings)
    if contexts is not None:
        contexts.wake()
    records = build_records(ledger)
    models = build_models(settings)
    beside: list[asyncio.Task[object]] = [asyncio.create_task(models.watcher.run())]
    if settings.serving.mode == "inprocess":
        await asyncio.to_thread(warm_up, samples(), tuple(discover()))
        desk = build_local_desk(settings, contexts, source=source, records=records, forecasters=models.forecasters)
        following = None
    else:
        from serving.link import RayLink

        analysts = ServeAnalysts(build_groups(settings))
        desk = build_desk(settings, analysts, contexts, source=source, records=records, forecasters=models.forecasters)
        checks["analysts"] = analysts.problem
        following = asyncio.create_task(RayLink(analysts, settings.runtime.state_folder, models.callers).run())
    metrics = Metrics()
    library = FitFolder(fit_folder(settings)).library
    product = await build_product(settings, desk=desk, source=source, ledger=ledger, library=library, metrics=metrics)
    gateway = Gateway(
        product.operations,
        readiness=Readiness(checks, notes={"models": models.watcher.problem}, mode=settings.runtime.mode),
        metrics=metrics,
        http=Address(settings.http.host, settings.http.port),
        grpc=Address(settings.grpc.host, settings.grpc.port),
        timeout_seconds=settings.serving.analysis_deadline_seconds,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, gateway.stop)
    beside.append(asyncio.create_task(product.keeper.run()))
    if product.model is not None:
        beside.append(asyncio.create_task(report_model(product.model)))
    try:
        await gateway.run()
    finally:
        for task in (*beside, *((following,) if following else ())):
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await product.close()
        if contexts is not None:
            await contexts.close()
        await ledger.close()


def compile_kernels(processes: int) -> None:
    """Compiles the kernels of all theories into the cache, on every core: a minute's work on one."""
    theories = tuple(discover())
    shares = [theories[start::processes] for start in range(processes)]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        pool.map(_compile, shares)


def _compile(theories: tuple[str, ...]) -> None:
    warm_up(samples(), theories)


def main(arguments: list[str]) -> int:
    """The processes that the supervisor starts: `gateway`, and `deploy ADDRESS`; and `compile`, part of installing."""
    if arguments[0] == "compile":
        os.environ.setdefault("NUMBA_CACHE_DIR", str(kernel_folder(Path.cwd())))
        compile_kernels(len(os.sched_getaffinity(0)))
        return 0
    settings = load().settings
    configure_logging(settings.runtime.log_level)
    if settings.serving.mode == "ray":
        from serving.ray_private import set_environment

        set_environment(str(token_file(settings.runtime.state_folder)))
    if arguments[0] == "deploy":
        from serving.deploy import deploy

        groups = load_model_groups(settings.serving.groups_file)
        deploy(
            arguments[1],
            build_groups(settings),
            fit_folder(settings),
            model_groups=groups,
            models=model_url(settings),
        )
        return 0
    import uvloop

    if settings.serving.mode == "ray":
        from ray import serve  # noqa: F401  # a second of imports, done while Ray itself is still starting
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(run_gateway(settings))
        except CrpbotError as error:
            sys.stderr.write(f"error: {error.detail}\n")
            sys.stderr.flush()
            os._exit(1)
        # inside the block: leaving it would wait for threads, and Ray's can hold on for long after the last answer
        sys.stderr.flush()
        os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
