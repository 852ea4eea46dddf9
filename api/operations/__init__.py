"""Everything that a caller can ask for. Both faces, the OpenAPI document and the contract test are made from this."""

from api.operations.account import account_operations
from api.operations.analysis import analysis_operations
from api.operations.models import model_operations
from api.operations.paper import paper_operations
from api.operations.performance import performance_operations
from api.operations.risk import risk_operations
from api.operations.signal import signal_operations

__all__ = [
    "account_operations",
    "analysis_operations",
    "model_operations",
    "paper_operations",
    "performance_operations",
    "risk_operations",
    "signal_operations",
]
