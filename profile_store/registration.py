"""What is known of one number of a domain's sequence: enough that anybody can finish it. Written once, never changed (DESIGN §2)."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import Any, Literal

from headrace.errors import UnsupportedFormatError
from headrace.import_plan import PLAN_FORMAT, ImportPlan

REGISTRATION_FORMAT = 4
"""The newest that is read. Written is 1, but for what older releases would get wrong: 2 for replays, whose rows they would apply again, 3 for changes of
segments, and 4 for upload jobs, whose files they can't read, and expiries."""


def fresh_token() -> str:
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True)
class Source:
    """The object version that an import reads, and the pinned copy if one was made. `last_modified`: ISO 8601, UTC."""

    bucket: str
    key: str
    version_id: str | None
    etag: str
    size: int
    last_modified: str
    pinned_key: str | None = None
    pinned_etag: str | None = None

    @property
    def identity(self) -> str:
        """The file's identity (SPEC I10)."""
        return json.dumps([self.bucket, self.key, self.version_id, self.etag, self.size])


@dataclass(frozen=True, slots=True)
class Replay:
    """What makes an import a replay of rejects (SPEC B2): the import that rejected them, and how many columns of its source are Headrace's own. The first
    of these names the reject."""

    of: int
    own_columns: int


@dataclass(frozen=True, slots=True)
class Registration:
    """One number of the sequence. `kind`: `import`; `schema` for a change of the domain's schema and `segments` for one of its segments (then `source`
    and `plan` are None); `erase` for the erasure of one profile (then `source` is None, and `plan` names the domain's identifiers); `expire` for that of all
    profiles that were to be kept until `expired_before` (epoch seconds) at most.

    `token`: 16 hex characters, made with the registration and kept with it. A number can come round where Redis lost a registration; the token tells
    whose a message is. `schema`: of a change of schema the new one, as `headrace.schema.encode_schema` writes it. `erased`: of an
    erasure, one of the profile's addresses as 32 hex characters; `suppress`: none of them may come back. `segments`: of a change of segments, all that the
    domain has from then on, as `headrace.segment_set.encode_segments` writes them. `upload`: of an upload job's import, the job's id; its source is encrypted.
    `details`: of a change of segments, what is kept with each that is new: JSON, by segment id.
    """

    domain: str
    import_seq: int
    kind: Literal["import", "schema", "segments", "erase", "expire"]
    connection: str
    goal: str
    run_id: str
    source: Source | None
    plan: ImportPlan | None
    configuration: str = ""
    schema_version: int = 0
    splitter: int = 0
    token: str = field(default_factory=fresh_token)
    schema: str = ""
    erased: str = ""
    suppress: bool = False
    replay: Replay | None = None
    segments: str = ""
    upload: str = ""
    expired_before: int = 0
    details: str = ""

    @property
    def details_by_segment(self) -> dict[int, dict[str, Any]]:
        return {int(identity): details for identity, details in json.loads(self.details or "{}").items()}

    @property
    def is_definition(self) -> bool:
        """Whether it changes what is known of the domain, and no profile: then it has no result."""
        return self.kind in ("schema", "segments")

    @property
    def needed_plan(self) -> ImportPlan:
        if self.plan is None:
            raise ValueError(f"import {self.import_seq} of {self.domain} is of kind {self.kind} and reads no rows")
        return self.plan

    @property
    def needed_source(self) -> Source:
        if self.source is None:
            raise ValueError(f"import {self.import_seq} of {self.domain} is of kind {self.kind} and has no file")
        return self.source

    def as_json(self) -> str:
        newer: dict[str, Any] = {}
        if self.replay is not None:
            newer = {"format": 2, "replay": {"of": self.replay.of, "own_columns": self.replay.own_columns}}
        if self.segments:
            newer = {"format": 3, "segments": self.segments, **({"details": self.details} if self.details else {})}
        if self.upload or self.kind == "expire":
            newer = {"format": 4, "upload": self.upload, "expired_before": self.expired_before}
        return json.dumps(
            {
                "format": 1,
                "kind": self.kind,
                "connection": self.connection,
                "goal": self.goal,
                "run_id": self.run_id,
                "configuration": self.configuration,
                "schema_version": self.schema_version,
                "splitter": self.splitter,
                "token": self.token,
                "schema": self.schema,
                "erased": self.erased,
                "suppress": self.suppress,
                "source": None if self.source is None else {name: getattr(self.source, name) for name in Source.__slots__},
                "plan": None if self.plan is None else self.plan.as_document(),
                **newer,
            },
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, domain: str, import_seq: int, document: str) -> Registration:
        data = json.loads(document)
        _refuse_newer("a registration", data["format"], REGISTRATION_FORMAT, f"import {import_seq} of domain {domain}")
        if data["plan"] is not None:
            _refuse_newer("a plan", data["plan"]["format"], PLAN_FORMAT, f"import {import_seq} of domain {domain}")
        return cls(
            domain,
            import_seq,
            data["kind"],
            data["connection"],
            data["goal"],
            data["run_id"],
            None if data["source"] is None else Source(**data["source"]),
            None if data["plan"] is None else ImportPlan.from_document(data["plan"]),
            data["configuration"],
            data["schema_version"],
            data["splitter"],
            data["token"],
            data["schema"],
            data["erased"],
            data["suppress"],
            Replay(**data["replay"]) if "replay" in data else None,
            data.get("segments", ""),
            data.get("upload", ""),
            data.get("expired_before", 0),
            data.get("details", ""),
        )


def _refuse_newer(what: str, number: int, known: int, where: str) -> None:
    if number > known:
        raise UnsupportedFormatError(
            f"{where} has {what} of format {number}; this release reads {known}.",
            hint="A newer Headrace registered it. Upgrade this process.",
        )
