"""The kinds of value a setting can have, and the checks of those that a type and two bounds cannot describe.

A check raises `ValueError` without the value in it: whoever tells the user knows whether the value is a secret.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from core.bucket_address import is_bucket
from core.errors import CrpbotError
from core.market import INTERVAL_SECONDS
from core.models.weighting import Weights

LOOPBACK = IPv4Network("127.0.0.0/8")
WEIGHT_TOLERANCE = 1e-9  # decimals such as 0.1, 0.2 and 0.7 add up to 1 only within the rounding of a float

SERVER = re.compile(r"https?://(?:[^\s/?#@:\[\]]+|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?(?:/[^\s?#@]*)?")
SQLITE = re.compile(r"sqlite(?:\+aiosqlite)?:///(?P<path>[^?#\s][^?#]*)")
POSTGRES = re.compile(
    r"postgresql(?:\+psycopg)?://"
    r"(?:(?P<user>[^:@/?#\s]*)(?P<password>:[^@/?#\s]*)?@)?"
    r"(?P<place>(?:[^:@/?#\s\[\]]*|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?/[^@/?#\s]+)"
    r"(?P<parameters>\?[^#\s]*)?"
)


@dataclass(frozen=True, slots=True)
class Named:
    """The name of a setting that is not called after its place, and the old spellings still accepted."""

    name: str
    old: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a setting may hold, in words, where its type and bounds do not say it."""

    words: str


def check_loopback(text: str) -> str:
    """An address that only this machine can reach."""
    if text == "localhost":
        return text
    if IPv4Address(text) not in LOOPBACK:
        raise ValueError("not a loopback address")
    return text


def check_artifact_url(url: str) -> str:
    """A path, or a part of a bucket; never a key: those have places of their own."""
    try:
        is_bucket(url)
    except CrpbotError:
        raise ValueError("neither a path nor s3://BUCKET/PREFIX") from None
    return url


def check_database_url(url: SecretStr | None) -> SecretStr | None:
    """The URL with the driver the ledger uses. It must fit one pattern, so that a password in it is always found."""
    if url is None:
        return None
    text = url.get_secret_value()
    if (match := SQLITE.fullmatch(text)) and match["path"] != ":memory:":  # a ledger must survive a restart
        return SecretStr(f"sqlite+aiosqlite:///{match['path']}")
    if POSTGRES.fullmatch(text):
        return SecretStr(f"postgresql+psycopg://{text.partition('://')[2]}")
    raise ValueError("not the URL of a database that the ledger can use")


def mask_database_url(url: SecretStr) -> str:
    """The URL without its password and without its parameters, which may hold one too."""
    text = url.get_secret_value()
    match = POSTGRES.fullmatch(text)
    if match is None:
        return text
    password = ":***" if match["password"] else ""
    user = "" if match["user"] is None else f"{match['user']}{password}@"
    return f"postgresql+psycopg://{user}{match['place']}{'?***' if match['parameters'] else ''}"


def check_server_url(text: str) -> str:
    """A base URL without credentials, without parameters and without the slash at its end."""
    if not SERVER.fullmatch(text):
        raise ValueError("not the base URL of a server")
    return text.rstrip("/")


def split_weights(value: object) -> object:
    """`0.35,0.40,0.25` as its parts."""
    return value.split(",") if isinstance(value, str) else value


def check_weights(weights: Weights) -> Weights:
    """They must add up to 1, because the ensemble's probability is a mean."""
    if min(weights) < 0.0 or abs(sum(weights) - 1.0) > WEIGHT_TOLERANCE:
        raise ValueError("weights are not negative and add up to 1")
    return weights


def check_json_object(text: str) -> str:
    """A JSON object as compact text (text cannot be changed by who holds it); NaN and doubled keys are refused."""
    value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def check_interval(text: str) -> str:
    """One of the market's candle lengths."""
    if text not in INTERVAL_SECONDS:
        raise ValueError("not an interval")
    return text


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _refuse_constant(_: str) -> object:
    raise ValueError("NaN and infinity are no JSON")


Port = Annotated[int, Field(ge=1, le=65_535)]
Dollars = Annotated[Decimal, Field(ge=0, le=10_000, decimal_places=2), Allowed("dollars from 0 to 10000, whole cents")]
Secret = SecretStr | None
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(str.upper)]
Interval = Annotated[str, AfterValidator(check_interval), Allowed(f"one of {', '.join(INTERVAL_SECONDS)}")]
JsonObject = Annotated[str, AfterValidator(check_json_object), Allowed("a JSON object, each key once")]
EnsembleWeights = Annotated[
    Weights,
    BeforeValidator(split_weights),
    AfterValidator(check_weights),
    Allowed("three numbers from 0 to 1 with commas between them, for LSTM, Transformer and PPO, that add up to 1"),
]
ServerUrl = Annotated[
    str, AfterValidator(check_server_url), Allowed("http://HOST or https://HOST, without user, password and parameters")
]
LoopbackHost = Annotated[
    str,
    AfterValidator(check_loopback),
    Allowed("127.0.0.0/8 or localhost (there are no keys and no TLS yet: anywhere else strangers could come in)"),
]
ArtifactUrl = Annotated[str, AfterValidator(check_artifact_url), Allowed("a path or s3://BUCKET/PREFIX")]
DatabaseUrl = Annotated[
    SecretStr | None,
    AfterValidator(check_database_url),
    Allowed(
        "sqlite:///PATH or postgresql://USER:PASSWORD@HOST:PORT/NAME (sqlite+aiosqlite and postgresql+psycopg too); "
        "write @ / ? and # in a user name or password as %40 %2F %3F and %23"
    ),
]
