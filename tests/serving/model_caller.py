"""Asks the model groups of a running server as its gateway does, in a process of its own; answers as JSON lines.

    python -m tests.serving.model_caller STATE_FOLDER

Reads one question a line: {"call": "analyze" | "prepare", "group": ..., "versions": [...], "seconds": ...}, and with
"on_trial": true one for candidates.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from core.analyzers import discover
from core.forecasts.lineup import CANDLES
from core.market import stack_windows
from serving.groups import load_groups, load_model_groups
from serving.handles import GroupCaller, ServeAnalysts
from serving.link import RayLink
from serving.ray_private import set_environment
from serving.session import token_file
from tests.core.minutes import MINUTE_MS, START_MS, make_frame, to_candles

LATER = START_MS + 10 * 1_440 * MINUTE_MS  # the models of the tests learned until the fourth day


async def answer(caller: GroupCaller, question: dict[str, Any]) -> Any:
    """What a group says."""
    if question["call"] == "prepare":
        found: Any = await caller.prepare(question["versions"])
    else:
        batch = stack_windows([to_candles(make_frame(CANDLES, 1, start=LATER))], CANDLES, origins=("synthetic-7-edge",))
        on_trial = question.get("on_trial", False)
        ((findings,),) = await caller.analyze([batch], question["versions"], question["seconds"], on_trial=on_trial)
        found = {
            "readings": {each.theory: each.values["probability"] for each in findings.readings},
            "missing": {each.theory: each.reason for each in findings.missing},
        }
    return {"found": found}


async def serve(state: Path) -> None:
    """Answers questions until there are no more."""
    analysts = ServeAnalysts(load_groups(None, tuple(discover())))
    callers = {group.name: GroupCaller(group) for group in load_model_groups(None)}
    for caller in callers.values():
        caller.is_wanted = True
    link = asyncio.create_task(RayLink(analysts, state, tuple(callers.values())).run())
    while any(caller.needs_attaching for caller in (*analysts.callers, *callers.values())):
        await asyncio.sleep(0.05)
    _write({"attached": list(callers)})
    while line := await asyncio.to_thread(sys.stdin.readline):
        questions = json.loads(line)
        answers = (answer(callers[question["group"]], question) for question in questions)
        found = await asyncio.gather(*answers, return_exceptions=True)
        _write([each if isinstance(each, dict) else {"error": str(each)} for each in found])
    link.cancel()


def _write(answers: Any) -> None:
    sys.stdout.write(json.dumps(answers) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    set_environment(str(token_file(Path(sys.argv[1]))))
    asyncio.run(serve(Path(sys.argv[1])))
