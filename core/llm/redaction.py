"""Takes every configured secret out of a text, also where it stands in base64 or in hexadecimal digits."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from typing import Final

SHORTEST: Final = 6  # a shorter secret stands in any text by chance
REDACTED: Final = "[redacted]"


class Redactor:
    """Knows the secrets, and never shows them."""

    def __init__(self, secrets: Iterable[str]) -> None:
        # a key of several lines may be repeated line by line
        parts = {part.strip() for secret in secrets for part in (secret, *secret.splitlines())}
        forms = {form for part in parts if len(part) >= SHORTEST for form in spellings(part)}
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def __repr__(self) -> str:
        return "Redactor()"

    def clean(self, text: str) -> str:
        """The text without secrets."""
        return text if self._pattern is None else self._pattern.sub(REDACTED, text)


def spellings(secret: str) -> Iterator[str]:
    """The secret as it is, as JSON and in hexadecimal digits, and what its base64 has in common at any place of a text.

    >>> sorted(set(spellings("secret")))
    ['736563726574', 'NlY3Jld', 'c2VjcmV0', 'secret', 'zZWNyZX']
    """
    raw = secret.encode(errors="replace")
    yield secret
    if "\n" in secret:
        yield secret.replace("\n", "\\n")
    yield raw.hex()
    yield raw.hex().upper()
    for ahead in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(bytes(ahead) + raw).decode().rstrip("=")
            # characters that also hold bits of a neighbour differ from place to place
            shared = (len(raw) + ahead) % 3
            yield text[-(-ahead * 8 // 6) : len(text) - (1 if shared else 0)]
