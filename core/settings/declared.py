"""What can be set: every setting declared once, with its type, default, bounds, name and meaning.

`.env.example`, `docs/settings.md` and the reading of the environment all follow from these declarations. A setting is
called `CRPBOT__SECTION__KEY` after its place here, unless it has a name of its own (`Named`).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from core.asked_windows import MAX_WINDOW, MIN_WINDOW
from core.models.weighting import USUAL
from core.settings.values import (
    Allowed,
    ArtifactUrl,
    DatabaseUrl,
    Dollars,
    EnsembleWeights,
    Interval,
    JsonObject,
    LogLevel,
    LoopbackHost,
    Named,
    Port,
    Secret,
    ServerUrl,
    mask_database_url,
)


class Section(BaseModel):
    """Settings that belong together. Frozen; never repeats an input in an error, because it may be a secret."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)


class Runtime(Section):
    """How the server runs."""

    profile: Literal["v7", "v6", "v7-plan"] = Field(
        "v7",
        description="Set of defaults: v7 lets the theories decide, v6 the models; v7-plan is v7 in small amounts.",
    )
    mode: Annotated[Literal["dryrun", "live"], Named("RUNTIME_MODE")] = Field(
        "dryrun",
        description="dryrun stores signals and trades them on paper; live marks them as meant. Neither sends any yet.",
    )
    kill_switch: Annotated[bool, Named("KILL_SWITCH")] = Field(
        False, description="Stops all new signals and trades from the start; the switch in the database cannot lift it."
    )
    log_level: Annotated[LogLevel, Named("LOG_LEVEL")] = Field("INFO", description="Least serious line that is logged.")
    state_folder: Path = Field(
        Path(".crpbot"), description="Folder for database, logs and tokens; relative to where the server is started."
    )


class Http(Section):
    """The REST face."""

    host: LoopbackHost = Field("127.0.0.1", description="Address on which REST listens.")
    port: Port = Field(8000, description="Port on which REST listens.")


class Grpc(Section):
    """The gRPC face."""

    host: LoopbackHost = Field("127.0.0.1", description="Address on which gRPC listens.")
    port: Port = Field(9000, description="Port on which gRPC listens.")


class Ray(Section):
    """The local Ray cluster that runs the mathematics."""

    dashboard_port: Port = Field(8265, description="Port of the Ray dashboard, on 127.0.0.1.")
    cpus: int = Field(0, ge=0, le=1_024, description="Cores that Ray may use; 0 means all that are found.")
    object_store_mb: int = Field(
        100, ge=80, le=100_000, description="Shared memory of Ray in megabytes; Ray refuses to start below 79."
    )


class Serving(Section):
    """How the theories are computed."""

    mode: Literal["ray", "inprocess"] = Field(
        "ray", description="ray computes in replicas on Ray Serve; inprocess in the server itself, without Ray."
    )
    groups_file: Path | None = Field(
        None, description="YAML file that says which theories share a replica; unset means the one that is shipped."
    )
    fit_at_start: bool = Field(
        True, description="Fit the theories that learn at a start on the synthetic market, where not done yet."
    )
    schedule: bool = Field(True, description="Ask for signals of all symbols, whenever a candle closes.")
    schedule_seconds: int | None = Field(
        None, ge=10, le=86_400, description="Seconds between two scans; unset means every candle, at most every 300."
    )
    analysis_deadline_seconds: float = Field(
        10.0, ge=0.1, le=30.0, description="Longest time for an analysis; below 10 a lost replica can cost an answer."
    )


class Market(Section):
    """Where candles come from."""

    provider: Annotated[
        Literal["synthetic", "replay", "coinbase"],
        Allowed("synthetic, replay or coinbase"),
        Named("DATA_PROVIDER"),
    ] = Field(
        "synthetic",
        description="synthetic invents a market from a seed; replay plays recorded candles; coinbase reads the live "
        "market, without a key.",
    )
    synthetic_seed: int = Field(7, ge=0, le=2**32 - 1, description="Seed of the synthetic market.")
    synthetic_edge: bool = Field(
        True, description="The synthetic market can be foreseen a little, as in training; models of it speak only then."
    )
    replay_folder: Path = Field(Path("data/raw"), description="Folder of the recorded candles (Parquet) for replay.")
    interval: Interval = Field("5m", description="Length of a candle where a request does not say.")
    window: int = Field(
        500, ge=MIN_WINDOW, le=MAX_WINDOW, description="Candles that an analysis reads where a request does not say."
    )


class Models(Section):
    """The trained models."""

    url: Annotated[ArtifactUrl, Named("ARTIFACT_URL", old=("CRPBOT__MODELS__FOLDER",))] = Field(
        "data/models",
        description="Where the models are: a folder, relative to where the server is started, or a part of a bucket, "
        "which AWS knows us for as it knows its own command line (no key is set here).",
    )


class Database(Section):
    """The ledger."""

    url: Annotated[DatabaseUrl, Named("DB_URL")] = Field(
        None, description="Database of the ledger; unset means crpbot.db (SQLite) in the state folder."
    )
    retention_days: int = Field(
        90, ge=1, le=3_650, description="Days for which prompts, replies and candles of decisions are kept."
    )


HOURLY_SIGNALS: Final = {"conservative": 3, "aggressive": 20}


class Decision(Section):
    """When readings become a signal."""

    strategy: Literal["v7", "v6", "vote"] = Field(
        "v7", description="Who decides what is published: v7 the theories, v6 the models' ensemble, vote both."
    )
    compare_strategies: bool = Field(
        True,
        description="Where a model is promoted, decide by the other strategies on the same candle too; they go to the "
        "shadow book.",
    )
    mode: Literal["conservative", "aggressive"] = Field(
        "conservative", description="conservative waits for agreement; aggressive takes a lean, from 0.55 on."
    )
    skip_unanimous_hold: bool = Field(
        True, description="Do not pay the language model where no theory leans either way."
    )
    compare_variants: bool = Field(
        False, description="Decide by both variants on the same candle; the one not drawn goes to the shadow book."
    )
    confidence_threshold: Annotated[float, Named("CONFIDENCE_THRESHOLD")] = Field(
        0.65, ge=0.55, le=1.0, description="Confidence from which a signal is given; below 0.55 it would have no tier."
    )
    max_signals_per_hour: Annotated[int | None, Named("MAX_SIGNALS_PER_HOUR")] = Field(
        None, ge=1, le=60, description="Signals in any 60 minutes; unset means 3, or 20 where the mode is aggressive."
    )
    max_signals_per_hour_high: Annotated[int | None, Named("MAX_SIGNALS_PER_HOUR_HIGH")] = Field(
        None, ge=1, le=60, description="High-confidence signals in any 60 minutes; unset means no limit of their own."
    )
    ensemble_weights: Annotated[EnsembleWeights, Named("ENSEMBLE_WEIGHTS")] = Field(
        USUAL, description="Weights of LSTM, Transformer and PPO in the ensemble."
    )

    @property
    def signals_per_hour(self) -> int:
        """The limit that holds. It belongs to the account: a request that asks for the other mode does not widen it."""
        return self.max_signals_per_hour or HOURLY_SIGNALS[self.mode]


class Risk(Section):
    """What the house risks, beside the firm's rules."""

    account: str = Field(
        "paper", min_length=1, max_length=64, description="Account that is meant where a request names none."
    )
    risk_percent: Decimal = Field(
        Decimal(1), ge=Decimal("0.01"), le=2, description="Percent of the initial capital that one trade risks."
    )
    max_open_risk_percent: Decimal | None = Field(
        None, ge=Decimal("0.01"), le=10, description="The same for all open trades together; unset: no limit."
    )
    slippage_fraction: Decimal = Field(
        Decimal("0.0005"), ge=0, le=Decimal("0.1"), description="How much worse than its stop a trade may fill."
    )


class Llm(Section):
    """The language model and what it may cost."""

    api_key: Annotated[Secret, Named("DEEPSEEK_API_KEY")] = Field(
        None, description="Key of the language model's server; unset means that the deterministic rule decides."
    )
    base_url: Annotated[ServerUrl, Named("LLM_BASE_URL")] = Field(
        "https://api.deepseek.com", description="Any server that speaks OpenAI's chat completions."
    )
    model: Annotated[str, Named("LLM_MODEL")] = Field(
        "deepseek-flash", min_length=1, max_length=128, description="Name of the model on that server."
    )
    extra_body: Annotated[JsonObject, Named("LLM_EXTRA_BODY")] = Field(
        '{"thinking":{"type":"disabled"}}', description="Fields added to each request; another server may need {}."
    )
    supports_json_mode: Annotated[bool, Named("LLM_SUPPORTS_JSON_MODE")] = Field(
        True, description="Ask for JSON with response_format; false for a server that refuses this field."
    )
    max_tokens: int = Field(600, ge=100, le=8_000, description="Longest reply in tokens; each call reserves its price.")
    deadline_seconds: float = Field(
        20.0,
        ge=1.0,
        le=25.0,
        description="Longest time for a reply over all attempts; a call for a signal ends after 30.",
    )
    on_outage: Annotated[Literal["hold", "rules"], Named("LLM_ON_OUTAGE")] = Field(
        "hold", description="What decides while a failing server is left alone: hold gives HOLD, rules asks the rule."
    )
    prices_file: Path | None = Field(
        None, description="TOML file with what models cost; unset means the one that is shipped, core/llm/prices.toml."
    )
    price_free: Annotated[bool, Named("LLM_PRICE_FREE")] = Field(
        False, description="The server costs nothing (a machine of your own): no price is needed, no budget is used."
    )
    daily_budget_usd: Dollars = Field(Decimal(5), description="Most that the model may cost in a day (UTC).")
    monthly_budget_usd: Dollars = Field(Decimal(150), description="Most that the model may cost in a month (UTC).")


class Coinbase(Section):
    """Coinbase Advanced Trade. Candles need no key; one is used where it is set."""

    api_key_name: Annotated[Secret, Named("COINBASE_API_KEY_NAME", old=("COINBASE_API_KEY",))] = Field(
        None, description="Name of the API key: organizations/.../apiKeys/..."
    )
    api_private_key: Annotated[Secret, Named("COINBASE_API_PRIVATE_KEY", old=("COINBASE_PRIVATE_KEY",))] = Field(
        None,
        description="Private key: PEM (ECDSA) or base64 (Ed25519); in double quotes \\n stands for a line break.",
    )
    base_url: ServerUrl = Field("https://api.coinbase.com", description="Base URL of Advanced Trade.")
    requests_per_second: int = Field(5, ge=1, le=30, description="Requests to Coinbase in any second.")
    candles_per_request: int = Field(
        300, ge=1, le=350, description="Candles asked for at once; Coinbase never refused 300."
    )


class Coingecko(Section):
    """CoinGecko and the Fear & Greed index, for the market as a whole."""

    enabled: bool = Field(True, description="Fetch facts of the whole market, where the candles are live ones.")
    api_key: Annotated[Secret, Named("COINGECKO_API_KEY")] = Field(
        None, description="Key; it works without one too, at a lower rate that all users of an address share."
    )
    base_url: ServerUrl = Field(
        "https://api.coingecko.com/api/v3",
        description="CoinGecko's API; a paid plan's key needs https://pro-api.coingecko.com/api/v3.",
    )
    fear_greed_url: ServerUrl = Field("https://api.alternative.me", description="Server of the Fear & Greed index.")
    monthly_credits: int = Field(
        10_000, ge=2_000, le=10_000_000, description="Most requests to CoinGecko in 31 days; the free key has 10000."
    )


class Telegram(Section):
    """The Telegram bot. Not used yet: there are no alerts."""

    token: Annotated[Secret, Named("TELEGRAM_TOKEN")] = Field(None, description="Token of the bot.")
    chat_id: Annotated[int | None, Allowed("a whole number; a group's is negative"), Named("TELEGRAM_CHAT_ID")] = Field(
        None, ge=-(2**52), le=2**52, description="The chat that receives signals and may send commands."
    )


class Ftmo(Section):
    """The account at the prop firm. Not used yet: accounts are reported by hand (`crpbot account report`)."""

    login: Annotated[Secret, Named("FTMO_LOGIN")] = Field(None, description="Number of the account.")
    password: Annotated[Secret, Named("FTMO_PASS")] = Field(None, description="Password of the account.")
    server: Annotated[str | None, Named("FTMO_SERVER")] = Field(
        None, min_length=1, max_length=128, description="Trading server of the account, as the terminal names it."
    )


class Settings(Section):
    """All settings, typed and frozen. Read once, in the composition root."""

    runtime: Runtime = Runtime()
    http: Http = Http()
    grpc: Grpc = Grpc()
    ray: Ray = Ray()
    serving: Serving = Serving()
    market: Market = Market()
    models: Models = Models()
    database: Database = Database()
    decision: Decision = Decision()
    risk: Risk = Risk()
    llm: Llm = Llm()
    coinbase: Coinbase = Coinbase()
    coingecko: Coingecko = Coingecko()
    telegram: Telegram = Telegram()
    ftmo: Ftmo = Ftmo()

    @property
    def database_url(self) -> SecretStr:
        """Where the ledger is, with the driver in it: `DB_URL`, else SQLite in the state folder."""
        default = SecretStr(f"sqlite+aiosqlite:///{self.runtime.state_folder.as_posix()}/crpbot.db")
        return self.database.url or default

    @property
    def safe_database_url(self) -> str:
        """The same for people and logs: without password and parameters."""
        return mask_database_url(self.database_url)


# What a profile sets instead of the defaults. v7 is the defaults themselves.
PROFILES: Final[Mapping[str, Mapping[str, str]]] = {
    "v7": {},
    "v6": {
        "CRPBOT__DECISION__STRATEGY": "v6",
        "CONFIDENCE_THRESHOLD": "0.75",
        "MAX_SIGNALS_PER_HOUR": "10",
        "MAX_SIGNALS_PER_HOUR_HIGH": "5",
    },
    "v7-plan": {
        "MAX_SIGNALS_PER_HOUR": "6",
        "CRPBOT__LLM__DAILY_BUDGET_USD": "3",
        "CRPBOT__LLM__MONTHLY_BUDGET_USD": "100",
    },
}
