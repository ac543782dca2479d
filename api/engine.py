"""What the API needs of the machinery behind the log. It may not import that (docs/adr/0001): whoever starts the API hands it in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

from headrace.domains import Domain
from headrace.segments import Segment
from profile_store.profiles import StoredProfile

SnapshotKind = Literal["csv", "jsonl", "orc"]


class Engine(Protocol):
    """Every method raises TransientError for an outage, and ConfigurationError for what can't be done as it was asked."""

    def create_domain(self, definition: Domain, details: dict[str, Any]) -> bool:
        """Topics, partitions, and the domain itself, owned by the API: False where there is one of that name."""

    def delete_domain(self, domain: str) -> bool:
        """Nothing of its profiles is left, and its name is free: False while an import of it is not over, or an upload job has to be looked after."""

    def create_segment(self, segment: Segment, details: Mapping[str, Any]) -> bool:
        """Read by everybody when this returns; workers learn of it in its turn, behind imports that go on. False where there is one of that name.
        `details`: kept with it."""

    def delete_segment(self, domain: str, name: str) -> None:
        """Its name is free when this returns."""

    def erase(self, domain: str, address: bytes, patience_seconds: float) -> bool:
        """Whether the profile of an address is gone already. Else it goes behind the imports that are going on, whatever becomes of this process."""

    def estimate(self, definition: Segment) -> int:
        """How many members a definition would have, over all profiles."""

    def snapshot(self, domain: str, segment: str, bucket: str, key: str, kind: SnapshotKind) -> int:
        """Write the members of a segment to the S3 of HEADRACE_S3_*: how many they are. The object is there whole, or not at all."""

    def search(self, condition: Segment, start: str, most: int) -> tuple[list[StoredProfile], str | None]:
        """Some profiles that a condition holds for, and where to go on; None where all were looked at. `start`: '', or what an earlier call gave."""
