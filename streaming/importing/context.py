"""What the steps of an import work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import SecretStr

from headrace.errors import HeadraceError
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


class ImportEndedError(HeadraceError):
    """Another run has ended the import meanwhile: its counts are gone, its result is on record."""

    code = "IMPORT_ENDED"


Report = Callable[[Progress], None]


def silent(_progress: Progress) -> None:
    """For callers that show nothing."""


@dataclass(frozen=True, slots=True)
class ImportContext:
    """`objects_of(connection name)`: the S3 of a connection; of others' too, since any run may finish an abandoned import. Of no connection (''): that
    of the settings, where uploads are. `master_key`: opens what is sealed of them.
    """

    store: Store
    kafka: KafkaSettings
    objects_of: Callable[[str], ObjectStore]
    report: Report = silent
    master_key: SecretStr = field(default_factory=lambda: SecretStr(""))
