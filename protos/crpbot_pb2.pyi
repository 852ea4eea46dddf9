import datetime

from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

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
    __slots__ = ("analyses",)
    ANALYSES_FIELD_NUMBER: _ClassVar[int]
    analyses: _containers.RepeatedCompositeFieldContainer[Analysis]
    def __init__(self, analyses: _Optional[_Iterable[_Union[Analysis, _Mapping]]] = ...) -> None: ...

class Analysis(_message.Message):
    __slots__ = ("symbol", "interval", "window", "as_of", "price", "source", "synthetic", "readings", "missing", "coverage")
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
    def __init__(self, symbol: _Optional[str] = ..., interval: _Optional[str] = ..., window: _Optional[int] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., price: _Optional[str] = ..., source: _Optional[str] = ..., synthetic: _Optional[bool] = ..., readings: _Optional[_Iterable[_Union[Reading, _Mapping]]] = ..., missing: _Optional[_Iterable[_Union[Missing, _Mapping]]] = ..., coverage: _Optional[float] = ...) -> None: ...

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
