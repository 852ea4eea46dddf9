"""A key of the Coinbase Developer Platform and the tokens made with it: each for one request, for two minutes.

A token is a JSON Web Token (RFC 7519) signed with ES256 (ECDSA on P-256, RFC 7518) or EdDSA (Ed25519, RFC 8037),
whichever the key is. The private key never leaves this object; neither does it show in texts of it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from core.errors import Code, CrpbotError

LIFE_SECONDS: Final = 120  # the longest that Coinbase accepts
SEED_BYTES: Final = 32
P256_BYTES: Final = 32


class CdpKey:
    """The name and the private key, as the key file of the platform gives them (`name` or `id`, `privateKey`)."""

    def __init__(self, name: str, private_key: str) -> None:
        self._name = name.strip()
        self._key = _read_key(private_key)
        if not self._name:
            raise _broken("its name is empty")

    def __repr__(self) -> str:
        return f"CdpKey({self.algorithm})"

    @property
    def algorithm(self) -> str:
        """ES256 or EdDSA."""
        return "EdDSA" if isinstance(self._key, Ed25519PrivateKey) else "ES256"

    def token(self, uri: str, *, at_seconds: int, nonce: str) -> str:
        """A token for one request: `uri` is method, space, host and path, without scheme and query."""
        header = {"alg": self.algorithm, "typ": "JWT", "kid": self._name, "nonce": nonce}
        life = {"nbf": at_seconds, "exp": at_seconds + LIFE_SECONDS}
        claims = {"sub": self._name, "iss": "cdp", **life, "uri": uri}
        text = f"{_base64url(_compact(header))}.{_base64url(_compact(claims))}"
        return f"{text}.{_base64url(self.sign(text.encode()))}"

    def sign(self, content: bytes) -> bytes:
        """The signature as JSON Web Signatures carry it: 64 bytes for either kind of key."""
        if isinstance(self._key, Ed25519PrivateKey):
            return self._key.sign(content)
        r, s = decode_dss_signature(self._key.sign(content, ECDSA(SHA256())))
        return r.to_bytes(P256_BYTES, "big") + s.to_bytes(P256_BYTES, "big")


def _read_key(text: str) -> EllipticCurvePrivateKey | Ed25519PrivateKey:
    """A PEM text, in which a line break may be written as backslash and n, or 32 or 64 bytes in base64."""
    plain = text.replace("\\n", "\n").strip()
    key = None
    with suppress(ValueError, TypeError, UnsupportedAlgorithm):  # their texts may quote the key
        key = load_pem_private_key(plain.encode(), None) if plain.startswith("-----BEGIN") else _read_seed(plain)
    if key is None:
        raise _broken("it cannot be read")
    if isinstance(key, Ed25519PrivateKey):
        return key
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1):
        return key
    raise _broken("it is neither ECDSA on P-256 nor Ed25519")


def _read_seed(text: str) -> Ed25519PrivateKey:
    """Base64 of the seed, or of the seed and the public key that belongs to it."""
    content = base64.b64decode(text, validate=True)
    key = Ed25519PrivateKey.from_private_bytes(content[:SEED_BYTES])
    if content[SEED_BYTES:] not in {b"", key.public_key().public_bytes_raw()}:
        raise ValueError("the public half is of another key")
    return key


def _broken(why: str) -> CrpbotError:
    return CrpbotError(
        Code.FAILED_PRECONDITION,
        f"coinbase: the API key cannot be used: {why}; set COINBASE_API_KEY_NAME and COINBASE_API_PRIVATE_KEY to name "
        "and privateKey of the key file, or unset both: market data need no key",
        reason="BROKEN_API_KEY",
    )


def _compact(content: Mapping[str, object]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
