"""Writes the documents that follow from the code. `make docs` runs it; a test holds the files to it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cli.render import format_range
from core.analyzers import Analyzer, discover
from core.settings_view import render_env_example, render_settings_page

ROOT: Final = Path(__file__).parent.parent


def render_theories_page() -> str:
    """docs/theories.md: every theory's explanation and numbers, from its own file."""
    head = (
        "# The theories\n\n"
        "Generated from `core/analyzers/` by `make docs`. Each works on closed candles of one symbol, gives the\n"
        "numbers below, a vote in [-1, 1] (0 for a theory that only filters) and a sentence.\n"
    )
    return "\n".join([head, *(_section(analyzer) for analyzer in discover().values())])


def documents() -> dict[Path, str]:
    """Every generated document by its path."""
    return {
        ROOT / "docs" / "theories.md": render_theories_page(),
        ROOT / "docs" / "settings.md": render_settings_page(),
        ROOT / ".env.example": render_env_example(),
    }


def _section(analyzer: Analyzer) -> str:
    rows = [
        f"| `{field.name}` | {format_range(field.low, field.high)} | {field.meaning} |"
        for field in analyzer.describe().fields
    ]
    return "\n".join(
        [
            f"## {analyzer.name}\n",
            analyzer.explanation,
            f"\nNeeds {analyzer.min_length} candles. Headline: `{analyzer.headline}`.\n",
            "| number | range | meaning |",
            "| --- | --- | --- |",
            *rows,
            "",
        ]
    )


def main() -> None:
    """Writes what differs."""
    for path, text in documents().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
