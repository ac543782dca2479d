"""The identity of a goal's configuration: equal where the same file would have the same effect. SPEC I10.

The ledger keeps it with every imported file: another identity means that the file is imported again, sums too. So it covers exactly what
affects the result, and nothing that a release or an editor may change without a meaning:

- defaults are left out, so that a setting that a later release adds changes no identity (its default must mean what was done before);
- of a property, its shape counts, not where it was defined;
- the order of mappings does not matter, since no two of them touch one property; that of links does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

from headrace.connection_checks import created_property
from headrace.domains import Property
from headrace.goals import ImportGoal
from headrace.mappings import Mapping
from headrace.schema import DomainSchema

IDENTITY_FORMAT = 1

WITHOUT_EFFECT = frozenset({"id", "name", "active", "source", "prefix", "on_change", "pin"})
"""Fields of a goal that are left out: names, which files (bucket, key and version are the file's identity), what is resolved into the
mappings already, what happens to files that are done, and how bytes are protected."""


def configuration_identity(goal: ImportGoal, domain_schema: DomainSchema, objectives: Iterable[str] = ()) -> str:
    """16 hex characters. `objectives`: the connection's, which decide whose rows are taken (SPEC P1).

    The same before and after `apply` creates the properties that the goal maps.
    """
    content: dict[str, Any] = goal.model_dump(mode="json", exclude_defaults=True, exclude=set(WITHOUT_EFFECT))
    content["identity_format"] = IDENTITY_FORMAT
    content["objectives"] = sorted(set(objectives))
    content["link"] = [
        {**link.model_dump(mode="json", exclude_defaults=True), "shape": _stored_shape(link.property, domain_schema)} for link in goal.link
    ]
    content["mappings"] = [_mapping(one, goal, domain_schema) for one in sorted(goal.mappings, key=lambda one: one.property)]
    canonical = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return blake2b(canonical.encode(), digest_size=8).hexdigest()


def _mapping(mapping: Mapping, goal: ImportGoal, schema: DomainSchema) -> dict[str, Any]:
    """With the shape of its property in place of type and multiple, which only say how to create it: as stored, or as `apply` would."""
    shape = _stored_shape(mapping.property, schema) or _spelled(created_property(mapping, goal))
    return {**mapping.model_dump(mode="json", exclude_defaults=True, exclude={"type", "multiple"}), "shape": shape}


def _stored_shape(name: str, schema: DomainSchema) -> str:
    """Empty for profile_identifier and what the schema does not have."""
    stored = schema.find(name)
    return _spelled(stored.as_property()) if stored else ""


def _spelled(shape: Property) -> str:
    return f"{shape.type}{' identifier' if shape.identifier else ''}{' multiple' if shape.multiple else ''}"
