"""Every operation of the API without a desk behind it, and the dataclasses and enums that they take and give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Final, get_args, get_type_hints

from api.metrics import Metrics
from api.operations import (
    account_operations,
    analysis_operations,
    model_operations,
    paper_operations,
    performance_operations,
    risk_operations,
    signal_operations,
)

NOBODY: Final[Any] = None  # the operations are looked at here, not carried out
OPERATIONS: Final = (
    *analysis_operations(NOBODY, Metrics()),
    *risk_operations(NOBODY),
    *account_operations(NOBODY),
    *signal_operations(NOBODY, NOBODY),
    *paper_operations(NOBODY),
    *performance_operations(NOBODY),
    *model_operations(NOBODY),
)


def parts(hint: Any) -> Iterator[type]:
    """The dataclasses and enums that a field is made of."""
    if get_args(hint):
        for argument in get_args(hint):
            yield from parts(argument)
    elif isinstance(hint, type) and (is_dataclass(hint) or issubclass(hint, Enum)):
        yield hint
        for field in fields(hint) if is_dataclass(hint) else ():
            yield from parts(get_type_hints(hint)[field.name])


SHAPES: Final[dict[str, Any]] = {
    shape.__name__: shape
    for operation in OPERATIONS
    for root in (operation.request, operation.answer)
    for shape in parts(root)
}
MESSAGE_SHAPES: Final = {name: shape for name, shape in SHAPES.items() if is_dataclass(shape)}
