"""What the client says when something other than the server answers, or nobody does in time."""

from __future__ import annotations

import json
import socket

import pytest

from client.sdk import ApiError, Client, ForeignServerError
from tests.cli.test_doctor import answering


@pytest.mark.parametrize("content", ["<html>", "[]", '{"status": "alive"}', '{"analyses": 1}'])
def test_an_answer_of_another_program_is_told_as_such(content: str) -> None:
    with answering(200, content) as url, Client(url) as client:
        with pytest.raises(ForeignServerError, match="is not CRPBot"):
            client.theories()
        if not content.startswith("{"):
            with pytest.raises(ForeignServerError, match="is not CRPBot"):
                client.ready()


def test_a_server_that_does_not_answer_in_time_is_not_called_missing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            Client(url, timeout_seconds=0.1) as client,
            pytest.raises(ApiError, match=r"did not answer within 2\.1 s"),
        ):
            client.theories()


def test_what_is_no_address_is_told_without_a_trace() -> None:
    with pytest.raises(ApiError, match="is not an address"):
        Client("http://127.0.0.1:port")


def test_a_symbol_without_an_analysis_is_an_error_of_the_list_and_a_part_of_the_whole_answer() -> None:
    refused = {"symbol": "POL-USD", "reason": "STALE_MARKET_DATA", "detail": "an hour old"}
    answer = {"analyses": [{"symbol": "BTC-USD"}], "refused": [refused]}
    with answering(200, json.dumps(answer)) as url, Client(url) as client:
        assert client.ask("BTC-USD", "POL-USD") == answer
        with pytest.raises(ApiError, match="POL-USD: an hour old"):
            client.analyze("BTC-USD", "POL-USD")
