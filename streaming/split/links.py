"""Which profile each row of a block is for: the first of its link cells that is not blank says it (SPEC M1, M2, M11)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.address import PROFILE_IDENTIFIER, addresses_of, profile_identifier_of
from headrace.import_plan import ImportPlan, PlannedLink
from headrace.outcomes import Reason
from streaming.merge.cast import cast_identifiers

NOTHING = bytes(16)
"""In place of an address, where a row has none."""


@dataclass(frozen=True, slots=True)
class Linked:
    """A block's rows. `addresses`: one each, NOTHING where there is none; `unusable`: row → why; `used`: the place of the link that each row used."""

    addresses: list[bytes]
    unusable: dict[int, Reason]
    used: npt.NDArray[np.int8]


def link_rows(cells: Mapping[str, pa.StringArray], rows: int, plan: ImportPlan) -> Linked:
    """`cells`: column name → texts without nulls. Agrees with `ImportPlan.link_of_row` for every row."""
    addresses, blank, unusable = _read(cells[plan.links[0].column], plan.links[0], plan)
    used = np.zeros(rows, np.int8)
    for place, link in enumerate(plan.links[1:], 1):
        if not len(blank):
            break
        found, still_blank, bad = _read(cells[link.column].take(pa.array(blank)), link, plan)
        used[blank] = place
        for row, address in zip(blank.tolist(), found, strict=True):
            addresses[row] = address
        unusable |= {int(blank[row]): reason for row, reason in bad.items()}
        blank = blank[still_blank]
    return Linked(addresses, unusable | dict.fromkeys(blank.tolist(), Reason.NO_IDENTIFIER), used)


def _read(cells: pa.StringArray, link: PlannedLink, plan: ImportPlan) -> tuple[list[bytes], npt.NDArray[np.int64], dict[int, Reason]]:
    """The addresses that one link's cells name, the places of blank cells, and the bad ones."""
    if link.property == PROFILE_IDENTIFIER:
        texts = cells.to_pylist()
        read = [profile_identifier_of(text) for text in texts]
        missing = [row for row, address in enumerate(read) if address is None]
        blank = [row for row in missing if not texts[row].strip()]
        bad = dict.fromkeys(set(missing).difference(blank), Reason.INVALID_IDENTIFIER)
        return [address or NOTHING for address in read], np.array(blank, np.int64), bad
    cast = cast_identifiers(cells, link.type, plan.cells)
    found = addresses_of(plan.key, link.property, ("" if value is None else value for value in cast.values.to_pylist()))
    return found, np.flatnonzero(cast.blank), cast.bad
