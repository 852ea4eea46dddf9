"""What every command prints: a table for people, or with --json the same facts for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import typer


def show(value: Any, as_json: bool, render: Callable[[Any], object]) -> None:  # Any: plain JSON data
    """JSON on standard output, or whatever `render` makes of it."""
    if as_json:
        typer.echo(json.dumps(value, indent=2))
    else:
        render(value)
