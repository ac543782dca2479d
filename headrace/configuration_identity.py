"""The identity of a goal's configuration: equal where the same file would have the same effect. SPEC I10.

The ledger keeps it with every imported file: another identity means that the file is imported again, sums too. So it covers exactly what affects
the result, and nothing that a release or an editor may change without a meaning:

- defaults are left out, so that a setting that a later release adds changes no identity (its default must mean what was done before);
- of a property, its shape counts, not where it was defined;
- the order of mappings does not matter, since no two of them touch one property; that of links does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

from headrace.address import PROFILE_IDENTIFIER
from headrace.goals import ImportGoal
from headrace.schema import DomainSchema

IDENTITY_FORMAT = 1

WITHOUT_EFFECT = frozenset({"id", "name", "active", "source", "prefix", "mappings", "link", "on_change", "pin"})
"""Fields of a goal that are left out: names, which files (bucket, key and version are the file's identity), what is resolved into the mappings
already, what happens to files that are done, and how bytes are protected. Mappings and links are put in their own way."""


def configuration_identity(goal: ImportGoal, domain_schema: DomainSchema, objectives: Iterable[str] = ()) -> str:
    """16 hex characters. `objectives`: the connection's, which decide whose rows are taken (SPEC P1).

    The same before and after `apply` creates the properties that the goal maps.
    """
    content: dict[str, Any] = goal.model_dump(mode="json", exclude_defaults=True, exclude=set(WITHOUT_EFFECT))
    content["identity_format"] = IDENTITY_FORMAT
    content["objectives"] = sorted(set(objectives))
    content["link"] = [[link.column, link.property, _shape(link.property, None, None, domain_schema)] for link in goal.link]
    content["mappings"] = sorted(
        [
            mapping.property,
            mapping.column,
            mapping.rule,
            mapping.blank,
            _shape(mapping.property, mapping.type, mapping.multiple, domain_schema),
        ]
        for mapping in goal.mappings
    )
    canonical = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return blake2b(canonical.encode(), digest_size=8).hexdigest()


def _shape(name: str, new_type: str | None, new_multiple: bool | None, schema: DomainSchema) -> str:
    """Type, identifier and multiple in one text, as stored, or as the mapping would create it."""
    if name == PROFILE_IDENTIFIER:
        return name
    stored = schema.find(name)
    if stored is None:
        return f"{new_type or 'text'}{' multiple' if new_multiple else ''}"
    return f"{stored.type}{' identifier' if stored.identifier else ''}{' multiple' if stored.multiple else ''}"
