"""Whether the server still offers the configured model: names are retired, and then every question fails."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from core.adapters.chat.answer import Mishap
from core.adapters.chat.http import ChatHttp

PATIENCE_SECONDS: Final = 5.0
SHOWN_MODELS: Final = 10
SHOWN_CHARACTERS: Final = 64  # of a name


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """Whether the server offers the model; None where it did not say. `detail` is a sentence for people."""

    is_listed: bool | None
    detail: str


async def check_model(http: ChatHttp, model: str) -> ModelCheck:
    """Asks for the server's list, which costs nothing. Raises nothing but cancellation."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            names = await http.models()
    except TimeoutError:
        return ModelCheck(None, f"the server did not list its models within {PATIENCE_SECONDS:.0f} s")
    except Mishap as mishap:
        return ModelCheck(None, f"the server did not list its models: {mishap.words}")
    if model in names:
        return ModelCheck(True, f"the server offers {model}")
    shown = ", ".join(ascii(name[:SHOWN_CHARACTERS]) for name in sorted(names)[:SHOWN_MODELS])
    more = f" and {len(names) - SHOWN_MODELS} more" if len(names) > SHOWN_MODELS else ""
    return ModelCheck(False, f"LLM_MODEL: the server does not offer {model!r}; it offers {shown or 'none'}{more}")
