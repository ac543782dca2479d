"""The plans of the imports under way, read once each."""

from __future__ import annotations

from headrace.import_plan import ImportPlan
from profile_store import sequence
from profile_store.store import Store

_KEPT = 8


class Plans:
    def __init__(self, store: Store, domain: str) -> None:
        self._store = store
        self._domain = domain
        self._plans: dict[int, ImportPlan] = {}

    def forget(self) -> None:
        """Redis is not as we knew it: a number that it lost may be another import's by now."""
        self._plans.clear()

    def plan_of(self, import_seq: int) -> ImportPlan | None:
        """None where Redis knows no such import. Raises UnsupportedFormatError, TransientError."""
        if import_seq not in self._plans:
            registration = sequence.load(self._store, self._domain, import_seq)
            if registration is None or registration.plan is None:
                return None
            self._plans[import_seq] = registration.plan
            for old in sorted(self._plans)[:-_KEPT]:
                del self._plans[old]
        return self._plans[import_seq]
