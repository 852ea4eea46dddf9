"""The page of the API stands on its own: every operation and schema is on it, and it fetches nothing."""

import re

from tests.api.gateways import Running


def test_the_page_shows_every_operation_and_schema_and_fetches_nothing(running: Running) -> None:
    answer = running.rest.get("/docs")
    document = running.rest.get("/openapi.json").json()
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    for path in document["paths"]:
        assert f"</span> {path}</h3>" in answer.text
    for schema in document["components"]["schemas"]:
        assert f'id="{schema}"' in answer.text
    assert set(re.findall(r'href="#(\w+)"', answer.text)) <= set(document["components"]["schemas"])
    assert not re.search(r"<script|https?://|src=|@import", answer.text)
