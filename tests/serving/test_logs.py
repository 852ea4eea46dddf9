"""Log lines are JSON, traces included."""

import json
import logging

from serving.logs import JsonLines


def test_a_line_is_json_even_with_a_trace_and_line_breaks() -> None:
    try:
        raise ValueError("broken\nin two")
    except ValueError as error:
        caught = (ValueError, error, error.__traceback__)
    record = logging.LogRecord("serving.link", logging.ERROR, "f", 1, "group %s failed", ("analysts",), caught)
    text = JsonLines().format(record)
    assert "\n" not in text
    line = json.loads(text)
    assert (line["level"], line["logger"], line["message"]) == ("ERROR", "serving.link", "group analysts failed")
    assert "ValueError: broken" in line["trace"]
    assert line["at"].endswith("+00:00")
