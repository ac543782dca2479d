"""The operations that Headrace does: name → handler. All others of the model are refused by name."""

from __future__ import annotations

from api import computed_operations, domain_operations, profile_operations, segment_operations, upload_operations
from api.call import Handler

OPERATIONS: dict[str, Handler] = {
    **domain_operations.HANDLERS,
    **segment_operations.HANDLERS,
    **computed_operations.HANDLERS,
    **profile_operations.HANDLERS,
    **upload_operations.HANDLERS,
}

_READING = ("Get", "List", "Search", "BatchGet")
_HANDS_OUT_KEYS = frozenset({"GetUploadJobPath"})


def may_repeat(operation: str) -> bool:
    """Whether a request that comes a second time, as it is, may be answered again."""
    return operation.startswith(_READING) and operation not in _HANDS_OUT_KEYS
