"""Upload jobs as they stand (SPEC U6, U7): each a hash, changed by one script that looks at its state first.

What was uploaded is noted by its object's version. The upload that is there when the job starts stays: nothing replaces it any more. The key that it is
encrypted with is sealed here, and goes with the job's end.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, cast

from headrace.errors import TerminalError
from headrace.failpoints import step
from headrace.upload_jobs import ENDS, TRANSITIONS, Status, StatusReason, UploadDefinition, UploadField
from profile_store import keys
from profile_store.durability import read_durable, write_lost
from profile_store.registration import Registration, Source
from profile_store.sequence import SchemaMovedError
from profile_store.store import Store, text, translated

JOB_FORMAT = 1
_PAGE = 100


@dataclass(frozen=True, slots=True)
class UploadJob:
    """`created`, `uploaded`, `started`, `completed`: epoch seconds, 0 for not yet. `source`, `sealed_key`: of what was uploaded. `import_seq` 0: it has
    none yet.

    `stop`: somebody wants it stopped. `results`: `ResultsSummary`, once it is over. `reason`: in words, for people who run Headrace.
    """

    domain: str
    id: str
    definition: UploadDefinition
    status: Status
    created: float
    uploaded: float = 0.0
    started: float = 0.0
    completed: float = 0.0
    status_reason: StatusReason = ""
    reason: str = ""
    source: Source | None = None
    sealed_key: str = ""
    import_seq: int = 0
    stop: bool = False
    results: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        return self.status in ENDS


@dataclass(frozen=True, slots=True)
class Changed:
    """`done` False: the job was in `status` (None: there is no such job), or lacked what it needs. `before`: the upload that was there."""

    done: bool
    status: Status | None = None
    before: Source | None = None


def create(store: Store, domain: str, definition: UploadDefinition) -> UploadJob:
    """Durable before it returns. Raises TerminalError NO_SUCH_DOMAIN, TransientError."""
    job = UploadJob(domain, secrets.token_hex(16), definition, "CREATED", _now())
    key, document = keys.upload_job(domain, job.id), json.dumps({"format": JOB_FORMAT, **asdict(definition)}, sort_keys=True)
    names = [key, keys.upload_jobs(domain), keys.upload_jobs_by_status(domain), keys.domain(domain)]
    with step("create_upload_job"):
        reply = store.run_script("create_upload_job", names, [document, str(job.created), _place(job)])
    if text(reply[0]) == "GONE":
        raise TerminalError(f"Domain {domain} has just been deleted.", code="NO_SUCH_DOMAIN", hint="Make it anew, then the job.")
    if read_durable(store, keys.mark(domain), lambda node: node.hget(key, "definition")) is None:
        raise write_lost(f"an upload job of domain {domain}")
    return job


def find(store: Store, domain: str, job_id: str) -> UploadJob | None:
    with translated("reading an upload job"):
        found: dict[Any, Any] = store.client.hgetall(keys.upload_job(domain, job_id))
    return _job(domain, job_id, {text(name): text(value) for name, value in found.items()}) if found else None


def page(store: Store, domain: str, most: int, after: str = "") -> tuple[list[UploadJob], str]:
    """The latest jobs first; `after`: the place that an earlier page gave, which is empty where nothing follows."""
    with translated("listing upload jobs"):
        places = store.client.zrevrangebylex(keys.upload_jobs(domain), f"({after}" if after else "+", "-", 0, most + 1)
    found = [text(place) for place in places]
    jobs = [job for place in found[:most] if (job := find(store, domain, place.partition(":")[2])) is not None]
    return jobs, found[most - 1] if len(found) > most else ""


def every_job(store: Store, domain: str) -> Iterator[UploadJob]:
    """The latest first."""
    after = ""
    while True:
        jobs, after = page(store, domain, _PAGE, after)
        yield from jobs
        if not after:
            return


def open_jobs(store: Store, domain: str) -> list[UploadJob]:
    """Those that somebody has to look after: with an upload that is still there. One that is over is not settled yet."""
    with translated("listing upload jobs"):
        found = sorted(text(one) for one in store.client.smembers(keys.open_upload_jobs(domain)))
    return [job for job_id in found if (job := find(store, domain, job_id)) is not None]


def count_by_status(store: Store, domain: str) -> dict[str, int]:
    """How many jobs there are in each state that any of them was in."""
    with translated("counting upload jobs"):
        found = store.client.hgetall(keys.upload_jobs_by_status(domain))
    return {text(status): int(count) for status, count in found.items()}


def expect_upload(store: Store, domain: str, job_id: str) -> Changed:
    """Of a job that has not started: a file is on its way. From here on somebody looks after what may be left of it."""
    with step("expect_upload"):
        return _make(store, domain, job_id, _Change("CREATED", "CREATED", {"uploaded": str(_now())}, looked_after="open"))


def note_upload(store: Store, domain: str, job_id: str, source: Source, sealed_key: str) -> Changed:
    """Of a job that has not started: this is what it will import."""
    says = {"upload": json.dumps(asdict(source)), "sealed_key": sealed_key, "uploaded": str(_now())}
    with step("note_upload"):
        return _make(store, domain, job_id, _Change("CREATED", "CREATED", says, looked_after="open"))


def forget_upload(store: Store, domain: str, job_id: str) -> Changed:
    """Of a job that has not started: it needs another. It is looked after still, until what was uploaded is deleted: see `settle`."""
    return _make(store, domain, job_id, _Change("CREATED", "CREATED", drops=_OF_UPLOAD))


def start(store: Store, domain: str, job_id: str) -> Changed:
    """From here on it imports what is uploaded now. Not done with status CREATED: nothing was uploaded."""
    with step("start_upload_job"):
        return _make(
            store, domain, job_id, _Change("CREATED", "IN_PROGRESS", {"started": str(_now())}, needs="upload", looked_after="open")
        )


def ask_stop(store: Store, domain: str, job_id: str) -> Changed:
    """Of a job in progress: whoever drives its import ends it."""
    with step("ask_stop"):
        return _make(store, domain, job_id, _Change("IN_PROGRESS", "IN_PROGRESS", {"stop": "1"}))


def end(store: Store, job: UploadJob, status: Status, results: Mapping[str, int], reason: tuple[StatusReason, str] = ("", "")) -> Changed:
    """The first word counts: another end changes nothing. The key is gone. `reason`: for the API, and in words.

    It is still looked after, until what was uploaded is deleted: see `settle`.
    """
    says = {"completed": str(_now()), "results": json.dumps(dict(results)), "status_reason": reason[0], "reason": reason[1]}
    with step("end_upload_job"):
        return _make(store, job.domain, job.id, _Change(job.status, status, says, drops=("sealed_key",)))


def settle(store: Store, domain: str, job_id: str) -> None:
    """Of a job that is over, or needs another file, when nothing of what was uploaded is left. Harmless to repeat, and to lose."""
    with step("settle_upload_job"), translated("settling an upload job"):
        store.client.srem(keys.open_upload_jobs(domain), job_id)


def register_upload(store: Store, registration: Registration, identity: str) -> int | None:
    """The number of a job's import, the same whenever it is asked for; None: the job was stopped before it had one. Durable before it returns.

    Raises SchemaMovedError, TransientError.
    """
    domain = registration.domain
    with step("register_upload"):
        reply = store.run_script(
            "register_upload",
            [
                keys.sequence(domain),
                keys.open_imports(domain),
                keys.schema(domain),
                keys.upload_job(domain, registration.upload),
                keys.domain_nothing(domain),
            ],
            [identity, registration.as_json(), registration.schema_version, keys.registration(domain, 0)[:-1]],
        )
    if isinstance(reply[0], bytes):
        if text(reply[0]) == "STOPPED":
            return None
        raise SchemaMovedError(f"The schema of domain {domain} changed while an import was planned.", hint="It is planned again.")
    import_seq = int(reply[0])
    if read_durable(store, keys.mark(domain), lambda node: node.get(keys.registration(domain, import_seq))) is None:
        raise write_lost(f"import {import_seq} of domain {domain}")
    return import_seq


_OF_UPLOAD = ("upload", "sealed_key")


@dataclass(frozen=True, slots=True)
class _Change:
    """From one state to another (it may be the same): fields that it says, one that it `needs`, fields that it `drops`.

    `looked_after`: whether somebody has to look after the job from here on, `open`, or nobody, `over`; empty: as before.
    """

    before: Status
    after: Status
    says: Mapping[str, str] = field(default_factory=dict)
    needs: str = ""
    drops: tuple[str, ...] = ()
    looked_after: Literal["", "open", "over"] = ""


def _make(store: Store, domain: str, job_id: str, change: _Change) -> Changed:
    """Durable before it returns."""
    if change.after not in TRANSITIONS[change.before]:
        raise ValueError(f"an upload job does not go from {change.before} to {change.after}")
    key = keys.upload_job(domain, job_id)
    fields = [one for pair in change.says.items() for one in pair]
    reply = store.run_script(
        "change_upload_job",
        [key, keys.open_upload_jobs(domain), keys.upload_jobs_by_status(domain), keys.domain(domain)],
        [job_id, change.before, change.after, change.needs, change.looked_after, len(change.says), *fields, *change.drops],
    )
    word = text(reply[0])
    if word != "OK":
        status = text(reply[1]) if word == "STATE" else change.before
        return Changed(done=False, status=cast("Status", status) if status else None)
    found = read_durable(store, keys.mark(domain), lambda node: node.hmget(key, ["status", *change.says]))
    status, *said = map(text, found)
    # A later change may have come in between: then this one was not lost.
    if status == change.before != change.after or (status == change.after and _is_lost(change.says, said)):
        raise write_lost(f"an upload job of domain {domain}")
    return Changed(done=True, status=change.after, before=_source(text(reply[1])))


def _is_lost(says: Mapping[str, str], there: list[str]) -> bool:
    """Of fields of a state that it was in before, too: a later upload may have replaced this one."""
    replaced = "uploaded" in says and float(dict(zip(says, there, strict=True))["uploaded"] or 0) > float(says["uploaded"])
    return there != list(says.values()) and not replaced


def _now() -> float:
    """To the millisecond, as the API tells it."""
    return round(time.time(), 3)


def _place(job: UploadJob) -> str:
    """Sorts by time; digits enough for ever."""
    return f"{int(job.created * 1000):016d}:{job.id}"


def _source(document: str) -> Source | None:
    return Source(**json.loads(document)) if document else None


def _job(domain: str, job_id: str, fields: Mapping[str, str]) -> UploadJob:
    document = json.loads(fields["definition"])
    document.pop("format")
    document["fields"] = {name: UploadField(**one) for name, one in document["fields"].items()}
    return UploadJob(
        domain,
        job_id,
        UploadDefinition(**document),
        cast("Status", fields["status"]),
        float(fields["created"]),
        float(fields.get("uploaded", 0)),
        float(fields.get("started", 0)),
        float(fields.get("completed", 0)),
        cast("StatusReason", fields.get("status_reason", "")),
        fields.get("reason", ""),
        _source(fields.get("upload", "")),
        fields.get("sealed_key", ""),
        int(fields.get("import_seq", 0)),
        "stop" in fields,
        json.loads(fields.get("results", "{}")),
    )
