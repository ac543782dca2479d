"""What the steps of an import work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from headrace.settings import KafkaSettings
from object_store.store import ObjectStore
from profile_store.store import Store


@dataclass(frozen=True, slots=True)
class Progress:
    """`phase`: waiting, publishing, merging or rejects; `done`, `total` in rows, or bytes while publishing (total 0: not known)."""

    phase: str
    done: int
    total: int
    detail: str = ""


Report = Callable[[Progress], None]


def silent(_progress: Progress) -> None:
    """For callers that show nothing."""


@dataclass(frozen=True, slots=True)
class ImportContext:
    """`objects_of(connection name)`: the S3 of a connection; of others' too, since any run may finish an abandoned import."""

    store: Store
    kafka: KafkaSettings
    objects_of: Callable[[str], ObjectStore]
    report: Report = silent
