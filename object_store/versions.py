"""One version of one object: what is listed, pinned and read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True)
class ObjectVersion:
    """An object as it was when it was listed or asked for.

    `etag` is without quotes, so that every server's spelling is equal. `version_id` is None in a bucket without versions, in a listing
    (which doesn't tell), and for the version "null" of a bucket whose versioning was suspended: it can be overwritten, so it pins nothing.
    `size` is in bytes, `last_modified` in UTC.
    """

    bucket: str
    key: str
    version_id: str | None
    etag: str
    size: int
    last_modified: datetime

    @property
    def location(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def plain_etag(header: str) -> str:
    """An ETag without its quotes and without the W/ that a proxy may have put before it."""
    return header.removeprefix("W/").strip('"')


def pinning_version(version_id: str | None) -> str | None:
    return None if version_id in (None, "", "null") else version_id
