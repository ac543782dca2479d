"""Profiles as the API's model spells them: standard fields by their names, addresses nested, everything else as attributes."""

from __future__ import annotations

from typing import Any

from headrace.standard_fields import ADDRESSES, ATTRIBUTES_PREFIX, PROFILE_TYPE, STANDARD_FIELDS
from profile_store.profiles import StoredProfile

_FIELDS = frozenset(one.name for one in (*STANDARD_FIELDS, PROFILE_TYPE))
_BETWEEN = "|"
"""Of a list's values: an attribute has one text."""


def spelled_profile(profile: StoredProfile) -> dict[str, Any]:
    found: dict[str, Any] = {"ProfileId": profile.identifier}
    attributes: dict[str, str] = {}
    for name, value in profile.values.items():
        text = value if isinstance(value, str) else _BETWEEN.join(value)
        first, _, field = name.partition(".")
        if name not in _FIELDS:
            attributes[name.removeprefix(ATTRIBUTES_PREFIX)] = text
        elif first in ADDRESSES:
            found.setdefault(first, {})[field] = text
        else:
            found[name] = text
    return {**found, "Attributes": attributes} if attributes else found
