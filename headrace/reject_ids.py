"""What a rejected row or cell is called in files of rejects, for ever: by this name it is replayed, at most once (SPEC B2).

    retail:17:4711:190233:m3:9f2c…:5d41402abc4b
    domain, import, line, byte offset, cell, what the replay has to know, seal

A person may edit everything else of a line. The seal is a keyed hash, so that a name that was edited, or made up, is noticed: a row that was never
rejected could be applied twice under a name of its own.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from hashlib import blake2b

from headrace.import_plan import ImportPlan, PlannedLink, PlannedMapping
from headrace.outcomes import Reason, Reject

_NAME = re.compile(r"([\w~-]{1,129}):([0-9]{1,18}):([0-9]{1,18}):([0-9]{1,18}):((?:[ml][0-9]{1,6})?):([0-9a-f]*):([0-9a-f]{12})")


@dataclass(frozen=True, slots=True)
class RejectId:
    """`cell`: empty for a row; `m<property id>` of a mapped cell; `l<place>` of a link's cell that no mapping stores.

    `detail`, in hex: of a cell the address of the row's profile; of a row that has no columns `digest_of` its text, by which one sees whether it was
    corrected; else empty.
    """

    domain: str
    import_seq: int
    line: int
    offset: int
    cell: str = ""
    detail: str = ""

    @property
    def mark(self) -> str:
        """Which reject of its import it is."""
        return f"{self.offset}:{self.cell}" if self.cell else str(self.offset)

    def sealed(self, key: bytes, token: str) -> str:
        """`key`: of the domain's addresses; `token`: of the import."""
        return f"{self._said()}:{self._seal(key, token)}"

    def _said(self) -> str:
        return f"{self.domain}:{self.import_seq}:{self.line}:{self.offset}:{self.cell}:{self.detail}"

    def _seal(self, key: bytes, token: str) -> str:
        return blake2b(f"{self._said()}:{token}".encode(), key=key, person=b"headrace-reject", digest_size=6).hexdigest()

    def is_sealed_by(self, seal: str, key: bytes, token: str) -> bool:
        return hmac.compare_digest(seal, self._seal(key, token))


def read_name(text: str) -> tuple[RejectId, str] | None:
    """The id that a text spells, and its seal, which is still to be checked; None where it spells none."""
    found = _NAME.fullmatch(text.strip())
    if found is None:
        return None
    domain, import_seq, line, offset, cell, detail, seal = found.groups()
    return RejectId(domain, int(import_seq), int(line), int(offset), cell, detail), seal


def digest_of(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def costs_its_row(reject: Reject, plan: ImportPlan) -> bool:
    """Whether the whole row was rejected: under `reject_row` a bad cell costs its row. An identifier of somebody else's never does (SPEC M10)."""
    return reject.column is None or (plan.on_bad_cell == "reject_row" and reject.reason is not Reason.IDENTIFIER_CONFLICT)


def cell_of(reject: Reject, plan: ImportPlan) -> str:
    """What `RejectId.cell` says of a rejected cell."""
    for one in plan.mappings:
        if (one.column, one.property) == (reject.column, reject.property):
            return f"m{one.property_id}"
    place = next(place for place, link in enumerate(plan.links) if (link.column, link.property) == (reject.column, reject.property))
    return f"l{place}"


def cells_of_plan(plan: ImportPlan) -> list[str]:
    """Whatever `cell_of` may give."""
    links = (f"l{one.link}" for one in plan.bindings if one.mapping is None)
    return [*(f"m{one.property_id}" for one in plan.mappings), *links]


def mapping_of(cell: str, plan: ImportPlan) -> PlannedMapping | None:
    """The mapping of a cell; None where it is a link's."""
    return next((one for one in plan.mappings if cell == f"m{one.property_id}"), None)


def link_of(cell: str, plan: ImportPlan) -> PlannedLink:
    return plan.links[int(cell[1:])]
