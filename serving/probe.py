"""Where the server of these settings answers, and whether it is ready."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Final

from core.settings.declared import Settings

PROBE_SECONDS: Final = 2.0
# a proxy meant for the internet is not asked about our own machine
OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def server_url(settings: Settings) -> str:
    """The base of every REST path."""
    return f"http://{settings.http.host}:{settings.http.port}"


def readiness(url: str) -> str:
    """Empty when the server there is ready, else what is in the way."""
    try:
        return _problem(*_ask(f"{url}/health/ready"))
    except (OSError, HTTPException) as error:
        return f"the gateway does not answer: {error}"


def _ask(url: str) -> tuple[int, bytes]:
    """Status and body, whatever the status."""
    try:
        with OPENER.open(url, timeout=PROBE_SECONDS) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def _problem(status: int, body: bytes) -> str:
    """What an answer says. One that is not ours never counts as ready."""
    try:
        health = json.loads(body)
        failing = [f"{each['name']}: {each['problem']}" for each in health["conditions"] if each["problem"]]
        if health["ready"] is True:
            return ""
    except (ValueError, KeyError, TypeError):
        return f"status {status} from something that is not the gateway"
    return "; ".join(failing) or f"status {status}"
