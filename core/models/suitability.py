"""Whether a model may speak here: it must read the features computed here and know the market it is asked about.

A model that learned from synthetic candles, from another coin or from the very minutes it is asked about would answer
all the same, and nobody could tell from its number. So each of these is refused with what to do.
"""

from __future__ import annotations

from hashlib import sha256
from itertools import zip_longest
from typing import Final

from core.errors import Code, CrpbotError
from core.features import FEATURES, fingerprint
from core.fitted import Wanted
from core.forecasts.lineup import HORIZON_MINUTES, INTERVAL, LONGEST_WINDOW
from core.market import REQUEST_SOURCE, interval_seconds, milliseconds
from core.models.manifest import Kind, Manifest
from core.models.observation import ACCOUNT

# 20,000,000 float32 are 80 MB; the largest of our networks has 3.5 MB.
MOST_BYTES: Final = 100_000_000
SHOWN_DIGITS: Final = 12  # of a hash


def check_usable(manifest: Manifest) -> None:
    """Refuse a model that every server of this version would refuse, whatever it is asked."""
    check_features(manifest)
    check_servable(manifest)


def check_features(manifest: Manifest) -> None:
    """Refuse a model that reads other columns than this version computes, naming the first that differs."""
    _check_columns(manifest, "features", manifest.features, FEATURES)
    _check_columns(manifest, "state", manifest.state, ACCOUNT if manifest.kind is Kind.PPO else ())
    here = fingerprint()
    if manifest.fingerprint != here:
        raise _refusal(
            manifest,
            f"learned from other formulas of the same {len(FEATURES)} features: fingerprint "
            f"{manifest.fingerprint[:SHOWN_DIGITS]}, here {here[:SHOWN_DIGITS]}",
            reason="WRONG_FEATURES",
        )


def check_servable(manifest: Manifest) -> None:
    """Refuse a model that no question asked here suits: its number would stand for another time to come."""
    if manifest.interval != INTERVAL:
        why = f"reads {manifest.interval} candles, and models are given {INTERVAL} candles"
    elif manifest.window > LONGEST_WINDOW:
        why = f"reads {manifest.window} candles, at most {LONGEST_WINDOW} are given"
    elif manifest.horizon * interval_seconds(manifest.interval) != HORIZON_MINUTES * 60:
        why = f"looks {manifest.horizon} minutes ahead, all decisions and ensembles are of {HORIZON_MINUTES}"
    else:
        return
    raise _refusal(manifest, f"cannot be asked here: it {why}", reason="NOT_SERVABLE")


def check_wanted(manifest: Manifest, wanted: Wanted) -> None:
    """Refuse a model for a market, an interval, a coin or an instant that it has not learned for."""
    if wanted.origin == REQUEST_SOURCE:
        why = "reads the server's own candles only: ask by symbol"
    elif manifest.origin != wanted.origin:
        why = f"learned from {manifest.origin} candles, these come from {wanted.origin or 'elsewhere'}"
    elif manifest.interval != wanted.interval:
        why = f"learned from {manifest.interval} candles, not from {wanted.interval}"
    elif wanted.symbol not in manifest.symbols:
        why = f"learned {', '.join(manifest.symbols)}, not {wanted.symbol[:SHOWN_DIGITS]}"
    elif wanted.as_of_ms < milliseconds(manifest.learned_until):
        until = f"{manifest.learned_until:%Y-%m-%d %H:%M} UTC"
        why = f"learned from candles up to {until}, which this window could not see yet"
    else:
        return
    raise _refusal(manifest, why, reason="WRONG_MARKET", symbol=wanted.symbol)


def check_blob(manifest: Manifest, blob: bytes) -> None:
    """Refuse weights that are not those which the manifest vouches for."""
    if len(blob) > MOST_BYTES:
        raise bad_weights(manifest, f"are {len(blob):,} bytes, at most {MOST_BYTES:,} are read")
    found = sha256(blob).hexdigest()
    if found != manifest.sha256:
        raise bad_weights(
            manifest,
            f"have sha256 {found[:SHOWN_DIGITS]}, the manifest vouches for {manifest.sha256[:SHOWN_DIGITS]}: "
            "the file is damaged or is another model's",
        )


def bad_weights(manifest: Manifest, why: str) -> CrpbotError:
    """The file of weights cannot be used."""
    return CrpbotError(Code.FAILED_PRECONDITION, f"the weights of {manifest.version} {why}", reason="BAD_WEIGHTS")


def remedy(manifest: Manifest, symbol: str | None = None) -> str:
    """The command that makes a model that would do."""
    coin = (symbol or manifest.symbols[0]).partition("-")[0]
    return f"crpbot train {manifest.kind}" + (f" --coin {coin}" if manifest.kind is Kind.LSTM else "")


def _check_columns(manifest: Manifest, field: str, learned: tuple[str, ...], here: tuple[str, ...]) -> None:
    if learned == here:
        return
    pairs = enumerate(zip_longest(learned, here, fillvalue="nothing"))
    place, (there, now) = next((place, pair) for place, pair in pairs if pair[0] != pair[1])
    prints = ""
    if field == "features":
        prints = f"; fingerprint {manifest.fingerprint[:SHOWN_DIGITS]}, here {fingerprint()[:SHOWN_DIGITS]}"
    raise _refusal(
        manifest,
        f"reads {len(learned)} {field} columns, this version has {len(here)}: column {place} is {there} in the model "
        f"and {now} here{prints}",
        reason="WRONG_FEATURES",
    )


def _refusal(manifest: Manifest, why: str, *, reason: str, symbol: str | None = None) -> CrpbotError:
    return CrpbotError(
        Code.FAILED_PRECONDITION,
        f"the model {manifest.version} {why}; remedy: {remedy(manifest, symbol)}",
        reason=reason,
    )
