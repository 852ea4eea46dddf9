"""Code blocks of the documents, for the tests that execute them."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def code_blocks(document: str, language: str) -> list[str]:
    """Every block of that language, in order."""
    return [code for found, code in BLOCK.findall((ROOT / document).read_text()) if found == language]
