"""Requests made from our own OpenAPI document, kept and broken by a machine, never find an error of ours."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode

from tests.api.gateways import CLIENT_SECONDS, Running

MANY = 320  # drawn of each kind, most of them sent twice: more than a thousand requests in all


def is_honest(response: Any, case: Any) -> bool:
    """No server error, unless the caller gave us no time and we say so."""
    if response.status_code < 500:
        return True
    gave_little_time = "X-Request-Timeout" in (case.headers or {})
    return gave_little_time and response.status_code == 504 and response.json()["reason"] == "DEADLINE_EXCEEDED"


@pytest.mark.parametrize("count", [pytest.param(15, id="a few"), pytest.param(MANY, id="many", marks=pytest.mark.slow)])
def test_no_mutated_request_finds_an_error_of_ours(running: Running, count: int) -> None:
    operation = schemathesis.openapi.from_url(f"{running.rest.base_url}/openapi.json")["/v1/analyze"]["POST"]
    statuses: Counter[int] = Counter()

    def send(case: Any) -> None:
        response = case.call(session=session, timeout=CLIENT_SECONDS)
        statuses[response.status_code] += 1
        assert is_honest(response, case), response.text

    def send_twice(case: Any) -> None:
        """As drawn, and with a symbol that exists: a drawn text hardly ever is one, and would come no further."""
        send(case)
        if isinstance(case.body, dict):
            case.body["symbol"] = "BTC-USD"
            send(case)

    limits = settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    with requests.Session() as session:
        session.trust_env = False
        for mode in (GenerationMode.NEGATIVE, GenerationMode.POSITIVE):
            limits(given(operation.as_strategy(generation_mode=mode))(send_twice))()
    assert statuses.total() >= 3 * count, statuses
    assert count < MANY or statuses.total() >= 1_000, statuses
    # a name that is fit to be sent and that nobody knows (404) is drawn too seldom to be asked for among a few
    assert ({400, 404, 422} if count >= MANY else {400, 422}) <= set(statuses), statuses
    running.assert_alive()


@pytest.mark.parametrize("path", ["/v1/theories", "/health/live", "/health/ready", "/metrics", "/openapi.json"])
def test_other_methods_and_stray_parameters_do_no_harm(running: Running, path: str) -> None:
    fine = 422 if path.startswith("/v1/") else 200  # an operation refuses a parameter that it does not know
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
        answer = running.rest.request(method, path, params={"a": "\x00", "é": "%ff"}, content=b"\x00")
        assert answer.status_code in (fine, 405)
        assert (answer.status_code == fine) == (method == "GET" or (method == "HEAD" and path == "/openapi.json"))
    running.assert_alive()
