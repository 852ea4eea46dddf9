"""Reading the settings: names, order of the sources, secrets, mistakes, and what is shown of them."""

from __future__ import annotations

import json
import os
import pickle
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from core.errors import Code, CrpbotError
from core.models.weighting import Weights
from core.settings.catalogue import catalogue
from core.settings.declared import PROFILES, Settings
from core.settings.sources import Loaded, load_settings
from core.settings.view import (
    describe,
    fingerprint,
    masked,
    render_env_example,
    render_settings_page,
)
from core.signal import Strategy
from serving.risk import build_limits
from serving.signals import build_habits

ROOT = Path(__file__).parents[2]
SECRET = "sk-0123456789abcdef-tail"
SECRET_NAMES = [each.name for each in catalogue() if each.secret and each.name != "DB_URL"]

# Every name of the original system with a value that differs from the default, and where it is then found.
ORIGINAL_NAMES: dict[str, tuple[str, str, object]] = {
    "DATA_PROVIDER": ("replay", "market.provider", "replay"),
    "COINBASE_API_KEY_NAME": (SECRET, "coinbase.api_key_name", SECRET),
    "COINBASE_API_PRIVATE_KEY": (SECRET, "coinbase.api_private_key", SECRET),
    "COINBASE_API_KEY": (SECRET, "coinbase.api_key_name", SECRET),
    "COINBASE_PRIVATE_KEY": (SECRET, "coinbase.api_private_key", SECRET),
    "COINGECKO_API_KEY": (SECRET, "coingecko.api_key", SECRET),
    "DEEPSEEK_API_KEY": (SECRET, "llm.api_key", SECRET),
    "LLM_BASE_URL": ("http://127.0.0.1:11434/v1/", "llm.base_url", "http://127.0.0.1:11434/v1"),
    "ARTIFACT_URL": ("s3://crpbot-models/desk", "models.url", "s3://crpbot-models/desk"),
    "LLM_MODEL": ("qwen3", "llm.model", "qwen3"),
    "LLM_EXTRA_BODY": ('{ "top_k": 1 }', "llm.extra_body", '{"top_k":1}'),
    "LLM_SUPPORTS_JSON_MODE": ("false", "llm.supports_json_mode", False),
    "LLM_ON_OUTAGE": ("rules", "llm.on_outage", "rules"),
    "LLM_PRICE_FREE": ("true", "llm.price_free", True),
    "DB_URL": ("sqlite:///ledger.db", "database.url", "sqlite+aiosqlite:///ledger.db"),
    "KILL_SWITCH": ("true", "runtime.kill_switch", True),
    "CONFIDENCE_THRESHOLD": ("0.7", "decision.confidence_threshold", 0.7),
    "MAX_SIGNALS_PER_HOUR": ("4", "decision.max_signals_per_hour", 4),
    "MAX_SIGNALS_PER_HOUR_HIGH": ("2", "decision.max_signals_per_hour_high", 2),
    "ENSEMBLE_WEIGHTS": ("0.1, 0.2, 0.7", "decision.ensemble_weights", Weights(0.1, 0.2, 0.7)),
    "RUNTIME_MODE": ("dryrun", "runtime.mode", "dryrun"),
    "LOG_LEVEL": ("debug", "runtime.log_level", "DEBUG"),
    "TELEGRAM_TOKEN": (SECRET, "telegram.token", SECRET),
    "TELEGRAM_CHAT_ID": ("-1001234567890", "telegram.chat_id", -1001234567890),
    "FTMO_LOGIN": (SECRET, "ftmo.login", SECRET),
    "FTMO_PASS": (SECRET, "ftmo.password", SECRET),
    "FTMO_SERVER": ("FTMO-Demo", "ftmo.server", "FTMO-Demo"),
}

WRONG_VALUES = [
    ("DATA_PROVIDER", "kraken", "synthetic, replay or coinbase"),
    ("RUNTIME_MODE", "paper", "one of dryrun, live"),
    ("LOG_LEVEL", "loud", "one of DEBUG, INFO, WARNING, ERROR"),
    ("KILL_SWITCH", "maybe", "true or false"),
    ("CONFIDENCE_THRESHOLD", "0.54", "a number from 0.55 to 1.0"),
    ("CONFIDENCE_THRESHOLD", "nan", "a number from 0.55 to 1.0"),
    ("CONFIDENCE_THRESHOLD", "70%", "a number from 0.55 to 1.0"),
    ("MAX_SIGNALS_PER_HOUR", "0", "a whole number from 1 to 60"),
    ("MAX_SIGNALS_PER_HOUR", "2.5", "a whole number from 1 to 60"),
    ("MAX_SIGNALS_PER_HOUR_HIGH", "61", "a whole number from 1 to 60"),
    ("ENSEMBLE_WEIGHTS", "0.35,0.40", "three numbers from 0 to 1"),
    ("ENSEMBLE_WEIGHTS", "0.35,0.40,0.15,0.10", "three numbers from 0 to 1"),
    ("ENSEMBLE_WEIGHTS", "0.35,0.40,0.26", "add up to 1"),
    ("ENSEMBLE_WEIGHTS", "1.5,-0.5,0", "three numbers from 0 to 1"),
    ("ENSEMBLE_WEIGHTS", "nan,0.5,0.5", "three numbers from 0 to 1"),
    ("LLM_BASE_URL", "ftp://models.example", "http://HOST or https://HOST"),
    ("LLM_BASE_URL", "https://", "http://HOST or https://HOST"),
    ("LLM_BASE_URL", "https://models.example/v1?key=1", "without user, password and parameters"),
    ("LLM_EXTRA_BODY", "[1]", "a JSON object"),
    ("LLM_EXTRA_BODY", '{"a": NaN}', "a JSON object"),
    ("LLM_EXTRA_BODY", '{"a": 1e999}', "a JSON object"),
    ("LLM_EXTRA_BODY", '{"a": 1, "a": 2}', "each key once"),
    ("LLM_MODEL", "m" * 129, "a text of at most 128 characters"),
    ("TELEGRAM_CHAT_ID", "@crpbot", "a whole number"),
    ("CRPBOT__RUNTIME__PROFILE", "v8", "one of v7, v6, v7-plan"),
    ("CRPBOT__HTTP__PORT", "65536", "a whole number from 1 to 65535"),
    ("CRPBOT__RAY__OBJECT_STORE_MB", "79", "a whole number from 80 to 100000"),
    ("CRPBOT__SERVING__ANALYSIS_DEADLINE_SECONDS", "inf", "a number from 0.1 to 30.0"),
    ("CRPBOT__SERVING__MODE", "threads", "one of ray, inprocess"),
    ("CRPBOT__MARKET__INTERVAL", "7m", "one of 1m, 5m"),
    ("CRPBOT__MARKET__WINDOW", "199", "a whole number from 200 to 2000"),
    ("CRPBOT__LLM__DAILY_BUDGET_USD", "-1", "dollars from 0 to 10000"),
    ("CRPBOT__LLM__MONTHLY_BUDGET_USD", "0.001", "whole cents"),
]


def load(folder: Path, environment: Mapping[str, str] | None = None, **overrides: str) -> Loaded:
    return load_settings(environment or {}, folder, overrides)


def refusal(folder: Path, environment: Mapping[str, str] | None = None, **overrides: str) -> CrpbotError:
    with pytest.raises(CrpbotError) as caught:
        load(folder, environment, **overrides)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.reason == "BAD_SETTING"
    return caught.value


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def value_at(settings: Settings, place: str) -> object:
    section, key = place.split(".")
    value = getattr(getattr(settings, section), key)
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


def renderings(loaded: Loaded) -> str:
    settings = loaded.settings
    return "\n".join(
        [
            repr(loaded),
            str(settings),
            repr(settings),
            repr(describe(loaded)),
            json.dumps(masked(settings)),
            settings.model_dump_json(),
        ]
    )


class TestDefaultsAndProfiles:
    def test_nothing_set_gives_the_defaults_and_says_so(self, tmp_path: Path) -> None:
        loaded = load(tmp_path)
        assert loaded.settings == Settings()
        assert set(loaded.origins.values()) == {"default"}
        assert loaded.warnings == ()

    def test_the_defaults_are_the_documented_ones(self) -> None:
        settings = Settings()
        assert (settings.http.host, settings.http.port, settings.grpc.port) == ("127.0.0.1", 8000, 9000)
        assert (settings.ray.dashboard_port, settings.ray.cpus, settings.ray.object_store_mb) == (8265, 0, 100)
        assert (settings.market.provider, settings.market.interval, settings.market.window) == ("synthetic", "5m", 500)
        assert (settings.market.synthetic_seed, settings.serving.analysis_deadline_seconds) == (7, 10.0)
        assert settings.runtime.mode == "dryrun"
        assert settings.decision.ensemble_weights == Weights(lstm=0.35, transformer=0.40, policy=0.25)

    @pytest.mark.parametrize(
        ("profile", "confidence", "signals", "high", "daily", "monthly"),
        [
            ("v7", 0.65, 3, None, "5", "150"),
            ("v6", 0.75, 10, 5, "5", "150"),
            ("v7-plan", 0.65, 6, None, "3", "100"),
        ],
    )
    def test_a_profile_sets_its_values(
        self, tmp_path: Path, profile: str, confidence: float, signals: int, high: int | None, daily: str, monthly: str
    ) -> None:
        loaded = load(tmp_path, {"CRPBOT__RUNTIME__PROFILE": profile})
        decision, llm = loaded.settings.decision, loaded.settings.llm
        assert decision.confidence_threshold == confidence
        assert (decision.signals_per_hour, decision.max_signals_per_hour_high) == (signals, high)
        assert (llm.daily_budget_usd, llm.monthly_budget_usd) == (Decimal(daily), Decimal(monthly))
        assert {name for name, origin in loaded.origins.items() if origin == f"profile {profile}"} == set(
            PROFILES[profile]
        )

    @pytest.mark.parametrize(("profile", "strategy"), [("v7", "v7"), ("v6", "v6"), ("v7-plan", "v7")])
    def test_a_profile_says_which_strategy_is_published(self, tmp_path: Path, profile: str, strategy: str) -> None:
        habits = build_habits(load(tmp_path, {"CRPBOT__RUNTIME__PROFILE": profile}).settings)
        assert (habits.strategy, habits.compare_strategies) == (Strategy(strategy), True)
        voting = {"CRPBOT__RUNTIME__PROFILE": profile, "CRPBOT__DECISION__STRATEGY": "vote"}
        assert build_habits(load(tmp_path, voting).settings).strategy is Strategy.VOTE

    @pytest.mark.parametrize(("said", "signals"), [({}, 20), ({"MAX_SIGNALS_PER_HOUR": "4"}, 4)])
    def test_the_aggressive_mode_has_a_limit_of_its_own_where_none_is_set(
        self, tmp_path: Path, said: dict[str, str], signals: int
    ) -> None:
        loaded = load(tmp_path, {"CRPBOT__DECISION__MODE": "aggressive", **said})
        assert loaded.settings.decision.signals_per_hour == signals
        assert build_limits(loaded.settings).max_signals_per_hour == signals

    def test_all_defaults_and_profile_values_are_themselves_allowed(self, tmp_path: Path) -> None:
        for profile in PROFILES.values():
            load(tmp_path, profile)
        for each in catalogue():
            if each.default is not None and not isinstance(each.default, tuple):
                load(tmp_path, {each.name: str(each.default)})


class TestOrderOfTheSources:
    def test_each_source_is_stronger_than_the_one_before(self, tmp_path: Path) -> None:
        name = "MAX_SIGNALS_PER_HOUR"
        profile = {"CRPBOT__RUNTIME__PROFILE": "v6"}
        steps = [load(tmp_path), load(tmp_path, profile)]
        write(tmp_path / ".env", f"{name}=20\n")
        steps += [load(tmp_path, profile), load(tmp_path, {**profile, name: "30"})]
        steps += [load(tmp_path, {**profile, name: "30"}, **{name: "40"})]
        found = [(step.settings.decision.signals_per_hour, step.origins[name]) for step in steps]
        assert found == [(3, "default"), (10, "profile v6"), (20, ".env"), (30, "environment"), (40, "command line")]

    def test_the_profile_may_be_named_in_any_source(self, tmp_path: Path) -> None:
        write(tmp_path / ".env", "CRPBOT__RUNTIME__PROFILE=v6\n")
        assert load(tmp_path).settings.decision.confidence_threshold == 0.75
        overridden = load(tmp_path, CRPBOT__RUNTIME__PROFILE="v7-plan")
        assert overridden.settings.decision.max_signals_per_hour == 6

    @pytest.mark.parametrize("empty", ["", "   "])
    def test_an_empty_value_counts_as_unset(self, tmp_path: Path, empty: str) -> None:
        write(tmp_path / ".env", "CRPBOT__HTTP__PORT=8100\nDEEPSEEK_API_KEY=\n")
        loaded = load(tmp_path, {"CRPBOT__HTTP__PORT": empty, "DEEPSEEK_API_KEY_FILE": empty}, CRPBOT__HTTP__PORT=empty)
        assert loaded.settings.http.port == 8100
        assert loaded.origins["CRPBOT__HTTP__PORT"] == ".env"
        assert loaded.settings.llm.api_key is None

    def test_the_process_environment_is_not_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CRPBOT__HTTP__PORT", "8111")
        monkeypatch.setenv("CRPBOT__NO__SUCH", "1")
        assert load(tmp_path).settings.http.port == 8000

    def test_a_folder_called_dotenv_is_not_a_settings_file(self, tmp_path: Path) -> None:
        (tmp_path / ".env").mkdir()
        assert load(tmp_path).settings == Settings()


class TestNames:
    @pytest.mark.parametrize("name", ORIGINAL_NAMES)
    def test_every_original_name_is_accepted(self, tmp_path: Path, name: str) -> None:
        text, place, expected = ORIGINAL_NAMES[name]
        assert value_at(load(tmp_path, {name: text}).settings, place) == expected
        write(tmp_path / ".env", f"{name}={text}\n")
        assert value_at(load(tmp_path).settings, place) == expected

    def test_every_name_is_an_original_one_or_follows_from_its_place(self) -> None:
        for each in catalogue():
            assert each.name in ORIGINAL_NAMES or each.name == f"CRPBOT__{each.section}__{each.key}".upper()

    def test_no_two_settings_share_a_spelling(self) -> None:
        spellings = [spelling for each in catalogue() for spelling in each.spellings]
        assert len(spellings) == len(set(spellings))

    @pytest.mark.parametrize(
        ("old", "new"),
        [("COINBASE_API_KEY", "COINBASE_API_KEY_NAME"), ("COINBASE_PRIVATE_KEY", "COINBASE_API_PRIVATE_KEY")],
    )
    def test_an_old_spelling_is_accepted_with_one_warning(self, tmp_path: Path, old: str, new: str) -> None:
        write(tmp_path / ".env", f"{old}=other-{SECRET}\n")
        loaded = load(tmp_path, {old: SECRET})
        assert loaded.warnings == (f"{old} (environment) is an old spelling; write {new}",)
        assert loaded.origins[new] == "environment"

    def test_one_setting_under_two_names_is_refused(self, tmp_path: Path) -> None:
        write(tmp_path / ".env", f"COINBASE_API_KEY={SECRET}\n")
        error = refusal(tmp_path, {"COINBASE_API_KEY_NAME": SECRET})
        assert "COINBASE_API_KEY_NAME (environment), COINBASE_API_KEY (.env)" in error.detail

    @pytest.mark.parametrize(
        ("name", "suggestion"),
        [
            ("CRPBOT__HTTP__PROT", "CRPBOT__HTTP__PORT"),
            ("crpbot__http__port", "CRPBOT__HTTP__PORT"),
            ("CRPBOT__LLM__MODEL", "LLM_MODEL"),
            ("CRPBOT__SERVING__DEADLINE_SECONDS", "CRPBOT__SERVING__ANALYSIS_DEADLINE_SECONDS"),
        ],
    )
    def test_an_unknown_name_is_refused_with_the_closest_ones(self, tmp_path: Path, name: str, suggestion: str) -> None:
        for error in (refusal(tmp_path, {name: "1"}), refusal(tmp_path, {}, **{name: "1"})):
            assert error.violations[0].field == name
            assert suggestion in error.detail.split("did you mean ")[1]
        write(tmp_path / ".env", f"{name}=1\n")
        assert f"{name}: (.env) is no setting; did you mean " in refusal(tmp_path).detail

    def test_an_unknown_name_like_no_other_is_refused_without_a_guess(self, tmp_path: Path) -> None:
        error = refusal(tmp_path, {"CRPBOT__XYZZY": "1"})
        assert error.violations[0].detail == "(environment) is no setting (docs/settings.md lists them all)"

    def test_a_foreign_name_is_noted_in_dotenv_and_ignored_in_the_environment(self, tmp_path: Path) -> None:
        write(tmp_path / ".env", "KILLSWITCH=true\n")
        loaded = load(tmp_path, {"PATH": "/bin", "KILL_SWICH": "true"})
        assert loaded.warnings == (".env: KILLSWITCH is no setting, it has no effect; did you mean KILL_SWITCH?",)

    def test_an_unknown_name_on_the_command_line_is_refused(self, tmp_path: Path) -> None:
        assert refusal(tmp_path, PORT="1").violations[0].field == "PORT"


class TestDotenv:
    def test_quotes_escapes_comments_and_dollars_are_read_as_documented(self, tmp_path: Path) -> None:
        text = (
            "\ufeff# comment\n\nexport LLM_MODEL = 'a b' # why\n"
            'COINBASE_API_PRIVATE_KEY="one\\ntwo"\nFTMO_SERVER=${LLM_MODEL}\n'
        )
        write(tmp_path / ".env", text)
        settings = load(tmp_path).settings
        assert settings.llm.model == "a b"
        assert value_at(settings, "coinbase.api_private_key") == "one\ntwo"
        assert settings.ftmo.server == "${LLM_MODEL}"

    @pytest.mark.parametrize("line", ['LLM_MODEL="unfinished', "LLM_MODEL", "= 3", "A B=3"])
    def test_a_line_that_cannot_be_read_is_refused_by_its_number(self, tmp_path: Path, line: str) -> None:
        write(tmp_path / ".env", f"LOG_LEVEL=INFO\n\n{line}\n")
        assert refusal(tmp_path).detail.endswith(
            "- .env: line 3 cannot be read; allowed: NAME=VALUE, or # and a comment"
        )

    def test_a_file_that_is_not_text_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_bytes(b"LOG_LEVEL=\xff\xfe")
        assert ".env: cannot be read: it is not UTF-8 text" in refusal(tmp_path).detail

    def test_a_name_that_stands_twice_is_noted(self, tmp_path: Path) -> None:
        write(tmp_path / ".env", "LOG_LEVEL=INFO\nLOG_LEVEL=ERROR\n")
        loaded = load(tmp_path)
        assert loaded.settings.runtime.log_level == "ERROR"
        assert loaded.warnings == (".env: LOG_LEVEL stands twice; the last one counts",)

    def test_pieces_of_a_key_pasted_without_quotes_are_not_shown(self, tmp_path: Path) -> None:
        write(tmp_path / ".env", "COINBASE_API_PRIVATE_KEY=first\nMHcCAQEEIIGh0w==\nMHcCAQEEIIGh0w==\n")
        warnings = load(tmp_path).warnings
        assert len(warnings) == 2
        assert all("MHcC" not in warning and "not in capital letters" in warning for warning in warnings)

    @pytest.mark.parametrize(("mode", "count"), [(0o600, 0), (0o640, 1), (0o604, 1)])
    def test_secrets_in_a_dotenv_open_to_others_are_noted(self, tmp_path: Path, mode: int, count: int) -> None:
        path = write(tmp_path / ".env", f"DEEPSEEK_API_KEY={SECRET}\n", mode)
        warnings = load(tmp_path).warnings
        assert len(warnings) == count
        assert all(warning.endswith(f"remedy: chmod 600 {path}") for warning in warnings)


class TestSecretFiles:
    @pytest.mark.parametrize("name", [*SECRET_NAMES, "DB_URL"])
    def test_any_secret_may_stand_in_a_file(self, tmp_path: Path, name: str) -> None:
        text = "postgresql+psycopg://crpbot:pass@/crpbot" if name == "DB_URL" else SECRET
        write(tmp_path / "secret", f"{text}\n")
        declaration = next(each for each in catalogue() if each.name == name)
        loaded = load(tmp_path, {f"{name}_FILE": str(tmp_path / "secret")})
        assert value_at(loaded.settings, f"{declaration.section}.{declaration.key}") == text
        assert loaded.origins[name] == f"file {name}_FILE"

    def test_a_relative_path_starts_at_the_folder(self, tmp_path: Path) -> None:
        write(tmp_path / "secret", SECRET)
        write(tmp_path / ".env", "FTMO_PASS_FILE=secret\n")
        assert value_at(load(tmp_path).settings, "ftmo.password") == SECRET

    @pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n\n"])
    def test_only_the_line_breaks_at_the_end_are_dropped(self, tmp_path: Path, ending: str) -> None:
        write(tmp_path / "key.pem", f" first\nsecond {ending}")
        loaded = load(tmp_path, {"COINBASE_API_PRIVATE_KEY_FILE": "key.pem"})
        assert value_at(loaded.settings, "coinbase.api_private_key") == " first\nsecond "

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
    def test_a_file_that_others_may_open_is_refused_with_the_remedy(self, tmp_path: Path, mode: int) -> None:
        path = write(tmp_path / "secret", SECRET, mode)
        error = refusal(tmp_path, {"TELEGRAM_TOKEN_FILE": "secret"})
        assert f"(mode {mode:04o}); remedy: chmod 600 {path}" in error.detail
        assert error.violations[0].field == "TELEGRAM_TOKEN"

    @pytest.mark.parametrize(("text", "mode"), [("\n", 0o600), ("  \n", 0o600)])
    def test_an_empty_file_is_refused(self, tmp_path: Path, text: str, mode: int) -> None:
        write(tmp_path / "secret", text, mode)
        assert "is empty" in refusal(tmp_path, {"TELEGRAM_TOKEN_FILE": "secret"}).detail

    def test_a_file_that_is_not_text_is_refused(self, tmp_path: Path) -> None:
        write(tmp_path / "secret", "").write_bytes(b"\xff\xfe\xfa")
        assert "it is not UTF-8 text" in refusal(tmp_path, {"TELEGRAM_TOKEN_FILE": "secret"}).detail

    def test_what_is_not_a_regular_file_is_refused_and_not_opened(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe", 0o600)
        for name in ("pipe", "."):
            assert "is not a file" in refusal(tmp_path, {"TELEGRAM_TOKEN_FILE": name}).detail

    @pytest.mark.parametrize("pasted", [SECRET, f"{SECRET}\0", "s" * 300])
    def test_a_secret_pasted_in_place_of_a_path_is_not_shown(self, tmp_path: Path, pasted: str) -> None:
        error = refusal(tmp_path, {"TELEGRAM_TOKEN_FILE": pasted})
        assert "(TELEGRAM_TOKEN_FILE) the file it names cannot be read" in error.detail
        assert pasted not in error.detail

    def test_a_secret_and_its_file_together_are_refused(self, tmp_path: Path) -> None:
        write(tmp_path / "secret", SECRET)
        error = refusal(tmp_path, {"TELEGRAM_TOKEN": SECRET, "TELEGRAM_TOKEN_FILE": "secret"})
        assert "TELEGRAM_TOKEN (environment), TELEGRAM_TOKEN_FILE (environment); keep one" in error.detail

    @pytest.mark.parametrize("name", SECRET_NAMES)
    def test_a_secret_on_the_command_line_is_refused_but_its_file_is_not(self, tmp_path: Path, name: str) -> None:
        error = refusal(tmp_path, {}, **{name: SECRET})
        assert f"use {name}_FILE" in error.detail
        assert SECRET not in error.detail
        write(tmp_path / "secret", SECRET)
        assert load(tmp_path, {}, **{f"{name}_FILE": "secret"}).origins[name] == f"file {name}_FILE"


class TestMistakes:
    @pytest.mark.parametrize(("name", "text", "allowed"), WRONG_VALUES)
    def test_a_wrong_value_is_told_with_name_source_value_and_what_is_allowed(
        self, tmp_path: Path, name: str, text: str, allowed: str
    ) -> None:
        error = refusal(tmp_path, {name: text})
        assert [violation.field for violation in error.violations] == [name]
        shown = repr(text) if len(text) <= 64 else repr(f"{text[:64]}...")
        assert error.violations[0].detail.startswith(f"(environment) found {shown}; allowed: ")
        assert allowed in error.violations[0].detail

    @pytest.mark.parametrize("name", ["CRPBOT__HTTP__HOST", "CRPBOT__GRPC__HOST"])
    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", "::1", "127.0.0.1:80", "127.1"])
    def test_an_address_that_others_could_reach_is_refused(self, tmp_path: Path, name: str, host: str) -> None:
        assert "strangers could come in" in refusal(tmp_path, {name: host}).detail

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "localhost"])
    def test_a_loopback_address_is_accepted(self, tmp_path: Path, host: str) -> None:
        assert load(tmp_path, {"CRPBOT__HTTP__HOST": host}).settings.http.host == host

    def test_live_on_the_synthetic_market_is_refused(self, tmp_path: Path) -> None:
        error = refusal(tmp_path, {"RUNTIME_MODE": "live"})
        assert (
            "RUNTIME_MODE (environment) and DATA_PROVIDER (default): live cannot run on the synthetic" in error.detail
        )
        assert load(tmp_path, {"RUNTIME_MODE": "live", "DATA_PROVIDER": "replay"}).settings.runtime.mode == "live"

    @pytest.mark.parametrize(
        ("name", "port", "other"),
        [
            ("CRPBOT__GRPC__PORT", "8000", "CRPBOT__HTTP__PORT"),
            ("CRPBOT__HTTP__PORT", "8265", "CRPBOT__HTTP__PORT"),
            ("CRPBOT__GRPC__PORT", "8265", "CRPBOT__GRPC__PORT"),
        ],
    )
    def test_two_services_on_one_port_are_refused(self, tmp_path: Path, name: str, port: str, other: str) -> None:
        error = refusal(tmp_path, {name: port})
        assert f"both are port {port}" in error.detail
        assert other in error.detail

    def test_all_mistakes_are_told_at_once(self, tmp_path: Path) -> None:
        write(tmp_path / ".env", "LOG_LEVEL=loud\nCRPBOT__NO__SUCH=1\nbroken\n")
        environment = {"KILL_SWITCH": "maybe", "RUNTIME_MODE": "live", "TELEGRAM_TOKEN_FILE": "nowhere"}
        error = refusal(tmp_path, environment, CRPBOT__HTTP__PORT="none")
        fields = {violation.field for violation in error.violations}
        assert fields == {
            ".env",
            "LOG_LEVEL",
            "CRPBOT__NO__SUCH",
            "KILL_SWITCH",
            "RUNTIME_MODE",
            "TELEGRAM_TOKEN",
            "CRPBOT__HTTP__PORT",
        }
        assert error.detail.startswith("7 settings cannot be used:\n- ")
        assert "(.env) found 'loud'" in error.detail
        assert "(command line) found 'none'" in error.detail

    def test_a_mistake_does_not_bring_a_second_one_with_it(self, tmp_path: Path) -> None:
        error = refusal(tmp_path, {"RUNTIME_MODE": "live", "DATA_PROVIDER": "replays"})
        assert [violation.field for violation in error.violations] == ["DATA_PROVIDER"]

    def test_credentials_in_a_wrong_url_are_not_shown(self, tmp_path: Path) -> None:
        error = refusal(tmp_path, {"LLM_BASE_URL": f"https://user:{SECRET}@models.example"})
        assert "found 'https://***@models.example'" in error.detail

    @pytest.mark.parametrize(
        ("text", "shape"),
        [("12345", "a number"), ("rubbish", "a text of 7 letters"), ("a b", "a text of 3 characters")],
    )
    def test_of_a_wrong_secret_only_the_shape_is_told(self, tmp_path: Path, text: str, shape: str) -> None:
        detail = refusal(tmp_path, {"DB_URL": text}).violations[0].detail
        assert detail.startswith(f"(environment) found {shape}; allowed: sqlite:///PATH or postgresql://")


class TestDatabase:
    def test_no_url_may_be_said_in_so_many_words(self) -> None:
        assert Settings.model_validate({"database": {"url": None}}) == Settings()

    def test_without_a_url_the_ledger_lies_in_the_state_folder(self, tmp_path: Path) -> None:
        assert load(tmp_path).settings.database_url.get_secret_value() == "sqlite+aiosqlite:///.crpbot/crpbot.db"
        settings = load(tmp_path, {"CRPBOT__RUNTIME__STATE_FOLDER": "/var/lib/crpbot"}).settings
        assert settings.database_url.get_secret_value() == "sqlite+aiosqlite:////var/lib/crpbot/crpbot.db"

    @pytest.mark.parametrize(
        ("url", "kept"),
        [
            ("sqlite:///ledger.db", "sqlite+aiosqlite:///ledger.db"),
            ("sqlite+aiosqlite:////srv/ledger.db", "sqlite+aiosqlite:////srv/ledger.db"),
            ("postgresql://u:p@db.example:5432/crpbot", "postgresql+psycopg://u:p@db.example:5432/crpbot"),
            ("postgresql+psycopg://u@/crpbot?host=/run/pg", "postgresql+psycopg://u@/crpbot?host=/run/pg"),
            ("postgresql://[::1]:5432/crpbot", "postgresql+psycopg://[::1]:5432/crpbot"),
        ],
    )
    def test_a_url_gets_the_driver_of_the_ledger(self, tmp_path: Path, url: str, kept: str) -> None:
        assert load(tmp_path, {"DB_URL": url}).settings.database_url.get_secret_value() == kept

    @pytest.mark.parametrize(
        "url",
        [
            "mysql://u:p@h/d",
            "postgres://u:p@h/d",
            "postgresql+asyncpg://u:p@h/d",
            "postgresql://u:p@h",
            "postgresql://u:p/w@h/d",
            "postgresql://u:p@w@h/d",
            "sqlite://",
            "sqlite:///",
            "sqlite:///:memory:",
            "sqlite:///a.db?mode=memory",
            "ledger.db",
        ],
    )
    def test_any_other_url_is_refused(self, tmp_path: Path, url: str) -> None:
        error = refusal(tmp_path, {"DB_URL": url})
        assert [violation.field for violation in error.violations] == ["DB_URL"]
        assert error.violations[0].detail.startswith(f"(environment) found a text of {len(url)} characters; allowed: ")

    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("postgresql://u:p%40ss@h:5432/d?password=x", "postgresql+psycopg://u:***@h:5432/d?***"),
            ("postgresql://u@h/d", "postgresql+psycopg://u@h/d"),
            ("postgresql://h/d", "postgresql+psycopg://h/d"),
            ("sqlite:///a.db", "sqlite+aiosqlite:///a.db"),
        ],
    )
    def test_the_password_in_a_url_is_masked(self, tmp_path: Path, url: str, shown: str) -> None:
        loaded = load(tmp_path, {"DB_URL": url})
        assert {row.value for row in describe(loaded) if row.name == "DB_URL"} == {shown}
        assert masked(loaded.settings)["database"]["url"] == loaded.settings.safe_database_url == shown


class TestSecrecy:
    # A marker no rendering contains by itself, so that finding it means a leak.
    secrets = st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S")), min_size=6, max_size=60).map(
        "§{}".format
    )

    @given(secret=secrets)
    @hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    def test_no_secret_appears_in_any_rendering(self, tmp_path: Path, secret: str) -> None:
        environment = dict.fromkeys(SECRET_NAMES, secret)
        assert secret not in renderings(load(tmp_path, environment))

    @given(secret=secrets, name=st.sampled_from(SECRET_NAMES))
    @hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    def test_no_secret_appears_in_an_error(self, tmp_path: Path, secret: str, name: str) -> None:
        error = refusal(tmp_path, {name: secret, f"{name}_FILE": secret, "DB_URL": secret, "LOG_LEVEL": "loud"})
        told = "\n".join([str(error), repr(error), repr(error.violations)])
        assert secret not in told
        assert error.__cause__ is None
        assert error.__context__ is None

    @given(password=st.text("abcXYZ012%-._~!$&'()*+,;=:", min_size=1, max_size=40).map("Qq{}".format))
    @hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    def test_no_database_password_appears_in_any_rendering(self, tmp_path: Path, password: str) -> None:
        loaded = load(tmp_path, {"DB_URL": f"postgresql://crpbot:{password}@db.example/crpbot?sslpassword={password}"})
        assert password in loaded.settings.database_url.get_secret_value()
        assert password not in renderings(loaded)

    @pytest.mark.parametrize(("secret", "shown"), [("elevenchars", "set"), ("twelve-chars", "****hars")])
    def test_only_a_long_secret_shows_its_last_four_characters(self, tmp_path: Path, secret: str, shown: str) -> None:
        loaded = load(tmp_path, {"DEEPSEEK_API_KEY": secret})
        assert {row.value for row in describe(loaded) if row.name == "DEEPSEEK_API_KEY"} == {shown}
        assert masked(loaded.settings)["llm"]["api_key"] == shown

    def test_a_value_refused_by_a_section_is_not_repeated(self) -> None:
        with pytest.raises(ValidationError) as caught:
            Settings.model_validate({"database": {"url": SECRET}, "llm": {"api_key": [SECRET]}})
        assert SECRET not in str(caught.value)


class TestViews:
    def test_every_setting_has_a_row_with_value_origin_and_meaning(self, tmp_path: Path) -> None:
        write(tmp_path / ".env", "CRPBOT__HTTP__PORT=8100\n")
        rows = {row.name: row for row in describe(load(tmp_path, {"KILL_SWITCH": "yes"}))}
        assert list(rows) == [each.name for each in catalogue()]
        port, kill = rows["CRPBOT__HTTP__PORT"], rows["KILL_SWITCH"]
        assert (port.place, port.value, port.origin) == ("http.port", "8100", ".env")
        assert (kill.place, kill.value, kill.origin) == ("runtime.kill_switch", "true", "environment")
        assert rows["ENSEMBLE_WEIGHTS"].value == "0.35,0.4,0.25"
        assert rows["DEEPSEEK_API_KEY"].value == "not set"
        assert rows["DB_URL"].value == "sqlite+aiosqlite:///.crpbot/crpbot.db"
        assert all(row.meaning.endswith((".", "...")) for row in rows.values())

    def test_the_masked_settings_go_through_json_unchanged(self) -> None:
        plain = masked(Settings())
        assert json.loads(json.dumps(plain)) == plain
        assert plain["llm"]["daily_budget_usd"] == "5"
        assert plain["runtime"]["state_folder"] == ".crpbot"

    def test_the_fingerprint_changes_with_any_setting_and_with_nothing_else(self, tmp_path: Path) -> None:
        first = fingerprint(load(tmp_path).settings)
        assert re.fullmatch(r"[0-9a-f]{64}", first)
        assert fingerprint(load(tmp_path, {"LOG_LEVEL": "info"}).settings) == first
        changed = {fingerprint(load(tmp_path, {name: text[0]}).settings) for name, text in ORIGINAL_NAMES.items()}
        # RUNTIME_MODE stands at its default in the table; an old spelling gives the same as its new one.
        assert len(changed - {first}) == len(ORIGINAL_NAMES) - 3

    def test_the_env_example_follows_from_the_declarations(self) -> None:
        assert (ROOT / ".env.example").read_text(encoding="utf-8") == render_env_example()

    def test_the_settings_page_follows_from_the_declarations(self) -> None:
        assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == render_settings_page()

    def test_the_env_example_changes_nothing_as_it_is_nor_with_every_line_in_force(self, tmp_path: Path) -> None:
        write(tmp_path / ".env", render_env_example())
        assert set(load(tmp_path).origins.values()) == {"default"}
        write(tmp_path / ".env", re.sub(r"^#(?=[A-Z])", "", render_env_example(), flags=re.MULTILINE))
        loaded = load(tmp_path)
        assert loaded.settings == Settings()
        assert loaded.warnings == ()
        expected = {each.name for each in catalogue() if each.default is not None}
        assert {name for name, origin in loaded.origins.items() if origin == ".env"} == expected

    def test_no_text_breaks_the_table_of_the_page(self) -> None:
        widths = {line.count("|") for line in render_settings_page().splitlines() if line.startswith("| `")}
        assert widths == {5}


class TestFrozen:
    def test_settings_sections_and_origins_cannot_be_changed(self, tmp_path: Path) -> None:
        loaded = load(tmp_path)
        with pytest.raises(ValidationError, match="frozen"):
            loaded.settings.http.port = 1  # type: ignore[misc]
        with pytest.raises(ValidationError, match="frozen"):
            loaded.settings.http = loaded.settings.http  # type: ignore[misc]
        with pytest.raises(TypeError):
            loaded.origins["LOG_LEVEL"] = "nowhere"  # type: ignore[index]
        assert hash(loaded.settings) == hash(Settings())

    def test_a_section_takes_no_unknown_key(self) -> None:
        with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
            Settings.model_validate({"http": {"prot": 1}})

    def test_settings_can_be_sent_to_another_process(self) -> None:
        assert pickle.loads(pickle.dumps(Settings())) == Settings()
