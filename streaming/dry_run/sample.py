"""Some of the profiles that a dry run changed, before and after."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from headrace.address import partition_of
from profile_store.profiles import decode_profile
from profile_store.registry import StoredDomain
from streaming.dry_run.overlay import Below, Overlay

PROFILES = 10

Values = dict[str, str | tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class ProfileChange:
    """`identifier`: of the profile, 32 hex characters. `before`: None where it is new."""

    identifier: str
    before: Values | None
    after: Values

    @property
    def properties(self) -> list[str]:
        """Those that differ."""
        before = self.before or {}
        return [name for name in dict.fromkeys((*before, *self.after)) if before.get(name) != self.after.get(name)]


def sample_changes(overlay: Overlay, domain: StoredDomain, below: Below) -> list[ProfileChange]:
    """Up to PROFILES of them, new ones and changed ones by halves where there are both."""
    new = _some(_new(overlay, domain))
    changed = _some(_changed(overlay, domain, below))
    half = max(PROFILES // 2, PROFILES - len(new))
    kept = changed[:half]
    return [*kept, *new[: PROFILES - len(kept)]]


def _some(changes: Iterator[ProfileChange]) -> list[ProfileChange]:
    return [change for change, _ in zip(changes, range(PROFILES), strict=False)]


def _new(overlay: Overlay, domain: StoredDomain) -> Iterator[ProfileChange]:
    for address, blob in overlay.created():
        yield ProfileChange(address.hex(), None, decode_profile(domain, address, blob).values)


def _changed(overlay: Overlay, domain: StoredDomain, below: Below) -> Iterator[ProfileChange]:
    for address, blob in overlay.changed():
        (there,) = below(partition_of(address, domain.partitions), [address])
        before = {} if there is None else decode_profile(domain, address, there).values
        change = ProfileChange(address.hex(), before, decode_profile(domain, address, blob).values)
        if change.properties:
            yield change
