"""Keys and tokens of the Coinbase Developer Platform: published vectors, both kinds of key, nothing secret in texts."""

from __future__ import annotations

import base64
import json
import logging
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from core.adapters.coinbase.key import CdpKey
from core.errors import Code, CrpbotError
from core.market import SYMBOLS
from tests.core.adapters.coinbase_scene import (
    NAME,
    NOW_MS,
    SILENT,
    Scene,
    assert_true,
    ed25519_key,
    opened,
    p256_key,
)
from tests.core.virtual_time import PATIENT
from tests.fake_coinbase import Reply, verify
from tests.loopback_server import Wire

URI = "GET api.coinbase.com/api/v3/brokerage/products"


def unpad(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def pem_of(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, form: PrivateFormat) -> str:
    return key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with opened() as found:
        yield found


class TestPublishedVectors:
    def test_ed25519_signs_as_in_rfc_8037(self) -> None:
        """RFC 8037, appendices A.1 and A.4: this key and text give exactly this signature."""
        seed = unpad("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
        public = unpad("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
        signed = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
        expected = unpad("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg")
        for content in (seed, seed + public):
            key = CdpKey(NAME, base64.b64encode(content).decode())
            assert key.algorithm == "EdDSA"
            assert key.sign(signed) == expected

    def test_ecdsa_signs_what_the_key_of_rfc_7515_verifies(self) -> None:
        """RFC 7515, appendix A.3: the published signature passes the fake's check, and ours under the same key too."""
        d, x, y = (
            int.from_bytes(unpad(text), "big")
            for text in (
                "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
                "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            )
        )
        private = ec.EllipticCurvePrivateNumbers(d, ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1())).private_key()
        signed = (
            b"eyJhbGciOiJFUzI1NiJ9."
            b"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
        )
        published = unpad("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q")
        verify(private.public_key(), "ES256", signed, published)
        key = CdpKey(NAME, pem_of(private, PrivateFormat.TraditionalOpenSSL))
        assert key.algorithm == "ES256"
        for _ in range(50):  # a short r or s appears once in 128 times, and must be padded
            signature = key.sign(signed)
            assert len(signature) == 64
            verify(private.public_key(), "ES256", signed, signature)


class TestTokens:
    def test_a_token_says_who_asks_what_and_for_how_long(self) -> None:
        key = CdpKey(f" {NAME}\n", base64.b64encode(bytes(range(32))).decode())
        header, claims, _ = key.token(URI, at_seconds=1_760_000_000, nonce="ab" * 32).split(".")
        assert json.loads(unpad(header)) == {"alg": "EdDSA", "typ": "JWT", "kid": NAME, "nonce": "ab" * 32}
        assert json.loads(unpad(claims)) == {
            "sub": NAME,
            "iss": "cdp",
            "nbf": 1_760_000_000,
            "exp": 1_760_000_120,
            "uri": URI,
        }

    def test_a_token_has_no_padding_and_no_characters_that_urls_lack(self) -> None:
        key = CdpKey(NAME, base64.b64encode(bytes(range(32))).decode())
        token = key.token(URI, at_seconds=1_760_000_000, nonce="ab" * 32)
        assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


class TestReadingKeys:
    @pytest.mark.parametrize("form", [PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8])
    def test_a_pem_key_may_have_its_line_breaks_written_as_backslash_n(self, form: PrivateFormat) -> None:
        private = ec.generate_private_key(ec.SECP256R1())
        text = pem_of(private, form)
        for spelling in (text, text.replace("\n", "\\n"), f"\n{text} "):
            verify(private.public_key(), "ES256", b"text", CdpKey(NAME, spelling).sign(b"text"))

    def test_a_key_written_by_another_program_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "key.pem"
        command = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(path)]
        subprocess.run(command, check=True, capture_output=True)
        assert CdpKey(NAME, path.read_text()).algorithm == "ES256"

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda pem: pem.replace("A", "!", 3),
            lambda pem: pem[:80],
            lambda _: "",
            lambda _: "not a key",
            lambda _: base64.b64encode(bytes(31)).decode(),
            lambda _: base64.b64encode(bytes(range(64))).decode(),  # the public half is of another key
            lambda _: pem_of(ec.generate_private_key(ec.SECP384R1()), PrivateFormat.PKCS8),
            lambda _: pem_of(rsa.generate_private_key(65_537, 2_048), PrivateFormat.PKCS8),
        ],
    )
    def test_a_key_that_cannot_be_used_is_refused_without_showing_it(self, spoil) -> None:
        text = spoil(pem_of(ec.generate_private_key(ec.SECP256R1()), PrivateFormat.PKCS8))
        with pytest.raises(CrpbotError) as caught:
            CdpKey(NAME, text)
        assert (caught.value.code, caught.value.reason) == (Code.FAILED_PRECONDITION, "BROKEN_API_KEY")
        assert "COINBASE_API_PRIVATE_KEY" in caught.value.detail
        assert caught.value.__context__ is None
        for line in filter(None, text.split("\n")):
            assert line not in caught.value.detail

    def test_a_key_without_a_name_is_refused(self) -> None:
        with pytest.raises(CrpbotError, match="its name is empty"):
            CdpKey(" ", base64.b64encode(bytes(32)).decode())

    def test_its_text_shows_neither_name_nor_key(self) -> None:
        seed = base64.b64encode(bytes(range(32))).decode()
        key = CdpKey(NAME, seed)
        assert repr(key) == str(key) == "CdpKey(EdDSA)"
        public = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key()
        verify(public, "EdDSA", b"text", key.sign(b"text"))
        assert public.public_bytes(Encoding.Raw, PublicFormat.Raw)


class TestKeys:
    @pytest.mark.parametrize("make", [ed25519_key, p256_key])
    async def test_with_a_key_every_question_carries_a_token_of_its_own(self, scene: Scene, make: Callable) -> None:
        key, public, _ = make()
        scene.exchange.keys[NAME] = public
        scene.market = scene.open(key=key)
        found = await scene.market.latest(SYMBOLS, "5m", 350, now_ms=NOW_MS)
        for candles in found:
            assert_true(candles)
        asked = scene.exchange.asked("/products")
        assert not any("/market/" in seen.path for seen in asked)
        assert len({seen.token for seen in asked}) == len(asked) == 21
        assert all(seen.token for seen in asked)
        assert {seen.token for seen in scene.exchange.asked("/time")} == {""}
        assert list(scene.exchange.refused) == []

    async def test_without_a_key_nothing_is_signed_and_all_paths_are_public(self, scene: Scene) -> None:
        await scene.ask()
        assert not any(seen.token for seen in scene.exchange.seen)
        assert all("/market/" in seen.path for seen in scene.exchange.asked("/products"))

    @pytest.mark.parametrize("skew_ms", [-50_000, 50_000])
    async def test_tokens_are_made_by_the_exchanges_clock(self, scene: Scene, skew_ms: int) -> None:
        key, public, _ = ed25519_key()
        scene.exchange.keys[NAME] = public
        scene.market = scene.open(key=key)
        scene.our_ms = NOW_MS + skew_ms
        await scene.ask()
        scene.exchange.refused.clear()
        await scene.ask("ETH-USD")
        assert list(scene.exchange.refused) == []

    async def test_a_refused_key_is_tried_once_more_with_the_right_time_and_then_given_up(self, scene: Scene) -> None:
        key, _, _ = ed25519_key()
        scene.market = scene.open(key=key)
        error = await scene.refusal()
        assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "EXCHANGE_REFUSED_KEY")
        assert "check the API key and this machine's clock" in error.detail
        assert len(scene.exchange.asked("/candles")) == 2

    @pytest.mark.parametrize("make", [ed25519_key, p256_key])
    @pytest.mark.parametrize("fault", [Reply.ECHO, Reply.WRONG_SCHEMA, Wire.TRUNCATED, Wire.HANG, None])
    async def test_nothing_secret_is_shown_anywhere(
        self, scene: Scene, caplog: pytest.LogCaptureFixture, make: Callable, fault: Reply | Wire | None
    ) -> None:
        caplog.set_level(logging.DEBUG)
        key, public, text = make()
        scene.exchange.keys[NAME] = public
        scene.market = scene.open(key=key)
        await scene.ask("ETH-USD")
        shown = [repr(scene.market), repr(key), str(vars(scene.market)), str(vars(scene.market.exchange))]
        if fault:
            scene.exchange.plan(fault, times=99)
            scene.give_up_after(0.4 if fault in SILENT else PATIENT)
            error = await scene.refusal()
            chain = [error, error.__cause__, error.__context__]
            shown += [f"{each!r} {each}" for each in chain]
            assert not any(hasattr(each, "request") for each in chain)
        else:
            await scene.ask()
        shown.append(caplog.text)
        body = "".join(line for line in text.split("\n") if "PRIVATE KEY" not in line)
        secrets = [body, body[:40], NAME, *(seen.token for seen in scene.exchange.seen if seen.token)]
        assert len(secrets) > 4
        for secret in secrets:
            assert secret not in "\n".join(shown)
