"""The settings as people and records may see them: listed with their origins, masked, and documented."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from inspect import getdoc
from pathlib import Path
from textwrap import wrap
from typing import Final

from pydantic import SecretStr

from core.models.weighting import Weights
from core.settings.catalogue import Declaration, catalogue, sections
from core.settings.declared import PROFILES, Settings
from core.settings.sources import Loaded

TAIL: Final = 4
SHORTEST_WITH_TAIL: Final = 12  # of a shorter secret the last four characters would tell too much
COMMENT_WIDTH: Final = 110

TABLE_HEAD: Final = "| name | default | allowed | meaning |\n|---|---|---|---|"

Shown = bool | int | float | str | list[float] | None

ENV_EXAMPLE_HEAD: Final = """\
# The settings of CRPBot. Copy this file to .env (chmod 600 .env), remove the "#" of a line and give your value.
# Each line shows the default, so a line that you leave alone changes nothing and a profile can still set it.
# Stronger than this file: the environment, then the command line. An empty value counts as unset.
# Instead of a secret NAME you may set NAME_FILE, the path of a file that holds it (chmod 600).
"""

PAGE_HEAD: Final = """\
# Settings

Made from the declarations in `core/settings/declared.py`; change them there.

- **Order.** Default < profile < `.env` < environment < command line. `.env` is read in the folder in which the server
  is started. An empty value counts as unset.
- **`.env`.** `NAME=VALUE`, one a line; `#` begins a comment. In double quotes `\\n` is a line break, in single quotes
  everything stands for itself. `${NAME}` is not replaced.
- **Secrets.** A secret may also be given as `NAME_FILE`, the path of a file that only its owner may open (`chmod 600`);
  the line break at its end is not part of the secret. A secret is never printed and is refused on the command line.
- **Old spellings** are accepted with a warning. One setting under two names is refused.
- **Mistakes.** An unknown `CRPBOT__...` name and a value that is not allowed stop the start; all are told at once.
- `crpbot show-config` prints every setting with its value and where it came from.
"""


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting as `crpbot show-config` lists it; a secret is masked."""

    name: str
    place: str
    value: str
    origin: str
    meaning: str


def describe(loaded: Loaded) -> list[SettingRow]:
    """Every setting with its value and origin."""
    return [
        SettingRow(
            name=each.name,
            place=f"{each.section}.{each.key}",
            value=_as_text(_show(each, loaded.settings)),
            origin=loaded.origins[each.name],
            meaning=each.meaning,
        )
        for each in catalogue()
    ]


def masked(settings: Settings) -> dict[str, dict[str, Shown]]:
    """The settings by section and key for the audit log: JSON can write it, and no secret is in it."""
    places: dict[str, dict[str, Shown]] = {}
    for each in catalogue():
        places.setdefault(each.section, {})[each.key] = _show(each, settings)
    return places


def secret_values(settings: Settings) -> tuple[str, ...]:
    """Every secret that is set, for whoever takes them out of texts that come from outside."""
    held = (getattr(getattr(settings, each.section), each.key) for each in catalogue() if each.secret)
    return tuple(secret.get_secret_value() for secret in held if isinstance(secret, SecretStr))


def fingerprint(settings: Settings) -> str:
    """SHA-256 of the masked settings: two servers with the same one run under the same rules."""
    canonical = json.dumps(masked(settings), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def render_env_example() -> str:
    """The text of `.env.example`. Every line is a comment: a default written out would overrule the profile."""
    blocks = [ENV_EXAMPLE_HEAD]
    for section, kind in sections().items():
        blocks.append(f"# ---- {getdoc(kind)}\n")
        blocks.extend(_example(each) for each in catalogue() if each.section == section)
    return "\n".join(blocks)


def render_settings_page() -> str:
    """The text of `docs/settings.md`."""
    blocks = [PAGE_HEAD, _profile_table()]
    for section, kind in sections().items():
        rows = [_row(each) for each in catalogue() if each.section == section]
        blocks.append("\n".join([f"## {section}", "", getdoc(kind) or "", "", TABLE_HEAD, *rows, ""]))
    return "\n".join(blocks)


def _show(each: Declaration, settings: Settings) -> Shown:
    if each.name == "DB_URL":
        return settings.safe_database_url
    value = getattr(getattr(settings, each.section), each.key)
    if each.secret:
        return None if value is None else _mask(value.get_secret_value())
    return _plain(value)


def _mask(secret: str) -> str:
    return f"****{secret[-TAIL:]}" if len(secret) >= SHORTEST_WITH_TAIL else "set"


def _plain(value: object) -> Shown:
    """A value as JSON can hold it; amounts and paths as text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Weights):
        return list(value)
    return value.as_posix() if isinstance(value, Path) else str(value)


def _as_text(shown: Shown) -> str:
    """A value as it would be written into `.env`."""
    if shown is None:
        return "not set"
    if isinstance(shown, bool):
        return str(shown).lower()
    return ",".join(f"{weight:g}" for weight in shown) if isinstance(shown, list) else str(shown)


def _default(each: Declaration) -> str:
    return "" if each.default is None else _as_text(_plain(each.default))


def _example(each: Declaration) -> str:
    old = f" Old spelling: {', '.join(each.old_names)}." if each.old_names else ""
    words = f"{each.meaning} Allowed: {each.allowed}.{' Secret.' if each.secret else ''}{old}"
    return "\n".join([*(f"# {line}" for line in wrap(words, COMMENT_WIDTH)), f"#{each.name}={_default(each)}", ""])


def _row(each: Declaration) -> str:
    names = [f"`{each.name}`"]
    names += [f"or `{each.file_name}`"] if each.file_name else []
    names += [f"(old: `{name}`)" for name in each.old_names]
    default = f"`{_default(each)}`" if each.default is not None else "not set"
    return f"| {' '.join(names)} | {default} | {each.allowed} | {each.meaning}{' Secret.' if each.secret else ''} |"


def _profile_table() -> str:
    """What each profile sets; v7 is the defaults, shown so that the columns can be compared."""
    defaults = {each.name: _default(each) for each in catalogue()}
    rows = [f"| profile | {' | '.join(PROFILES)} |", "|---|" + "---|" * len(PROFILES)]
    for name in dict.fromkeys(name for profile in PROFILES.values() for name in profile):
        values = [profile.get(name, defaults[name]) or "not set" for profile in PROFILES.values()]
        rows.append(f"| `{name}` | {' | '.join(values)} |")
    return "\n".join(["## Profiles", "", *rows, ""])
