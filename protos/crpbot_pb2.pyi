import datetime

from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AccountKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACCOUNT_KIND_UNSPECIFIED: _ClassVar[AccountKind]
    ACCOUNT_KIND_PAPER: _ClassVar[AccountKind]
    ACCOUNT_KIND_REPORTED: _ClassVar[AccountKind]

class Standing(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STANDING_UNSPECIFIED: _ClassVar[Standing]
    STANDING_OK: _ClassVar[Standing]
    STANDING_WARN: _ClassVar[Standing]
    STANDING_EARLY_STOP: _ClassVar[Standing]
    STANDING_BREACHED: _ClassVar[Standing]

class TradeState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRADE_STATE_UNSPECIFIED: _ClassVar[TradeState]
    TRADE_STATE_PENDING: _ClassVar[TradeState]
    TRADE_STATE_OPEN: _ClassVar[TradeState]
    TRADE_STATE_CLOSED: _ClassVar[TradeState]

class KillLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KILL_LEVEL_UNSPECIFIED: _ClassVar[KillLevel]
    KILL_LEVEL_OFF: _ClassVar[KillLevel]
    KILL_LEVEL_PAUSE: _ClassVar[KillLevel]
    KILL_LEVEL_HALT: _ClassVar[KillLevel]

class Direction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DIRECTION_UNSPECIFIED: _ClassVar[Direction]
    DIRECTION_BUY: _ClassVar[Direction]
    DIRECTION_SELL: _ClassVar[Direction]
    DIRECTION_HOLD: _ClassVar[Direction]

class LatchKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LATCH_KIND_UNSPECIFIED: _ClassVar[LatchKind]
    LATCH_KIND_DAILY_STOP: _ClassVar[LatchKind]
    LATCH_KIND_TOTAL_STOP: _ClassVar[LatchKind]
    LATCH_KIND_BREACH: _ClassVar[LatchKind]

class Book(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BOOK_UNSPECIFIED: _ClassVar[Book]
    BOOK_PRIMARY: _ClassVar[Book]
    BOOK_SHADOW: _ClassVar[Book]

class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODE_UNSPECIFIED: _ClassVar[Mode]
    MODE_CONSERVATIVE: _ClassVar[Mode]
    MODE_AGGRESSIVE: _ClassVar[Mode]

class Strategy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STRATEGY_UNSPECIFIED: _ClassVar[Strategy]
    STRATEGY_V7: _ClassVar[Strategy]
    STRATEGY_V6: _ClassVar[Strategy]
    STRATEGY_VOTE: _ClassVar[Strategy]

class Variant(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VARIANT_UNSPECIFIED: _ClassVar[Variant]
    VARIANT_V7_DEEPSEEK_ONLY: _ClassVar[Variant]
    VARIANT_V7_FULL_MATH: _ClassVar[Variant]

class RuntimeMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RUNTIME_MODE_UNSPECIFIED: _ClassVar[RuntimeMode]
    RUNTIME_MODE_DRYRUN: _ClassVar[RuntimeMode]
    RUNTIME_MODE_LIVE: _ClassVar[RuntimeMode]

class Tier(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TIER_UNSPECIFIED: _ClassVar[Tier]
    TIER_HIGH: _ClassVar[Tier]
    TIER_MEDIUM: _ClassVar[Tier]
    TIER_LOW: _ClassVar[Tier]

class Synthesis(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SYNTHESIS_UNSPECIFIED: _ClassVar[Synthesis]
    SYNTHESIS_LLM: _ClassVar[Synthesis]
    SYNTHESIS_RULES: _ClassVar[Synthesis]
    SYNTHESIS_NONE: _ClassVar[Synthesis]

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_WIN: _ClassVar[Outcome]
    OUTCOME_LOSS: _ClassVar[Outcome]
    OUTCOME_BREAKEVEN: _ClassVar[Outcome]
    OUTCOME_EXPIRED: _ClassVar[Outcome]
    OUTCOME_CANCELLED: _ClassVar[Outcome]

class Grouping(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GROUPING_UNSPECIFIED: _ClassVar[Grouping]
    GROUPING_SYMBOL: _ClassVar[Grouping]
    GROUPING_VARIANT: _ClassVar[Grouping]
    GROUPING_TIER: _ClassVar[Grouping]
    GROUPING_STRATEGY: _ClassVar[Grouping]
    GROUPING_DIRECTION: _ClassVar[Grouping]
    GROUPING_PERIOD: _ClassVar[Grouping]

class Method(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    METHOD_UNSPECIFIED: _ClassVar[Method]
    METHOD_EXACT: _ClassVar[Method]
    METHOD_BOOTSTRAP: _ClassVar[Method]
    METHOD_RANGE: _ClassVar[Method]

class Answer(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ANSWER_UNSPECIFIED: _ClassVar[Answer]
    ANSWER_YES: _ClassVar[Answer]
    ANSWER_NO: _ClassVar[Answer]
    ANSWER_UNDECIDED: _ClassVar[Answer]

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_DRIVES: _ClassVar[Role]
    ROLE_COSTS: _ClassVar[Role]
    ROLE_ONLY_TIME: _ClassVar[Role]
    ROLE_UNDECIDED: _ClassVar[Role]

class Advice(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ADVICE_UNSPECIFIED: _ClassVar[Advice]
    ADVICE_TOO_FEW: _ClassVar[Advice]
    ADVICE_IMPROVE: _ClassVar[Advice]
    ADVICE_ONE_MORE_WEEK: _ClassVar[Advice]
    ADVICE_KEEP: _ClassVar[Advice]

class Reached(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REACHED_UNSPECIFIED: _ClassVar[Reached]
    REACHED_MET: _ClassVar[Reached]
    REACHED_MISSED: _ClassVar[Reached]
    REACHED_LOOKS_MET: _ClassVar[Reached]
    REACHED_LOOKS_MISSED: _ClassVar[Reached]
    REACHED_UNKNOWN: _ClassVar[Reached]

class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KIND_UNSPECIFIED: _ClassVar[Kind]
    KIND_LSTM: _ClassVar[Kind]
    KIND_TRANSFORMER: _ClassVar[Kind]
    KIND_PPO: _ClassVar[Kind]

class ModelState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODEL_STATE_UNSPECIFIED: _ClassVar[ModelState]
    MODEL_STATE_PROMOTED: _ClassVar[ModelState]
    MODEL_STATE_CANDIDATE: _ClassVar[ModelState]
    MODEL_STATE_KEPT: _ClassVar[ModelState]
    MODEL_STATE_DAMAGED: _ClassVar[ModelState]

class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERDICT_UNSPECIFIED: _ClassVar[Verdict]
    VERDICT_PASS: _ClassVar[Verdict]
    VERDICT_FAIL: _ClassVar[Verdict]
    VERDICT_INSUFFICIENT: _ClassVar[Verdict]

class Action(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACTION_UNSPECIFIED: _ClassVar[Action]
    ACTION_PROMOTE: _ClassVar[Action]
    ACTION_RESTORE: _ClassVar[Action]
    ACTION_DEMOTE: _ClassVar[Action]
ACCOUNT_KIND_UNSPECIFIED: AccountKind
ACCOUNT_KIND_PAPER: AccountKind
ACCOUNT_KIND_REPORTED: AccountKind
STANDING_UNSPECIFIED: Standing
STANDING_OK: Standing
STANDING_WARN: Standing
STANDING_EARLY_STOP: Standing
STANDING_BREACHED: Standing
TRADE_STATE_UNSPECIFIED: TradeState
TRADE_STATE_PENDING: TradeState
TRADE_STATE_OPEN: TradeState
TRADE_STATE_CLOSED: TradeState
KILL_LEVEL_UNSPECIFIED: KillLevel
KILL_LEVEL_OFF: KillLevel
KILL_LEVEL_PAUSE: KillLevel
KILL_LEVEL_HALT: KillLevel
DIRECTION_UNSPECIFIED: Direction
DIRECTION_BUY: Direction
DIRECTION_SELL: Direction
DIRECTION_HOLD: Direction
LATCH_KIND_UNSPECIFIED: LatchKind
LATCH_KIND_DAILY_STOP: LatchKind
LATCH_KIND_TOTAL_STOP: LatchKind
LATCH_KIND_BREACH: LatchKind
BOOK_UNSPECIFIED: Book
BOOK_PRIMARY: Book
BOOK_SHADOW: Book
MODE_UNSPECIFIED: Mode
MODE_CONSERVATIVE: Mode
MODE_AGGRESSIVE: Mode
STRATEGY_UNSPECIFIED: Strategy
STRATEGY_V7: Strategy
STRATEGY_V6: Strategy
STRATEGY_VOTE: Strategy
VARIANT_UNSPECIFIED: Variant
VARIANT_V7_DEEPSEEK_ONLY: Variant
VARIANT_V7_FULL_MATH: Variant
RUNTIME_MODE_UNSPECIFIED: RuntimeMode
RUNTIME_MODE_DRYRUN: RuntimeMode
RUNTIME_MODE_LIVE: RuntimeMode
TIER_UNSPECIFIED: Tier
TIER_HIGH: Tier
TIER_MEDIUM: Tier
TIER_LOW: Tier
SYNTHESIS_UNSPECIFIED: Synthesis
SYNTHESIS_LLM: Synthesis
SYNTHESIS_RULES: Synthesis
SYNTHESIS_NONE: Synthesis
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_WIN: Outcome
OUTCOME_LOSS: Outcome
OUTCOME_BREAKEVEN: Outcome
OUTCOME_EXPIRED: Outcome
OUTCOME_CANCELLED: Outcome
GROUPING_UNSPECIFIED: Grouping
GROUPING_SYMBOL: Grouping
GROUPING_VARIANT: Grouping
GROUPING_TIER: Grouping
GROUPING_STRATEGY: Grouping
GROUPING_DIRECTION: Grouping
GROUPING_PERIOD: Grouping
METHOD_UNSPECIFIED: Method
METHOD_EXACT: Method
METHOD_BOOTSTRAP: Method
METHOD_RANGE: Method
ANSWER_UNSPECIFIED: Answer
ANSWER_YES: Answer
ANSWER_NO: Answer
ANSWER_UNDECIDED: Answer
ROLE_UNSPECIFIED: Role
ROLE_DRIVES: Role
ROLE_COSTS: Role
ROLE_ONLY_TIME: Role
ROLE_UNDECIDED: Role
ADVICE_UNSPECIFIED: Advice
ADVICE_TOO_FEW: Advice
ADVICE_IMPROVE: Advice
ADVICE_ONE_MORE_WEEK: Advice
ADVICE_KEEP: Advice
REACHED_UNSPECIFIED: Reached
REACHED_MET: Reached
REACHED_MISSED: Reached
REACHED_LOOKS_MET: Reached
REACHED_LOOKS_MISSED: Reached
REACHED_UNKNOWN: Reached
KIND_UNSPECIFIED: Kind
KIND_LSTM: Kind
KIND_TRANSFORMER: Kind
KIND_PPO: Kind
MODEL_STATE_UNSPECIFIED: ModelState
MODEL_STATE_PROMOTED: ModelState
MODEL_STATE_CANDIDATE: ModelState
MODEL_STATE_KEPT: ModelState
MODEL_STATE_DAMAGED: ModelState
VERDICT_UNSPECIFIED: Verdict
VERDICT_PASS: Verdict
VERDICT_FAIL: Verdict
VERDICT_INSUFFICIENT: Verdict
ACTION_UNSPECIFIED: Action
ACTION_PROMOTE: Action
ACTION_RESTORE: Action
ACTION_DEMOTE: Action

class AnalyzeRequest(_message.Message):
    __slots__ = ("symbol", "symbols", "candles", "ccxt", "theories", "window", "interval")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    CANDLES_FIELD_NUMBER: _ClassVar[int]
    CCXT_FIELD_NUMBER: _ClassVar[int]
    THEORIES_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    symbols: _containers.RepeatedScalarFieldContainer[str]
    candles: _containers.RepeatedCompositeFieldContainer[CandleColumns]
    ccxt: _containers.RepeatedCompositeFieldContainer[CcxtCandles]
    theories: _containers.RepeatedScalarFieldContainer[str]
    window: int
    interval: str
    def __init__(self, symbol: _Optional[str] = ..., symbols: _Optional[_Iterable[str]] = ..., candles: _Optional[_Iterable[_Union[CandleColumns, _Mapping]]] = ..., ccxt: _Optional[_Iterable[_Union[CcxtCandles, _Mapping]]] = ..., theories: _Optional[_Iterable[str]] = ..., window: _Optional[int] = ..., interval: _Optional[str] = ...) -> None: ...

class CandleColumns(_message.Message):
    __slots__ = ("symbol", "interval", "open_times_ms", "open", "high", "low", "close", "volume")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    OPEN_TIMES_MS_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    interval: str
    open_times_ms: _containers.RepeatedScalarFieldContainer[int]
    open: _containers.RepeatedScalarFieldContainer[float]
    high: _containers.RepeatedScalarFieldContainer[float]
    low: _containers.RepeatedScalarFieldContainer[float]
    close: _containers.RepeatedScalarFieldContainer[float]
    volume: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, symbol: _Optional[str] = ..., interval: _Optional[str] = ..., open_times_ms: _Optional[_Iterable[int]] = ..., open: _Optional[_Iterable[float]] = ..., high: _Optional[_Iterable[float]] = ..., low: _Optional[_Iterable[float]] = ..., close: _Optional[_Iterable[float]] = ..., volume: _Optional[_Iterable[float]] = ...) -> None: ...

class CcxtCandles(_message.Message):
    __slots__ = ("symbol", "interval", "rows")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    interval: str
    rows: _containers.RepeatedCompositeFieldContainer[_struct_pb2.ListValue]
    def __init__(self, symbol: _Optional[str] = ..., interval: _Optional[str] = ..., rows: _Optional[_Iterable[_Union[_struct_pb2.ListValue, _Mapping]]] = ...) -> None: ...

class AnalyzeResponse(_message.Message):
    __slots__ = ("analyses", "refused")
    ANALYSES_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    analyses: _containers.RepeatedCompositeFieldContainer[Analysis]
    refused: _containers.RepeatedCompositeFieldContainer[RefusedSymbol]
    def __init__(self, analyses: _Optional[_Iterable[_Union[Analysis, _Mapping]]] = ..., refused: _Optional[_Iterable[_Union[RefusedSymbol, _Mapping]]] = ...) -> None: ...

class RefusedSymbol(_message.Message):
    __slots__ = ("symbol", "reason", "detail")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    reason: str
    detail: str
    def __init__(self, symbol: _Optional[str] = ..., reason: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class Analysis(_message.Message):
    __slots__ = ("symbol", "interval", "window", "as_of", "price", "source", "synthetic", "readings", "missing", "coverage", "degradations")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SYNTHETIC_FIELD_NUMBER: _ClassVar[int]
    READINGS_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    DEGRADATIONS_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    interval: str
    window: int
    as_of: _timestamp_pb2.Timestamp
    price: str
    source: str
    synthetic: bool
    readings: _containers.RepeatedCompositeFieldContainer[Reading]
    missing: _containers.RepeatedCompositeFieldContainer[Missing]
    coverage: float
    degradations: _containers.RepeatedCompositeFieldContainer[Degradation]
    def __init__(self, symbol: _Optional[str] = ..., interval: _Optional[str] = ..., window: _Optional[int] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., price: _Optional[str] = ..., source: _Optional[str] = ..., synthetic: _Optional[bool] = ..., readings: _Optional[_Iterable[_Union[Reading, _Mapping]]] = ..., missing: _Optional[_Iterable[_Union[Missing, _Mapping]]] = ..., coverage: _Optional[float] = ..., degradations: _Optional[_Iterable[_Union[Degradation, _Mapping]]] = ...) -> None: ...

class Degradation(_message.Message):
    __slots__ = ("reason", "detail")
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    reason: str
    detail: str
    def __init__(self, reason: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class Reading(_message.Message):
    __slots__ = ("theory", "values", "vote", "words", "problem")
    class ValuesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    THEORY_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    VOTE_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    theory: str
    values: _containers.ScalarMap[str, float]
    vote: float
    words: str
    problem: str
    def __init__(self, theory: _Optional[str] = ..., values: _Optional[_Mapping[str, float]] = ..., vote: _Optional[float] = ..., words: _Optional[str] = ..., problem: _Optional[str] = ...) -> None: ...

class Missing(_message.Message):
    __slots__ = ("theory", "reason", "detail")
    THEORY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    theory: str
    reason: str
    detail: str
    def __init__(self, theory: _Optional[str] = ..., reason: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class ListTheoriesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListTheoriesResponse(_message.Message):
    __slots__ = ("theories",)
    THEORIES_FIELD_NUMBER: _ClassVar[int]
    theories: _containers.RepeatedCompositeFieldContainer[Theory]
    def __init__(self, theories: _Optional[_Iterable[_Union[Theory, _Mapping]]] = ...) -> None: ...

class Theory(_message.Message):
    __slots__ = ("name", "summary", "min_length", "fields", "variants", "fitted")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    MIN_LENGTH_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    VARIANTS_FIELD_NUMBER: _ClassVar[int]
    FITTED_FIELD_NUMBER: _ClassVar[int]
    name: str
    summary: str
    min_length: int
    fields: _containers.RepeatedCompositeFieldContainer[TheoryField]
    variants: _containers.RepeatedScalarFieldContainer[str]
    fitted: bool
    def __init__(self, name: _Optional[str] = ..., summary: _Optional[str] = ..., min_length: _Optional[int] = ..., fields: _Optional[_Iterable[_Union[TheoryField, _Mapping]]] = ..., variants: _Optional[_Iterable[str]] = ..., fitted: _Optional[bool] = ...) -> None: ...

class TheoryField(_message.Message):
    __slots__ = ("name", "meaning", "low", "high")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MEANING_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    name: str
    meaning: str
    low: float
    high: float
    def __init__(self, name: _Optional[str] = ..., meaning: _Optional[str] = ..., low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...

class GetRiskRequest(_message.Message):
    __slots__ = ("account",)
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    account: str
    def __init__(self, account: _Optional[str] = ...) -> None: ...

class RiskReport(_message.Message):
    __slots__ = ("account", "name", "kind", "pack", "at", "state", "lifts_at", "initial_capital", "balance", "equity", "floating", "fresh", "stale", "day", "day_starts_at", "day_ends_at", "headroom", "free_usd", "binding", "open_risk_usd", "open_trades", "windows", "kill_switch", "objectives", "warnings")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PACK_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    LIFTS_AT_FIELD_NUMBER: _ClassVar[int]
    INITIAL_CAPITAL_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    EQUITY_FIELD_NUMBER: _ClassVar[int]
    FLOATING_FIELD_NUMBER: _ClassVar[int]
    FRESH_FIELD_NUMBER: _ClassVar[int]
    STALE_FIELD_NUMBER: _ClassVar[int]
    DAY_FIELD_NUMBER: _ClassVar[int]
    DAY_STARTS_AT_FIELD_NUMBER: _ClassVar[int]
    DAY_ENDS_AT_FIELD_NUMBER: _ClassVar[int]
    HEADROOM_FIELD_NUMBER: _ClassVar[int]
    FREE_USD_FIELD_NUMBER: _ClassVar[int]
    BINDING_FIELD_NUMBER: _ClassVar[int]
    OPEN_RISK_USD_FIELD_NUMBER: _ClassVar[int]
    OPEN_TRADES_FIELD_NUMBER: _ClassVar[int]
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    KILL_SWITCH_FIELD_NUMBER: _ClassVar[int]
    OBJECTIVES_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    account: str
    name: str
    kind: AccountKind
    pack: str
    at: _timestamp_pb2.Timestamp
    state: Standing
    lifts_at: _timestamp_pb2.Timestamp
    initial_capital: str
    balance: str
    equity: str
    floating: str
    fresh: bool
    stale: _containers.RepeatedCompositeFieldContainer[Notice]
    day: str
    day_starts_at: _timestamp_pb2.Timestamp
    day_ends_at: _timestamp_pb2.Timestamp
    headroom: _containers.RepeatedCompositeFieldContainer[Headroom]
    free_usd: str
    binding: str
    open_risk_usd: str
    open_trades: _containers.RepeatedCompositeFieldContainer[Claim]
    windows: _containers.RepeatedCompositeFieldContainer[Window]
    kill_switch: KillSwitch
    objectives: Objectives
    warnings: _containers.RepeatedCompositeFieldContainer[Notice]
    def __init__(self, account: _Optional[str] = ..., name: _Optional[str] = ..., kind: _Optional[_Union[AccountKind, str]] = ..., pack: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., state: _Optional[_Union[Standing, str]] = ..., lifts_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., initial_capital: _Optional[str] = ..., balance: _Optional[str] = ..., equity: _Optional[str] = ..., floating: _Optional[str] = ..., fresh: _Optional[bool] = ..., stale: _Optional[_Iterable[_Union[Notice, _Mapping]]] = ..., day: _Optional[str] = ..., day_starts_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., day_ends_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., headroom: _Optional[_Iterable[_Union[Headroom, _Mapping]]] = ..., free_usd: _Optional[str] = ..., binding: _Optional[str] = ..., open_risk_usd: _Optional[str] = ..., open_trades: _Optional[_Iterable[_Union[Claim, _Mapping]]] = ..., windows: _Optional[_Iterable[_Union[Window, _Mapping]]] = ..., kill_switch: _Optional[_Union[KillSwitch, _Mapping]] = ..., objectives: _Optional[_Union[Objectives, _Mapping]] = ..., warnings: _Optional[_Iterable[_Union[Notice, _Mapping]]] = ...) -> None: ...

class Notice(_message.Message):
    __slots__ = ("rule", "detail")
    RULE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    rule: str
    detail: str
    def __init__(self, rule: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class Headroom(_message.Message):
    __slots__ = ("rule", "anchor", "limit_usd", "guard_usd", "floor", "guard_floor", "used_usd", "used_percent", "left_usd", "guard_left_usd", "free_usd", "state")
    RULE_FIELD_NUMBER: _ClassVar[int]
    ANCHOR_FIELD_NUMBER: _ClassVar[int]
    LIMIT_USD_FIELD_NUMBER: _ClassVar[int]
    GUARD_USD_FIELD_NUMBER: _ClassVar[int]
    FLOOR_FIELD_NUMBER: _ClassVar[int]
    GUARD_FLOOR_FIELD_NUMBER: _ClassVar[int]
    USED_USD_FIELD_NUMBER: _ClassVar[int]
    USED_PERCENT_FIELD_NUMBER: _ClassVar[int]
    LEFT_USD_FIELD_NUMBER: _ClassVar[int]
    GUARD_LEFT_USD_FIELD_NUMBER: _ClassVar[int]
    FREE_USD_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    rule: str
    anchor: str
    limit_usd: str
    guard_usd: str
    floor: str
    guard_floor: str
    used_usd: str
    used_percent: str
    left_usd: str
    guard_left_usd: str
    free_usd: str
    state: Standing
    def __init__(self, rule: _Optional[str] = ..., anchor: _Optional[str] = ..., limit_usd: _Optional[str] = ..., guard_usd: _Optional[str] = ..., floor: _Optional[str] = ..., guard_floor: _Optional[str] = ..., used_usd: _Optional[str] = ..., used_percent: _Optional[str] = ..., left_usd: _Optional[str] = ..., guard_left_usd: _Optional[str] = ..., free_usd: _Optional[str] = ..., state: _Optional[_Union[Standing, str]] = ...) -> None: ...

class Claim(_message.Message):
    __slots__ = ("trade", "symbol", "state", "floating_usd", "worst_usd", "notional_usd")
    TRADE_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    FLOATING_USD_FIELD_NUMBER: _ClassVar[int]
    WORST_USD_FIELD_NUMBER: _ClassVar[int]
    NOTIONAL_USD_FIELD_NUMBER: _ClassVar[int]
    trade: str
    symbol: str
    state: TradeState
    floating_usd: str
    worst_usd: str
    notional_usd: str
    def __init__(self, trade: _Optional[str] = ..., symbol: _Optional[str] = ..., state: _Optional[_Union[TradeState, str]] = ..., floating_usd: _Optional[str] = ..., worst_usd: _Optional[str] = ..., notional_usd: _Optional[str] = ...) -> None: ...

class Window(_message.Message):
    __slots__ = ("rule", "used", "limit", "free_at")
    RULE_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    FREE_AT_FIELD_NUMBER: _ClassVar[int]
    rule: str
    used: int
    limit: int
    free_at: _timestamp_pb2.Timestamp
    def __init__(self, rule: _Optional[str] = ..., used: _Optional[int] = ..., limit: _Optional[int] = ..., free_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class KillSwitch(_message.Message):
    __slots__ = ("level", "by", "reason", "at", "forced")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    FORCED_FIELD_NUMBER: _ClassVar[int]
    level: KillLevel
    by: str
    reason: str
    at: _timestamp_pb2.Timestamp
    forced: bool
    def __init__(self, level: _Optional[_Union[KillLevel, str]] = ..., by: _Optional[str] = ..., reason: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., forced: _Optional[bool] = ...) -> None: ...

class Objectives(_message.Message):
    __slots__ = ("target_balance", "gained_usd", "progress_percent", "target_reached", "trading_days", "minimum_trading_days", "best_day_percent", "best_day_limit_percent", "best_day_met", "passed")
    TARGET_BALANCE_FIELD_NUMBER: _ClassVar[int]
    GAINED_USD_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_PERCENT_FIELD_NUMBER: _ClassVar[int]
    TARGET_REACHED_FIELD_NUMBER: _ClassVar[int]
    TRADING_DAYS_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_TRADING_DAYS_FIELD_NUMBER: _ClassVar[int]
    BEST_DAY_PERCENT_FIELD_NUMBER: _ClassVar[int]
    BEST_DAY_LIMIT_PERCENT_FIELD_NUMBER: _ClassVar[int]
    BEST_DAY_MET_FIELD_NUMBER: _ClassVar[int]
    PASSED_FIELD_NUMBER: _ClassVar[int]
    target_balance: str
    gained_usd: str
    progress_percent: str
    target_reached: bool
    trading_days: int
    minimum_trading_days: int
    best_day_percent: str
    best_day_limit_percent: str
    best_day_met: bool
    passed: bool
    def __init__(self, target_balance: _Optional[str] = ..., gained_usd: _Optional[str] = ..., progress_percent: _Optional[str] = ..., target_reached: _Optional[bool] = ..., trading_days: _Optional[int] = ..., minimum_trading_days: _Optional[int] = ..., best_day_percent: _Optional[str] = ..., best_day_limit_percent: _Optional[str] = ..., best_day_met: _Optional[bool] = ..., passed: _Optional[bool] = ...) -> None: ...

class CheckTradeRequest(_message.Message):
    __slots__ = ("symbol", "direction", "stop_loss", "account", "entry", "take_profit", "risk_percent", "quantity")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    STOP_LOSS_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    TAKE_PROFIT_FIELD_NUMBER: _ClassVar[int]
    RISK_PERCENT_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    direction: Direction
    stop_loss: str
    account: str
    entry: str
    take_profit: str
    risk_percent: str
    quantity: str
    def __init__(self, symbol: _Optional[str] = ..., direction: _Optional[_Union[Direction, str]] = ..., stop_loss: _Optional[str] = ..., account: _Optional[str] = ..., entry: _Optional[str] = ..., take_profit: _Optional[str] = ..., risk_percent: _Optional[str] = ..., quantity: _Optional[str] = ...) -> None: ...

class TradeCheck(_message.Message):
    __slots__ = ("account", "at", "allowed", "vetoes", "entry", "quantity", "sizing", "state", "free_usd", "binding", "notes")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    VETOES_FIELD_NUMBER: _ClassVar[int]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    SIZING_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    FREE_USD_FIELD_NUMBER: _ClassVar[int]
    BINDING_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    account: str
    at: _timestamp_pb2.Timestamp
    allowed: bool
    vetoes: _containers.RepeatedCompositeFieldContainer[Veto]
    entry: str
    quantity: str
    sizing: Sizing
    state: Standing
    free_usd: str
    binding: str
    notes: _containers.RepeatedCompositeFieldContainer[Notice]
    def __init__(self, account: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., allowed: _Optional[bool] = ..., vetoes: _Optional[_Iterable[_Union[Veto, _Mapping]]] = ..., entry: _Optional[str] = ..., quantity: _Optional[str] = ..., sizing: _Optional[_Union[Sizing, _Mapping]] = ..., state: _Optional[_Union[Standing, str]] = ..., free_usd: _Optional[str] = ..., binding: _Optional[str] = ..., notes: _Optional[_Iterable[_Union[Notice, _Mapping]]] = ...) -> None: ...

class Veto(_message.Message):
    __slots__ = ("rule", "value", "limit", "detail", "lifts_at")
    RULE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    LIFTS_AT_FIELD_NUMBER: _ClassVar[int]
    rule: str
    value: str
    limit: str
    detail: str
    lifts_at: _timestamp_pb2.Timestamp
    def __init__(self, rule: _Optional[str] = ..., value: _Optional[str] = ..., limit: _Optional[str] = ..., detail: _Optional[str] = ..., lifts_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Sizing(_message.Message):
    __slots__ = ("quantity", "lots", "firm_symbol", "notional_usd", "risk_usd", "worst_usd", "risk_percent", "binding", "detail", "paper_only")
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    LOTS_FIELD_NUMBER: _ClassVar[int]
    FIRM_SYMBOL_FIELD_NUMBER: _ClassVar[int]
    NOTIONAL_USD_FIELD_NUMBER: _ClassVar[int]
    RISK_USD_FIELD_NUMBER: _ClassVar[int]
    WORST_USD_FIELD_NUMBER: _ClassVar[int]
    RISK_PERCENT_FIELD_NUMBER: _ClassVar[int]
    BINDING_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    PAPER_ONLY_FIELD_NUMBER: _ClassVar[int]
    quantity: str
    lots: str
    firm_symbol: str
    notional_usd: str
    risk_usd: str
    worst_usd: str
    risk_percent: str
    binding: str
    detail: str
    paper_only: bool
    def __init__(self, quantity: _Optional[str] = ..., lots: _Optional[str] = ..., firm_symbol: _Optional[str] = ..., notional_usd: _Optional[str] = ..., risk_usd: _Optional[str] = ..., worst_usd: _Optional[str] = ..., risk_percent: _Optional[str] = ..., binding: _Optional[str] = ..., detail: _Optional[str] = ..., paper_only: _Optional[bool] = ...) -> None: ...

class ListRulePacksRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListRulePacksResponse(_message.Message):
    __slots__ = ("packs", "default")
    PACKS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_FIELD_NUMBER: _ClassVar[int]
    packs: _containers.RepeatedCompositeFieldContainer[RulePack]
    default: str
    def __init__(self, packs: _Optional[_Iterable[_Union[RulePack, _Mapping]]] = ..., default: _Optional[str] = ...) -> None: ...

class RulePack(_message.Message):
    __slots__ = ("id", "name", "firm", "product", "time_zone", "daily_loss", "daily_guard", "total_loss", "total_guard", "total_loss_mode", "warn_share", "profit_target", "minimum_trading_days", "best_day_share", "commission_per_side", "leverage", "contracts", "max_open_orders", "news_minutes", "weekend_holding", "weekend_closing", "gap_trading", "gap_minutes", "inactivity_days", "first_trade_days", "limbo_from_fraction", "limbo_days", "sources")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    FIRM_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    DAILY_LOSS_FIELD_NUMBER: _ClassVar[int]
    DAILY_GUARD_FIELD_NUMBER: _ClassVar[int]
    TOTAL_LOSS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_GUARD_FIELD_NUMBER: _ClassVar[int]
    TOTAL_LOSS_MODE_FIELD_NUMBER: _ClassVar[int]
    WARN_SHARE_FIELD_NUMBER: _ClassVar[int]
    PROFIT_TARGET_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_TRADING_DAYS_FIELD_NUMBER: _ClassVar[int]
    BEST_DAY_SHARE_FIELD_NUMBER: _ClassVar[int]
    COMMISSION_PER_SIDE_FIELD_NUMBER: _ClassVar[int]
    LEVERAGE_FIELD_NUMBER: _ClassVar[int]
    CONTRACTS_FIELD_NUMBER: _ClassVar[int]
    MAX_OPEN_ORDERS_FIELD_NUMBER: _ClassVar[int]
    NEWS_MINUTES_FIELD_NUMBER: _ClassVar[int]
    WEEKEND_HOLDING_FIELD_NUMBER: _ClassVar[int]
    WEEKEND_CLOSING_FIELD_NUMBER: _ClassVar[int]
    GAP_TRADING_FIELD_NUMBER: _ClassVar[int]
    GAP_MINUTES_FIELD_NUMBER: _ClassVar[int]
    INACTIVITY_DAYS_FIELD_NUMBER: _ClassVar[int]
    FIRST_TRADE_DAYS_FIELD_NUMBER: _ClassVar[int]
    LIMBO_FROM_FRACTION_FIELD_NUMBER: _ClassVar[int]
    LIMBO_DAYS_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    firm: str
    product: str
    time_zone: str
    daily_loss: str
    daily_guard: str
    total_loss: str
    total_guard: str
    total_loss_mode: str
    warn_share: str
    profit_target: str
    minimum_trading_days: int
    best_day_share: str
    commission_per_side: str
    leverage: str
    contracts: _containers.RepeatedCompositeFieldContainer[ContractTerms]
    max_open_orders: int
    news_minutes: int
    weekend_holding: bool
    weekend_closing: str
    gap_trading: str
    gap_minutes: int
    inactivity_days: int
    first_trade_days: int
    limbo_from_fraction: str
    limbo_days: int
    sources: _containers.RepeatedCompositeFieldContainer[RuleSource]
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., firm: _Optional[str] = ..., product: _Optional[str] = ..., time_zone: _Optional[str] = ..., daily_loss: _Optional[str] = ..., daily_guard: _Optional[str] = ..., total_loss: _Optional[str] = ..., total_guard: _Optional[str] = ..., total_loss_mode: _Optional[str] = ..., warn_share: _Optional[str] = ..., profit_target: _Optional[str] = ..., minimum_trading_days: _Optional[int] = ..., best_day_share: _Optional[str] = ..., commission_per_side: _Optional[str] = ..., leverage: _Optional[str] = ..., contracts: _Optional[_Iterable[_Union[ContractTerms, _Mapping]]] = ..., max_open_orders: _Optional[int] = ..., news_minutes: _Optional[int] = ..., weekend_holding: _Optional[bool] = ..., weekend_closing: _Optional[str] = ..., gap_trading: _Optional[str] = ..., gap_minutes: _Optional[int] = ..., inactivity_days: _Optional[int] = ..., first_trade_days: _Optional[int] = ..., limbo_from_fraction: _Optional[str] = ..., limbo_days: _Optional[int] = ..., sources: _Optional[_Iterable[_Union[RuleSource, _Mapping]]] = ...) -> None: ...

class ContractTerms(_message.Message):
    __slots__ = ("symbol", "firm_symbol", "units_per_lot", "min_lots", "lot_step", "max_lots")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    FIRM_SYMBOL_FIELD_NUMBER: _ClassVar[int]
    UNITS_PER_LOT_FIELD_NUMBER: _ClassVar[int]
    MIN_LOTS_FIELD_NUMBER: _ClassVar[int]
    LOT_STEP_FIELD_NUMBER: _ClassVar[int]
    MAX_LOTS_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    firm_symbol: str
    units_per_lot: str
    min_lots: str
    lot_step: str
    max_lots: str
    def __init__(self, symbol: _Optional[str] = ..., firm_symbol: _Optional[str] = ..., units_per_lot: _Optional[str] = ..., min_lots: _Optional[str] = ..., lot_step: _Optional[str] = ..., max_lots: _Optional[str] = ...) -> None: ...

class RuleSource(_message.Message):
    __slots__ = ("rule", "label", "read_on", "where")
    RULE_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    READ_ON_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    rule: str
    label: str
    read_on: str
    where: str
    def __init__(self, rule: _Optional[str] = ..., label: _Optional[str] = ..., read_on: _Optional[str] = ..., where: _Optional[str] = ...) -> None: ...

class GetKillSwitchRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SetKillSwitchRequest(_message.Message):
    __slots__ = ("level", "by", "reason")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    level: KillLevel
    by: str
    reason: str
    def __init__(self, level: _Optional[_Union[KillLevel, str]] = ..., by: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class LiftLatchRequest(_message.Message):
    __slots__ = ("account", "kind", "reason", "by", "rule")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    account: str
    kind: LatchKind
    reason: str
    by: str
    rule: str
    def __init__(self, account: _Optional[str] = ..., kind: _Optional[_Union[LatchKind, str]] = ..., reason: _Optional[str] = ..., by: _Optional[str] = ..., rule: _Optional[str] = ...) -> None: ...

class LiftLatchResponse(_message.Message):
    __slots__ = ("account", "kind", "lifted")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    LIFTED_FIELD_NUMBER: _ClassVar[int]
    account: str
    kind: LatchKind
    lifted: int
    def __init__(self, account: _Optional[str] = ..., kind: _Optional[_Union[LatchKind, str]] = ..., lifted: _Optional[int] = ...) -> None: ...

class CreateAccountRequest(_message.Message):
    __slots__ = ("id", "kind", "initial_capital", "name", "pack", "by")
    ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    INITIAL_CAPITAL_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PACK_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    id: str
    kind: AccountKind
    initial_capital: str
    name: str
    pack: str
    by: str
    def __init__(self, id: _Optional[str] = ..., kind: _Optional[_Union[AccountKind, str]] = ..., initial_capital: _Optional[str] = ..., name: _Optional[str] = ..., pack: _Optional[str] = ..., by: _Optional[str] = ...) -> None: ...

class Account(_message.Message):
    __slots__ = ("id", "name", "kind", "book", "pack", "time_zone", "initial_capital", "created_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    BOOK_FIELD_NUMBER: _ClassVar[int]
    PACK_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    INITIAL_CAPITAL_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    kind: AccountKind
    book: Book
    pack: str
    time_zone: str
    initial_capital: str
    created_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., kind: _Optional[_Union[AccountKind, str]] = ..., book: _Optional[_Union[Book, str]] = ..., pack: _Optional[str] = ..., time_zone: _Optional[str] = ..., initial_capital: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListAccountsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListAccountsResponse(_message.Message):
    __slots__ = ("accounts", "default")
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedCompositeFieldContainer[Account]
    default: str
    def __init__(self, accounts: _Optional[_Iterable[_Union[Account, _Mapping]]] = ..., default: _Optional[str] = ...) -> None: ...

class ReportAccountRequest(_message.Message):
    __slots__ = ("account", "balance", "equity", "midnight_balance", "trading_days", "positions", "by")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    EQUITY_FIELD_NUMBER: _ClassVar[int]
    MIDNIGHT_BALANCE_FIELD_NUMBER: _ClassVar[int]
    TRADING_DAYS_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    account: str
    balance: str
    equity: str
    midnight_balance: str
    trading_days: int
    positions: _containers.RepeatedCompositeFieldContainer[ReportedPosition]
    by: str
    def __init__(self, account: _Optional[str] = ..., balance: _Optional[str] = ..., equity: _Optional[str] = ..., midnight_balance: _Optional[str] = ..., trading_days: _Optional[int] = ..., positions: _Optional[_Iterable[_Union[ReportedPosition, _Mapping]]] = ..., by: _Optional[str] = ...) -> None: ...

class ReportedPosition(_message.Message):
    __slots__ = ("symbol", "direction", "quantity", "entry", "stop_loss", "take_profit")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    STOP_LOSS_FIELD_NUMBER: _ClassVar[int]
    TAKE_PROFIT_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    direction: Direction
    quantity: str
    entry: str
    stop_loss: str
    take_profit: str
    def __init__(self, symbol: _Optional[str] = ..., direction: _Optional[_Union[Direction, str]] = ..., quantity: _Optional[str] = ..., entry: _Optional[str] = ..., stop_loss: _Optional[str] = ..., take_profit: _Optional[str] = ...) -> None: ...

class GenerateSignalsRequest(_message.Message):
    __slots__ = ("symbol", "symbols", "slot", "mode", "account", "interval")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    symbols: _containers.RepeatedScalarFieldContainer[str]
    slot: _timestamp_pb2.Timestamp
    mode: Mode
    account: str
    interval: str
    def __init__(self, symbol: _Optional[str] = ..., symbols: _Optional[_Iterable[str]] = ..., slot: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., mode: _Optional[_Union[Mode, str]] = ..., account: _Optional[str] = ..., interval: _Optional[str] = ...) -> None: ...

class GenerateSignalsResponse(_message.Message):
    __slots__ = ("signals",)
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    signals: _containers.RepeatedCompositeFieldContainer[Signal]
    def __init__(self, signals: _Optional[_Iterable[_Union[Signal, _Mapping]]] = ...) -> None: ...

class Signal(_message.Message):
    __slots__ = ("id", "account", "book", "symbol", "slot", "timestamp", "as_of", "interval", "window", "strategy", "variant", "mode", "runtime_mode", "direction", "confidence", "calibrated_confidence", "tier", "threshold", "synthesis", "synthesis_reason", "reasoning", "entry", "stop_loss", "take_profit", "stop_first", "quantity", "lots", "risk_usd", "size_limit", "vetoes", "degraded", "degradations", "ftmo_compliant", "price", "change_24h_percent", "source", "synthetic", "executed", "llm", "coverage", "votes", "timings_ms", "versions", "ensemble")
    class TimingsMsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    BOOK_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_MODE_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    CALIBRATED_CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    SYNTHESIS_FIELD_NUMBER: _ClassVar[int]
    SYNTHESIS_REASON_FIELD_NUMBER: _ClassVar[int]
    REASONING_FIELD_NUMBER: _ClassVar[int]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    STOP_LOSS_FIELD_NUMBER: _ClassVar[int]
    TAKE_PROFIT_FIELD_NUMBER: _ClassVar[int]
    STOP_FIRST_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    LOTS_FIELD_NUMBER: _ClassVar[int]
    RISK_USD_FIELD_NUMBER: _ClassVar[int]
    SIZE_LIMIT_FIELD_NUMBER: _ClassVar[int]
    VETOES_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    DEGRADATIONS_FIELD_NUMBER: _ClassVar[int]
    FTMO_COMPLIANT_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    CHANGE_24H_PERCENT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SYNTHETIC_FIELD_NUMBER: _ClassVar[int]
    EXECUTED_FIELD_NUMBER: _ClassVar[int]
    LLM_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    VOTES_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_MS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    ENSEMBLE_FIELD_NUMBER: _ClassVar[int]
    id: str
    account: str
    book: Book
    symbol: str
    slot: _timestamp_pb2.Timestamp
    timestamp: _timestamp_pb2.Timestamp
    as_of: _timestamp_pb2.Timestamp
    interval: str
    window: int
    strategy: Strategy
    variant: Variant
    mode: Mode
    runtime_mode: RuntimeMode
    direction: Direction
    confidence: float
    calibrated_confidence: float
    tier: Tier
    threshold: float
    synthesis: Synthesis
    synthesis_reason: str
    reasoning: str
    entry: str
    stop_loss: str
    take_profit: str
    stop_first: float
    quantity: str
    lots: str
    risk_usd: str
    size_limit: str
    vetoes: _containers.RepeatedCompositeFieldContainer[Veto]
    degraded: bool
    degradations: _containers.RepeatedCompositeFieldContainer[Degradation]
    ftmo_compliant: bool
    price: str
    change_24h_percent: float
    source: str
    synthetic: bool
    executed: bool
    llm: LlmUse
    coverage: float
    votes: _containers.RepeatedCompositeFieldContainer[Vote]
    timings_ms: _containers.ScalarMap[str, float]
    versions: _containers.RepeatedCompositeFieldContainer[Version]
    ensemble: Ensemble
    def __init__(self, id: _Optional[str] = ..., account: _Optional[str] = ..., book: _Optional[_Union[Book, str]] = ..., symbol: _Optional[str] = ..., slot: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., interval: _Optional[str] = ..., window: _Optional[int] = ..., strategy: _Optional[_Union[Strategy, str]] = ..., variant: _Optional[_Union[Variant, str]] = ..., mode: _Optional[_Union[Mode, str]] = ..., runtime_mode: _Optional[_Union[RuntimeMode, str]] = ..., direction: _Optional[_Union[Direction, str]] = ..., confidence: _Optional[float] = ..., calibrated_confidence: _Optional[float] = ..., tier: _Optional[_Union[Tier, str]] = ..., threshold: _Optional[float] = ..., synthesis: _Optional[_Union[Synthesis, str]] = ..., synthesis_reason: _Optional[str] = ..., reasoning: _Optional[str] = ..., entry: _Optional[str] = ..., stop_loss: _Optional[str] = ..., take_profit: _Optional[str] = ..., stop_first: _Optional[float] = ..., quantity: _Optional[str] = ..., lots: _Optional[str] = ..., risk_usd: _Optional[str] = ..., size_limit: _Optional[str] = ..., vetoes: _Optional[_Iterable[_Union[Veto, _Mapping]]] = ..., degraded: _Optional[bool] = ..., degradations: _Optional[_Iterable[_Union[Degradation, _Mapping]]] = ..., ftmo_compliant: _Optional[bool] = ..., price: _Optional[str] = ..., change_24h_percent: _Optional[float] = ..., source: _Optional[str] = ..., synthetic: _Optional[bool] = ..., executed: _Optional[bool] = ..., llm: _Optional[_Union[LlmUse, _Mapping]] = ..., coverage: _Optional[float] = ..., votes: _Optional[_Iterable[_Union[Vote, _Mapping]]] = ..., timings_ms: _Optional[_Mapping[str, float]] = ..., versions: _Optional[_Iterable[_Union[Version, _Mapping]]] = ..., ensemble: _Optional[_Union[Ensemble, _Mapping]] = ...) -> None: ...

class LlmUse(_message.Message):
    __slots__ = ("model", "cost_usd", "input_tokens", "cached_tokens", "output_tokens", "attempts", "latency_ms")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    COST_USD_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    model: str
    cost_usd: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    attempts: int
    latency_ms: float
    def __init__(self, model: _Optional[str] = ..., cost_usd: _Optional[str] = ..., input_tokens: _Optional[int] = ..., cached_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., attempts: _Optional[int] = ..., latency_ms: _Optional[float] = ...) -> None: ...

class Vote(_message.Message):
    __slots__ = ("theory", "vote", "pull", "words", "problem")
    THEORY_FIELD_NUMBER: _ClassVar[int]
    VOTE_FIELD_NUMBER: _ClassVar[int]
    PULL_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    theory: str
    vote: float
    pull: float
    words: str
    problem: str
    def __init__(self, theory: _Optional[str] = ..., vote: _Optional[float] = ..., pull: _Optional[float] = ..., words: _Optional[str] = ..., problem: _Optional[str] = ...) -> None: ...

class Version(_message.Message):
    __slots__ = ("part", "version")
    PART_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    part: str
    version: str
    def __init__(self, part: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class Ensemble(_message.Message):
    __slots__ = ("probability", "raw", "calibrated", "coverage", "horizon_minutes", "members")
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    CALIBRATED_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    HORIZON_MINUTES_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    probability: float
    raw: float
    calibrated: bool
    coverage: float
    horizon_minutes: int
    members: _containers.RepeatedCompositeFieldContainer[Member]
    def __init__(self, probability: _Optional[float] = ..., raw: _Optional[float] = ..., calibrated: _Optional[bool] = ..., coverage: _Optional[float] = ..., horizon_minutes: _Optional[int] = ..., members: _Optional[_Iterable[_Union[Member, _Mapping]]] = ...) -> None: ...

class Member(_message.Message):
    __slots__ = ("kind", "version", "probability", "weight", "problem")
    KIND_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    kind: str
    version: str
    probability: float
    weight: float
    problem: str
    def __init__(self, kind: _Optional[str] = ..., version: _Optional[str] = ..., probability: _Optional[float] = ..., weight: _Optional[float] = ..., problem: _Optional[str] = ...) -> None: ...

class GetSignalRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ListSignalsRequest(_message.Message):
    __slots__ = ("symbol", "direction", "variant", "tier", "book", "account", "since", "until", "cursor", "limit", "strategy", "model")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    BOOK_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    direction: Direction
    variant: Variant
    tier: Tier
    book: Book
    account: str
    since: _timestamp_pb2.Timestamp
    until: _timestamp_pb2.Timestamp
    cursor: int
    limit: int
    strategy: Strategy
    model: str
    def __init__(self, symbol: _Optional[str] = ..., direction: _Optional[_Union[Direction, str]] = ..., variant: _Optional[_Union[Variant, str]] = ..., tier: _Optional[_Union[Tier, str]] = ..., book: _Optional[_Union[Book, str]] = ..., account: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., cursor: _Optional[int] = ..., limit: _Optional[int] = ..., strategy: _Optional[_Union[Strategy, str]] = ..., model: _Optional[str] = ...) -> None: ...

class ListSignalsResponse(_message.Message):
    __slots__ = ("signals", "next_cursor")
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    signals: _containers.RepeatedCompositeFieldContainer[Signal]
    next_cursor: int
    def __init__(self, signals: _Optional[_Iterable[_Union[Signal, _Mapping]]] = ..., next_cursor: _Optional[int] = ...) -> None: ...

class ExplainSignalRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class Explanation(_message.Message):
    __slots__ = ("direction", "sentences", "moved", "stopped_by", "change", "without")
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    SENTENCES_FIELD_NUMBER: _ClassVar[int]
    MOVED_FIELD_NUMBER: _ClassVar[int]
    STOPPED_BY_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_FIELD_NUMBER: _ClassVar[int]
    direction: Direction
    sentences: _containers.RepeatedScalarFieldContainer[str]
    moved: _containers.RepeatedCompositeFieldContainer[Vote]
    stopped_by: Veto
    change: Change
    without: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, direction: _Optional[_Union[Direction, str]] = ..., sentences: _Optional[_Iterable[str]] = ..., moved: _Optional[_Iterable[_Union[Vote, _Mapping]]] = ..., stopped_by: _Optional[_Union[Veto, _Mapping]] = ..., change: _Optional[_Union[Change, _Mapping]] = ..., without: _Optional[_Iterable[str]] = ...) -> None: ...

class Change(_message.Message):
    __slots__ = ("what", "before", "after", "outcome")
    WHAT_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    what: str
    before: float
    after: float
    outcome: Direction
    def __init__(self, what: _Optional[str] = ..., before: _Optional[float] = ..., after: _Optional[float] = ..., outcome: _Optional[_Union[Direction, str]] = ...) -> None: ...

class StreamSignalsRequest(_message.Message):
    __slots__ = ("after", "book")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    BOOK_FIELD_NUMBER: _ClassVar[int]
    after: int
    book: Book
    def __init__(self, after: _Optional[int] = ..., book: _Optional[_Union[Book, str]] = ...) -> None: ...

class SignalEvent(_message.Message):
    __slots__ = ("sequence", "signal")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    signal: Signal
    def __init__(self, sequence: _Optional[int] = ..., signal: _Optional[_Union[Signal, _Mapping]] = ...) -> None: ...

class MarkExecutedRequest(_message.Message):
    __slots__ = ("id", "by")
    ID_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    id: str
    by: str
    def __init__(self, id: _Optional[str] = ..., by: _Optional[str] = ...) -> None: ...

class GetSpendRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SpendStatus(_message.Message):
    __slots__ = ("day", "day_spent_usd", "day_cap_usd", "day_calls", "day_alarm", "month", "month_spent_usd", "month_cap_usd", "month_calls", "month_alarm", "in_flight", "day_resets_at", "month_resets_at")
    DAY_FIELD_NUMBER: _ClassVar[int]
    DAY_SPENT_USD_FIELD_NUMBER: _ClassVar[int]
    DAY_CAP_USD_FIELD_NUMBER: _ClassVar[int]
    DAY_CALLS_FIELD_NUMBER: _ClassVar[int]
    DAY_ALARM_FIELD_NUMBER: _ClassVar[int]
    MONTH_FIELD_NUMBER: _ClassVar[int]
    MONTH_SPENT_USD_FIELD_NUMBER: _ClassVar[int]
    MONTH_CAP_USD_FIELD_NUMBER: _ClassVar[int]
    MONTH_CALLS_FIELD_NUMBER: _ClassVar[int]
    MONTH_ALARM_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    DAY_RESETS_AT_FIELD_NUMBER: _ClassVar[int]
    MONTH_RESETS_AT_FIELD_NUMBER: _ClassVar[int]
    day: str
    day_spent_usd: str
    day_cap_usd: str
    day_calls: int
    day_alarm: bool
    month: str
    month_spent_usd: str
    month_cap_usd: str
    month_calls: int
    month_alarm: bool
    in_flight: int
    day_resets_at: _timestamp_pb2.Timestamp
    month_resets_at: _timestamp_pb2.Timestamp
    def __init__(self, day: _Optional[str] = ..., day_spent_usd: _Optional[str] = ..., day_cap_usd: _Optional[str] = ..., day_calls: _Optional[int] = ..., day_alarm: _Optional[bool] = ..., month: _Optional[str] = ..., month_spent_usd: _Optional[str] = ..., month_cap_usd: _Optional[str] = ..., month_calls: _Optional[int] = ..., month_alarm: _Optional[bool] = ..., in_flight: _Optional[int] = ..., day_resets_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., month_resets_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListPaperTradesRequest(_message.Message):
    __slots__ = ("account", "symbol", "state", "cursor", "limit")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    account: str
    symbol: str
    state: TradeState
    cursor: int
    limit: int
    def __init__(self, account: _Optional[str] = ..., symbol: _Optional[str] = ..., state: _Optional[_Union[TradeState, str]] = ..., cursor: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class ListPaperTradesResponse(_message.Message):
    __slots__ = ("trades", "next_cursor")
    TRADES_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    trades: _containers.RepeatedCompositeFieldContainer[Trade]
    next_cursor: int
    def __init__(self, trades: _Optional[_Iterable[_Union[Trade, _Mapping]]] = ..., next_cursor: _Optional[int] = ...) -> None: ...

class Trade(_message.Message):
    __slots__ = ("id", "account", "signal_id", "symbol", "direction", "state", "quantity", "entry", "stop_loss", "take_profit", "high_confidence", "created_at", "created_seq", "expires_at", "opened_at", "opened_seq", "opened_day", "opened_price", "closed_at", "closed_seq", "closed_price", "outcome", "pnl")
    ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_ID_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    STOP_LOSS_FIELD_NUMBER: _ClassVar[int]
    TAKE_PROFIT_FIELD_NUMBER: _ClassVar[int]
    HIGH_CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    CREATED_SEQ_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    OPENED_AT_FIELD_NUMBER: _ClassVar[int]
    OPENED_SEQ_FIELD_NUMBER: _ClassVar[int]
    OPENED_DAY_FIELD_NUMBER: _ClassVar[int]
    OPENED_PRICE_FIELD_NUMBER: _ClassVar[int]
    CLOSED_AT_FIELD_NUMBER: _ClassVar[int]
    CLOSED_SEQ_FIELD_NUMBER: _ClassVar[int]
    CLOSED_PRICE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    PNL_FIELD_NUMBER: _ClassVar[int]
    id: str
    account: str
    signal_id: str
    symbol: str
    direction: Direction
    state: TradeState
    quantity: str
    entry: str
    stop_loss: str
    take_profit: str
    high_confidence: bool
    created_at: _timestamp_pb2.Timestamp
    created_seq: int
    expires_at: _timestamp_pb2.Timestamp
    opened_at: _timestamp_pb2.Timestamp
    opened_seq: int
    opened_day: str
    opened_price: str
    closed_at: _timestamp_pb2.Timestamp
    closed_seq: int
    closed_price: str
    outcome: Outcome
    pnl: str
    def __init__(self, id: _Optional[str] = ..., account: _Optional[str] = ..., signal_id: _Optional[str] = ..., symbol: _Optional[str] = ..., direction: _Optional[_Union[Direction, str]] = ..., state: _Optional[_Union[TradeState, str]] = ..., quantity: _Optional[str] = ..., entry: _Optional[str] = ..., stop_loss: _Optional[str] = ..., take_profit: _Optional[str] = ..., high_confidence: _Optional[bool] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_seq: _Optional[int] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., opened_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., opened_seq: _Optional[int] = ..., opened_day: _Optional[str] = ..., opened_price: _Optional[str] = ..., closed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., closed_seq: _Optional[int] = ..., closed_price: _Optional[str] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., pnl: _Optional[str] = ...) -> None: ...

class GetPaperTradeRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class OpenPaperTradeRequest(_message.Message):
    __slots__ = ("signal_id", "by")
    SIGNAL_ID_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    signal_id: str
    by: str
    def __init__(self, signal_id: _Optional[str] = ..., by: _Optional[str] = ...) -> None: ...

class ClosePaperTradeRequest(_message.Message):
    __slots__ = ("id", "by")
    ID_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    id: str
    by: str
    def __init__(self, id: _Optional[str] = ..., by: _Optional[str] = ...) -> None: ...

class CancelPaperTradeRequest(_message.Message):
    __slots__ = ("id", "by")
    ID_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    id: str
    by: str
    def __init__(self, id: _Optional[str] = ..., by: _Optional[str] = ...) -> None: ...

class PerformanceRequest(_message.Message):
    __slots__ = ("account", "symbol", "variant", "tier", "strategy", "direction", "since", "until", "group_by")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    account: str
    symbol: str
    variant: Variant
    tier: Tier
    strategy: Strategy
    direction: Direction
    since: _timestamp_pb2.Timestamp
    until: _timestamp_pb2.Timestamp
    group_by: Grouping
    def __init__(self, account: _Optional[str] = ..., symbol: _Optional[str] = ..., variant: _Optional[_Union[Variant, str]] = ..., tier: _Optional[_Union[Tier, str]] = ..., strategy: _Optional[_Union[Strategy, str]] = ..., direction: _Optional[_Union[Direction, str]] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., group_by: _Optional[_Union[Grouping, str]] = ...) -> None: ...

class PerformanceReport(_message.Message):
    __slots__ = ("account", "capital", "first_day", "last_day", "performance", "hold_share", "confidence", "earns", "wins_more_than_half", "groups")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    CAPITAL_FIELD_NUMBER: _ClassVar[int]
    FIRST_DAY_FIELD_NUMBER: _ClassVar[int]
    LAST_DAY_FIELD_NUMBER: _ClassVar[int]
    PERFORMANCE_FIELD_NUMBER: _ClassVar[int]
    HOLD_SHARE_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    EARNS_FIELD_NUMBER: _ClassVar[int]
    WINS_MORE_THAN_HALF_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    account: str
    capital: str
    first_day: _timestamp_pb2.Timestamp
    last_day: _timestamp_pb2.Timestamp
    performance: Performance
    hold_share: Estimate
    confidence: Estimate
    earns: Finding
    wins_more_than_half: Finding
    groups: _containers.RepeatedCompositeFieldContainer[PerformanceGroup]
    def __init__(self, account: _Optional[str] = ..., capital: _Optional[str] = ..., first_day: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_day: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., performance: _Optional[_Union[Performance, _Mapping]] = ..., hold_share: _Optional[_Union[Estimate, _Mapping]] = ..., confidence: _Optional[_Union[Estimate, _Mapping]] = ..., earns: _Optional[_Union[Finding, _Mapping]] = ..., wins_more_than_half: _Optional[_Union[Finding, _Mapping]] = ..., groups: _Optional[_Iterable[_Union[PerformanceGroup, _Mapping]]] = ...) -> None: ...

class PerformanceGroup(_message.Message):
    __slots__ = ("key", "performance", "hold_share")
    KEY_FIELD_NUMBER: _ClassVar[int]
    PERFORMANCE_FIELD_NUMBER: _ClassVar[int]
    HOLD_SHARE_FIELD_NUMBER: _ClassVar[int]
    key: str
    performance: Performance
    hold_share: Estimate
    def __init__(self, key: _Optional[str] = ..., performance: _Optional[_Union[Performance, _Mapping]] = ..., hold_share: _Optional[_Union[Estimate, _Mapping]] = ...) -> None: ...

class Performance(_message.Message):
    __slots__ = ("trades", "wins", "losses", "breakevens", "days", "win_rate", "pnl_usd", "expectancy_usd", "expectancy_percent", "profit_factor", "sharpe", "plain_sharpe", "sortino", "calmar", "max_drawdown_percent", "drawdown_days", "exposure_fraction")
    TRADES_FIELD_NUMBER: _ClassVar[int]
    WINS_FIELD_NUMBER: _ClassVar[int]
    LOSSES_FIELD_NUMBER: _ClassVar[int]
    BREAKEVENS_FIELD_NUMBER: _ClassVar[int]
    DAYS_FIELD_NUMBER: _ClassVar[int]
    WIN_RATE_FIELD_NUMBER: _ClassVar[int]
    PNL_USD_FIELD_NUMBER: _ClassVar[int]
    EXPECTANCY_USD_FIELD_NUMBER: _ClassVar[int]
    EXPECTANCY_PERCENT_FIELD_NUMBER: _ClassVar[int]
    PROFIT_FACTOR_FIELD_NUMBER: _ClassVar[int]
    SHARPE_FIELD_NUMBER: _ClassVar[int]
    PLAIN_SHARPE_FIELD_NUMBER: _ClassVar[int]
    SORTINO_FIELD_NUMBER: _ClassVar[int]
    CALMAR_FIELD_NUMBER: _ClassVar[int]
    MAX_DRAWDOWN_PERCENT_FIELD_NUMBER: _ClassVar[int]
    DRAWDOWN_DAYS_FIELD_NUMBER: _ClassVar[int]
    EXPOSURE_FRACTION_FIELD_NUMBER: _ClassVar[int]
    trades: int
    wins: int
    losses: int
    breakevens: int
    days: int
    win_rate: Estimate
    pnl_usd: Estimate
    expectancy_usd: Estimate
    expectancy_percent: Estimate
    profit_factor: Estimate
    sharpe: Estimate
    plain_sharpe: Estimate
    sortino: Estimate
    calmar: Estimate
    max_drawdown_percent: Estimate
    drawdown_days: Estimate
    exposure_fraction: Estimate
    def __init__(self, trades: _Optional[int] = ..., wins: _Optional[int] = ..., losses: _Optional[int] = ..., breakevens: _Optional[int] = ..., days: _Optional[int] = ..., win_rate: _Optional[_Union[Estimate, _Mapping]] = ..., pnl_usd: _Optional[_Union[Estimate, _Mapping]] = ..., expectancy_usd: _Optional[_Union[Estimate, _Mapping]] = ..., expectancy_percent: _Optional[_Union[Estimate, _Mapping]] = ..., profit_factor: _Optional[_Union[Estimate, _Mapping]] = ..., sharpe: _Optional[_Union[Estimate, _Mapping]] = ..., plain_sharpe: _Optional[_Union[Estimate, _Mapping]] = ..., sortino: _Optional[_Union[Estimate, _Mapping]] = ..., calmar: _Optional[_Union[Estimate, _Mapping]] = ..., max_drawdown_percent: _Optional[_Union[Estimate, _Mapping]] = ..., drawdown_days: _Optional[_Union[Estimate, _Mapping]] = ..., exposure_fraction: _Optional[_Union[Estimate, _Mapping]] = ...) -> None: ...

class Estimate(_message.Message):
    __slots__ = ("value", "low", "high", "n", "method")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    value: float
    low: float
    high: float
    n: int
    method: Method
    def __init__(self, value: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., n: _Optional[int] = ..., method: _Optional[_Union[Method, str]] = ...) -> None: ...

class Finding(_message.Message):
    __slots__ = ("estimate", "benchmark", "answer", "trades_needed")
    ESTIMATE_FIELD_NUMBER: _ClassVar[int]
    BENCHMARK_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    TRADES_NEEDED_FIELD_NUMBER: _ClassVar[int]
    estimate: Estimate
    benchmark: float
    answer: Answer
    trades_needed: int
    def __init__(self, estimate: _Optional[_Union[Estimate, _Mapping]] = ..., benchmark: _Optional[float] = ..., answer: _Optional[_Union[Answer, str]] = ..., trades_needed: _Optional[int] = ...) -> None: ...

class MeasureRequest(_message.Message):
    __slots__ = ("account", "symbol", "variant", "tier", "strategy", "direction", "since", "until")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    account: str
    symbol: str
    variant: Variant
    tier: Tier
    strategy: Strategy
    direction: Direction
    since: _timestamp_pb2.Timestamp
    until: _timestamp_pb2.Timestamp
    def __init__(self, account: _Optional[str] = ..., symbol: _Optional[str] = ..., variant: _Optional[_Union[Variant, str]] = ..., tier: _Optional[_Union[Tier, str]] = ..., strategy: _Optional[_Union[Strategy, str]] = ..., direction: _Optional[_Union[Direction, str]] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ContributionReport(_message.Message):
    __slots__ = ("account", "trades", "holds", "forgotten", "theories")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    TRADES_FIELD_NUMBER: _ClassVar[int]
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    FORGOTTEN_FIELD_NUMBER: _ClassVar[int]
    THEORIES_FIELD_NUMBER: _ClassVar[int]
    account: str
    trades: int
    holds: int
    forgotten: int
    theories: _containers.RepeatedCompositeFieldContainer[Contribution]
    def __init__(self, account: _Optional[str] = ..., trades: _Optional[int] = ..., holds: _Optional[int] = ..., forgotten: _Optional[int] = ..., theories: _Optional[_Iterable[_Union[Contribution, _Mapping]]] = ...) -> None: ...

class Contribution(_message.Message):
    __slots__ = ("theory", "role", "decisions", "inexact", "changed", "trades_made", "trades_turned", "trades_prevented", "winners_made", "losers_made", "mean_confidence_change", "mean_milliseconds", "pnl_usd", "share")
    THEORY_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    INEXACT_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    TRADES_MADE_FIELD_NUMBER: _ClassVar[int]
    TRADES_TURNED_FIELD_NUMBER: _ClassVar[int]
    TRADES_PREVENTED_FIELD_NUMBER: _ClassVar[int]
    WINNERS_MADE_FIELD_NUMBER: _ClassVar[int]
    LOSERS_MADE_FIELD_NUMBER: _ClassVar[int]
    MEAN_CONFIDENCE_CHANGE_FIELD_NUMBER: _ClassVar[int]
    MEAN_MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    PNL_USD_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    theory: str
    role: Role
    decisions: int
    inexact: int
    changed: int
    trades_made: int
    trades_turned: int
    trades_prevented: int
    winners_made: int
    losers_made: int
    mean_confidence_change: float
    mean_milliseconds: float
    pnl_usd: Estimate
    share: Estimate
    def __init__(self, theory: _Optional[str] = ..., role: _Optional[_Union[Role, str]] = ..., decisions: _Optional[int] = ..., inexact: _Optional[int] = ..., changed: _Optional[int] = ..., trades_made: _Optional[int] = ..., trades_turned: _Optional[int] = ..., trades_prevented: _Optional[int] = ..., winners_made: _Optional[int] = ..., losers_made: _Optional[int] = ..., mean_confidence_change: _Optional[float] = ..., mean_milliseconds: _Optional[float] = ..., pnl_usd: _Optional[_Union[Estimate, _Mapping]] = ..., share: _Optional[_Union[Estimate, _Mapping]] = ...) -> None: ...

class Review(_message.Message):
    __slots__ = ("advice", "decided", "trades", "days", "sharpe", "above_improve", "above_keep", "trades_needed", "targets", "words")
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    DECIDED_FIELD_NUMBER: _ClassVar[int]
    TRADES_FIELD_NUMBER: _ClassVar[int]
    DAYS_FIELD_NUMBER: _ClassVar[int]
    SHARPE_FIELD_NUMBER: _ClassVar[int]
    ABOVE_IMPROVE_FIELD_NUMBER: _ClassVar[int]
    ABOVE_KEEP_FIELD_NUMBER: _ClassVar[int]
    TRADES_NEEDED_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    advice: Advice
    decided: bool
    trades: int
    days: int
    sharpe: Estimate
    above_improve: Finding
    above_keep: Finding
    trades_needed: int
    targets: _containers.RepeatedCompositeFieldContainer[Target]
    words: str
    def __init__(self, advice: _Optional[_Union[Advice, str]] = ..., decided: _Optional[bool] = ..., trades: _Optional[int] = ..., days: _Optional[int] = ..., sharpe: _Optional[_Union[Estimate, _Mapping]] = ..., above_improve: _Optional[_Union[Finding, _Mapping]] = ..., above_keep: _Optional[_Union[Finding, _Mapping]] = ..., trades_needed: _Optional[int] = ..., targets: _Optional[_Iterable[_Union[Target, _Mapping]]] = ..., words: _Optional[str] = ...) -> None: ...

class Target(_message.Message):
    __slots__ = ("name", "limit", "is_floor", "finding", "reached")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    IS_FLOOR_FIELD_NUMBER: _ClassVar[int]
    FINDING_FIELD_NUMBER: _ClassVar[int]
    REACHED_FIELD_NUMBER: _ClassVar[int]
    name: str
    limit: float
    is_floor: bool
    finding: Finding
    reached: Reached
    def __init__(self, name: _Optional[str] = ..., limit: _Optional[float] = ..., is_floor: _Optional[bool] = ..., finding: _Optional[_Union[Finding, _Mapping]] = ..., reached: _Optional[_Union[Reached, str]] = ...) -> None: ...

class EquityCurve(_message.Message):
    __slots__ = ("account", "capital", "trades", "days_a_point", "points")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    CAPITAL_FIELD_NUMBER: _ClassVar[int]
    TRADES_FIELD_NUMBER: _ClassVar[int]
    DAYS_A_POINT_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    account: str
    capital: str
    trades: int
    days_a_point: int
    points: _containers.RepeatedCompositeFieldContainer[EquityPoint]
    def __init__(self, account: _Optional[str] = ..., capital: _Optional[str] = ..., trades: _Optional[int] = ..., days_a_point: _Optional[int] = ..., points: _Optional[_Iterable[_Union[EquityPoint, _Mapping]]] = ...) -> None: ...

class EquityPoint(_message.Message):
    __slots__ = ("at", "equity", "drawdown_percent")
    AT_FIELD_NUMBER: _ClassVar[int]
    EQUITY_FIELD_NUMBER: _ClassVar[int]
    DRAWDOWN_PERCENT_FIELD_NUMBER: _ClassVar[int]
    at: _timestamp_pb2.Timestamp
    equity: str
    drawdown_percent: float
    def __init__(self, at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., equity: _Optional[str] = ..., drawdown_percent: _Optional[float] = ...) -> None: ...

class Calibration(_message.Message):
    __slots__ = ("account", "trades", "bins")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    TRADES_FIELD_NUMBER: _ClassVar[int]
    BINS_FIELD_NUMBER: _ClassVar[int]
    account: str
    trades: int
    bins: _containers.RepeatedCompositeFieldContainer[ConfidenceBin]
    def __init__(self, account: _Optional[str] = ..., trades: _Optional[int] = ..., bins: _Optional[_Iterable[_Union[ConfidenceBin, _Mapping]]] = ...) -> None: ...

class ConfidenceBin(_message.Message):
    __slots__ = ("low", "mean", "won")
    LOW_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    WON_FIELD_NUMBER: _ClassVar[int]
    low: float
    mean: float
    won: Estimate
    def __init__(self, low: _Optional[float] = ..., mean: _Optional[float] = ..., won: _Optional[_Union[Estimate, _Mapping]] = ...) -> None: ...

class EvaluateTheoriesRequest(_message.Message):
    __slots__ = ("account",)
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    account: str
    def __init__(self, account: _Optional[str] = ...) -> None: ...

class ListTheoryPerformanceRequest(_message.Message):
    __slots__ = ("account", "theory", "symbol", "since", "until", "limit")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    THEORY_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    account: str
    theory: str
    symbol: str
    since: _timestamp_pb2.Timestamp
    until: _timestamp_pb2.Timestamp
    limit: int
    def __init__(self, account: _Optional[str] = ..., theory: _Optional[str] = ..., symbol: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., limit: _Optional[int] = ...) -> None: ...

class ListTheoryPerformanceResponse(_message.Message):
    __slots__ = ("evaluations",)
    EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    evaluations: _containers.RepeatedCompositeFieldContainer[TheoryPerformance]
    def __init__(self, evaluations: _Optional[_Iterable[_Union[TheoryPerformance, _Mapping]]] = ...) -> None: ...

class TheoryPerformance(_message.Message):
    __slots__ = ("account", "theory", "symbol", "computed_at", "trades", "decisions", "votes", "hits", "hit_fraction", "hit_low", "hit_high", "contribution_percent", "contribution_low", "contribution_high", "role")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    THEORY_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    COMPUTED_AT_FIELD_NUMBER: _ClassVar[int]
    TRADES_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    VOTES_FIELD_NUMBER: _ClassVar[int]
    HITS_FIELD_NUMBER: _ClassVar[int]
    HIT_FRACTION_FIELD_NUMBER: _ClassVar[int]
    HIT_LOW_FIELD_NUMBER: _ClassVar[int]
    HIT_HIGH_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTION_PERCENT_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTION_LOW_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTION_HIGH_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    account: str
    theory: str
    symbol: str
    computed_at: _timestamp_pb2.Timestamp
    trades: int
    decisions: int
    votes: int
    hits: int
    hit_fraction: float
    hit_low: float
    hit_high: float
    contribution_percent: float
    contribution_low: float
    contribution_high: float
    role: Role
    def __init__(self, account: _Optional[str] = ..., theory: _Optional[str] = ..., symbol: _Optional[str] = ..., computed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., trades: _Optional[int] = ..., decisions: _Optional[int] = ..., votes: _Optional[int] = ..., hits: _Optional[int] = ..., hit_fraction: _Optional[float] = ..., hit_low: _Optional[float] = ..., hit_high: _Optional[float] = ..., contribution_percent: _Optional[float] = ..., contribution_low: _Optional[float] = ..., contribution_high: _Optional[float] = ..., role: _Optional[_Union[Role, str]] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ("kind", "symbol")
    KIND_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    kind: Kind
    symbol: str
    def __init__(self, kind: _Optional[_Union[Kind, str]] = ..., symbol: _Optional[str] = ...) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models", "lineup", "live_problem")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    LINEUP_FIELD_NUMBER: _ClassVar[int]
    LIVE_PROBLEM_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[ModelSummary]
    lineup: LineupReport
    live_problem: str
    def __init__(self, models: _Optional[_Iterable[_Union[ModelSummary, _Mapping]]] = ..., lineup: _Optional[_Union[LineupReport, _Mapping]] = ..., live_problem: _Optional[str] = ...) -> None: ...

class ModelSummary(_message.Message):
    __slots__ = ("file", "state", "serving", "version", "kind", "symbols", "created_at", "learned_until", "metrics", "verdict", "live", "fault")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    FILE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SERVING_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    LEARNED_UNTIL_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    LIVE_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    file: str
    state: ModelState
    serving: bool
    version: str
    kind: Kind
    symbols: _containers.RepeatedScalarFieldContainer[str]
    created_at: _timestamp_pb2.Timestamp
    learned_until: _timestamp_pb2.Timestamp
    metrics: _containers.ScalarMap[str, float]
    verdict: Verdict
    live: LiveCount
    fault: str
    def __init__(self, file: _Optional[str] = ..., state: _Optional[_Union[ModelState, str]] = ..., serving: _Optional[bool] = ..., version: _Optional[str] = ..., kind: _Optional[_Union[Kind, str]] = ..., symbols: _Optional[_Iterable[str]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., learned_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., metrics: _Optional[_Mapping[str, float]] = ..., verdict: _Optional[_Union[Verdict, str]] = ..., live: _Optional[_Union[LiveCount, _Mapping]] = ..., fault: _Optional[str] = ...) -> None: ...

class LiveCount(_message.Message):
    __slots__ = ("asked", "silent", "waiting", "unknown", "windows", "right", "last")
    ASKED_FIELD_NUMBER: _ClassVar[int]
    SILENT_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    RIGHT_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    asked: int
    silent: int
    waiting: int
    unknown: int
    windows: int
    right: int
    last: _timestamp_pb2.Timestamp
    def __init__(self, asked: _Optional[int] = ..., silent: _Optional[int] = ..., waiting: _Optional[int] = ..., unknown: _Optional[int] = ..., windows: _Optional[int] = ..., right: _Optional[int] = ..., last: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class LineupReport(_message.Message):
    __slots__ = ("seats", "faults")
    SEATS_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    seats: _containers.RepeatedCompositeFieldContainer[LineupSeat]
    faults: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, seats: _Optional[_Iterable[_Union[LineupSeat, _Mapping]]] = ..., faults: _Optional[_Iterable[str]] = ...) -> None: ...

class LineupSeat(_message.Message):
    __slots__ = ("kind", "version", "symbols", "candidate")
    KIND_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    kind: Kind
    version: str
    symbols: _containers.RepeatedScalarFieldContainer[str]
    candidate: bool
    def __init__(self, kind: _Optional[_Union[Kind, str]] = ..., version: _Optional[str] = ..., symbols: _Optional[_Iterable[str]] = ..., candidate: _Optional[bool] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: str
    def __init__(self, version: _Optional[str] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("file", "state", "serving", "version", "kind", "symbols", "interval", "window", "horizon", "label", "origin", "run", "created_at", "learned_until", "spans", "features", "state_features", "fingerprint", "scalers", "architecture", "parameters", "sha256", "data_sha256", "code_sha256", "seed", "metrics", "platt_slope", "platt_intercept", "gate", "history", "live", "fault", "live_problem", "promoted_with")
    class ArchitectureEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    FILE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SERVING_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    HORIZON_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    LEARNED_UNTIL_FIELD_NUMBER: _ClassVar[int]
    SPANS_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    STATE_FEATURES_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    SCALERS_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    DATA_SHA256_FIELD_NUMBER: _ClassVar[int]
    CODE_SHA256_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    PLATT_SLOPE_FIELD_NUMBER: _ClassVar[int]
    PLATT_INTERCEPT_FIELD_NUMBER: _ClassVar[int]
    GATE_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    LIVE_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    LIVE_PROBLEM_FIELD_NUMBER: _ClassVar[int]
    PROMOTED_WITH_FIELD_NUMBER: _ClassVar[int]
    file: str
    state: ModelState
    serving: bool
    version: str
    kind: Kind
    symbols: _containers.RepeatedScalarFieldContainer[str]
    interval: str
    window: int
    horizon: int
    label: str
    origin: str
    run: str
    created_at: _timestamp_pb2.Timestamp
    learned_until: _timestamp_pb2.Timestamp
    spans: _containers.RepeatedCompositeFieldContainer[ModelSpan]
    features: _containers.RepeatedScalarFieldContainer[str]
    state_features: _containers.RepeatedScalarFieldContainer[str]
    fingerprint: str
    scalers: _containers.RepeatedCompositeFieldContainer[ModelScaler]
    architecture: _containers.ScalarMap[str, float]
    parameters: int
    sha256: str
    data_sha256: str
    code_sha256: str
    seed: int
    metrics: _containers.ScalarMap[str, float]
    platt_slope: float
    platt_intercept: float
    gate: GateReport
    history: _containers.RepeatedCompositeFieldContainer[Promotion]
    live: LiveScore
    fault: str
    live_problem: str
    promoted_with: GateReport
    def __init__(self, file: _Optional[str] = ..., state: _Optional[_Union[ModelState, str]] = ..., serving: _Optional[bool] = ..., version: _Optional[str] = ..., kind: _Optional[_Union[Kind, str]] = ..., symbols: _Optional[_Iterable[str]] = ..., interval: _Optional[str] = ..., window: _Optional[int] = ..., horizon: _Optional[int] = ..., label: _Optional[str] = ..., origin: _Optional[str] = ..., run: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., learned_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., spans: _Optional[_Iterable[_Union[ModelSpan, _Mapping]]] = ..., features: _Optional[_Iterable[str]] = ..., state_features: _Optional[_Iterable[str]] = ..., fingerprint: _Optional[str] = ..., scalers: _Optional[_Iterable[_Union[ModelScaler, _Mapping]]] = ..., architecture: _Optional[_Mapping[str, float]] = ..., parameters: _Optional[int] = ..., sha256: _Optional[str] = ..., data_sha256: _Optional[str] = ..., code_sha256: _Optional[str] = ..., seed: _Optional[int] = ..., metrics: _Optional[_Mapping[str, float]] = ..., platt_slope: _Optional[float] = ..., platt_intercept: _Optional[float] = ..., gate: _Optional[_Union[GateReport, _Mapping]] = ..., history: _Optional[_Iterable[_Union[Promotion, _Mapping]]] = ..., live: _Optional[_Union[LiveScore, _Mapping]] = ..., fault: _Optional[str] = ..., live_problem: _Optional[str] = ..., promoted_with: _Optional[_Union[GateReport, _Mapping]] = ...) -> None: ...

class ModelSpan(_message.Message):
    __slots__ = ("name", "first", "last")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    name: str
    first: _timestamp_pb2.Timestamp
    last: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., first: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ModelScaler(_message.Message):
    __slots__ = ("symbol", "mean", "scale")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    mean: _containers.RepeatedScalarFieldContainer[float]
    scale: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, symbol: _Optional[str] = ..., mean: _Optional[_Iterable[float]] = ..., scale: _Optional[_Iterable[float]] = ...) -> None: ...

class GateReport(_message.Message):
    __slots__ = ("verdict", "sentence", "at", "first", "last", "threshold", "trials", "champion", "rulings")
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    CHAMPION_FIELD_NUMBER: _ClassVar[int]
    RULINGS_FIELD_NUMBER: _ClassVar[int]
    verdict: Verdict
    sentence: str
    at: _timestamp_pb2.Timestamp
    first: _timestamp_pb2.Timestamp
    last: _timestamp_pb2.Timestamp
    threshold: float
    trials: int
    champion: str
    rulings: _containers.RepeatedCompositeFieldContainer[GateRuling]
    def __init__(self, verdict: _Optional[_Union[Verdict, str]] = ..., sentence: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., first: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., threshold: _Optional[float] = ..., trials: _Optional[int] = ..., champion: _Optional[str] = ..., rulings: _Optional[_Iterable[_Union[GateRuling, _Mapping]]] = ...) -> None: ...

class GateRuling(_message.Message):
    __slots__ = ("rule", "symbol", "value", "bound", "by_bound", "relation", "limit", "n", "outcome", "sentence")
    RULE_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    BOUND_FIELD_NUMBER: _ClassVar[int]
    BY_BOUND_FIELD_NUMBER: _ClassVar[int]
    RELATION_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_FIELD_NUMBER: _ClassVar[int]
    rule: str
    symbol: str
    value: float
    bound: float
    by_bound: bool
    relation: str
    limit: float
    n: int
    outcome: str
    sentence: str
    def __init__(self, rule: _Optional[str] = ..., symbol: _Optional[str] = ..., value: _Optional[float] = ..., bound: _Optional[float] = ..., by_bound: _Optional[bool] = ..., relation: _Optional[str] = ..., limit: _Optional[float] = ..., n: _Optional[int] = ..., outcome: _Optional[str] = ..., sentence: _Optional[str] = ...) -> None: ...

class Promotion(_message.Message):
    __slots__ = ("at", "action", "kind", "subject", "version", "before")
    AT_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    at: _timestamp_pb2.Timestamp
    action: Action
    kind: Kind
    subject: str
    version: str
    before: str
    def __init__(self, at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., action: _Optional[_Union[Action, str]] = ..., kind: _Optional[_Union[Kind, str]] = ..., subject: _Optional[str] = ..., version: _Optional[str] = ..., before: _Optional[str] = ...) -> None: ...

class LiveScore(_message.Message):
    __slots__ = ("version", "first", "last", "asked", "waiting", "unknown", "windows", "instants", "silent_share", "up_share", "accuracy", "brier", "log_loss", "calibration_error", "comparison")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    ASKED_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    INSTANTS_FIELD_NUMBER: _ClassVar[int]
    SILENT_SHARE_FIELD_NUMBER: _ClassVar[int]
    UP_SHARE_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    BRIER_FIELD_NUMBER: _ClassVar[int]
    LOG_LOSS_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_ERROR_FIELD_NUMBER: _ClassVar[int]
    COMPARISON_FIELD_NUMBER: _ClassVar[int]
    version: str
    first: _timestamp_pb2.Timestamp
    last: _timestamp_pb2.Timestamp
    asked: int
    waiting: int
    unknown: int
    windows: int
    instants: int
    silent_share: Estimate
    up_share: Estimate
    accuracy: Estimate
    brier: Estimate
    log_loss: Estimate
    calibration_error: Estimate
    comparison: LiveComparison
    def __init__(self, version: _Optional[str] = ..., first: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., asked: _Optional[int] = ..., waiting: _Optional[int] = ..., unknown: _Optional[int] = ..., windows: _Optional[int] = ..., instants: _Optional[int] = ..., silent_share: _Optional[_Union[Estimate, _Mapping]] = ..., up_share: _Optional[_Union[Estimate, _Mapping]] = ..., accuracy: _Optional[_Union[Estimate, _Mapping]] = ..., brier: _Optional[_Union[Estimate, _Mapping]] = ..., log_loss: _Optional[_Union[Estimate, _Mapping]] = ..., calibration_error: _Optional[_Union[Estimate, _Mapping]] = ..., comparison: _Optional[_Union[LiveComparison, _Mapping]] = ...) -> None: ...

class LiveComparison(_message.Message):
    __slots__ = ("champion", "windows", "instants", "brier_advantage", "better")
    CHAMPION_FIELD_NUMBER: _ClassVar[int]
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    INSTANTS_FIELD_NUMBER: _ClassVar[int]
    BRIER_ADVANTAGE_FIELD_NUMBER: _ClassVar[int]
    BETTER_FIELD_NUMBER: _ClassVar[int]
    champion: str
    windows: int
    instants: int
    brier_advantage: Estimate
    better: Answer
    def __init__(self, champion: _Optional[str] = ..., windows: _Optional[int] = ..., instants: _Optional[int] = ..., brier_advantage: _Optional[_Union[Estimate, _Mapping]] = ..., better: _Optional[_Union[Answer, str]] = ...) -> None: ...

class GetModelReportRequest(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: str
    def __init__(self, version: _Optional[str] = ...) -> None: ...

class ModelReport(_message.Message):
    __slots__ = ("version", "page")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    version: str
    page: str
    def __init__(self, version: _Optional[str] = ..., page: _Optional[str] = ...) -> None: ...

class ForecastRequest(_message.Message):
    __slots__ = ("symbol", "symbols")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    symbols: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, symbol: _Optional[str] = ..., symbols: _Optional[_Iterable[str]] = ...) -> None: ...

class ForecastResponse(_message.Message):
    __slots__ = ("forecasts",)
    FORECASTS_FIELD_NUMBER: _ClassVar[int]
    forecasts: _containers.RepeatedCompositeFieldContainer[SymbolForecast]
    def __init__(self, forecasts: _Optional[_Iterable[_Union[SymbolForecast, _Mapping]]] = ...) -> None: ...

class SymbolForecast(_message.Message):
    __slots__ = ("symbol", "as_of", "ensemble", "forecasts", "candidates")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    ENSEMBLE_FIELD_NUMBER: _ClassVar[int]
    FORECASTS_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    as_of: _timestamp_pb2.Timestamp
    ensemble: Ensemble
    forecasts: _containers.RepeatedCompositeFieldContainer[Forecast]
    candidates: _containers.RepeatedCompositeFieldContainer[Forecast]
    def __init__(self, symbol: _Optional[str] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ensemble: _Optional[_Union[Ensemble, _Mapping]] = ..., forecasts: _Optional[_Iterable[_Union[Forecast, _Mapping]]] = ..., candidates: _Optional[_Iterable[_Union[Forecast, _Mapping]]] = ...) -> None: ...

class Forecast(_message.Message):
    __slots__ = ("kind", "version", "probability", "calibrated", "problem")
    KIND_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    CALIBRATED_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    kind: str
    version: str
    probability: float
    calibrated: float
    problem: str
    def __init__(self, kind: _Optional[str] = ..., version: _Optional[str] = ..., probability: _Optional[float] = ..., calibrated: _Optional[float] = ..., problem: _Optional[str] = ...) -> None: ...
