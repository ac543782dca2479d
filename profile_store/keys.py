"""Every Redis key of Headrace, spelled here and nowhere else (DESIGN §3).

A partition's keys share the hash tag `{domain:p}`, so that one script call may touch them all, on a cluster too; a domain's own keys share
`{domain}`.
`LIFETIMES` says for each kind of key who owns it and how long it lives; a test walks the keyspace and fails on a stranger.
"""

from __future__ import annotations

import re


def partition_tag(domain: str, partition: int) -> str:
    return f"{{{domain}:{partition}}}:"


def address_prefix(domain: str, partition: int) -> bytes:
    """Followed by the 16 raw bytes of an address: a record, a pointer or a suppression."""
    return partition_tag(domain, partition).encode()


def meta(domain: str, partition: int) -> str:
    return partition_tag(domain, partition) + "meta"


def ids(domain: str, partition: int) -> str:
    return partition_tag(domain, partition) + "ids"


def fence(domain: str, partition: int) -> str:
    return partition_tag(domain, partition) + "fence"


def outbox(domain: str, partition: int) -> str:
    return partition_tag(domain, partition) + "outbox"


def nothing(domain: str, partition: int) -> str:
    """A key that never exists. A script that names it is refused before it starts while the slot moves to another node (TRYAGAIN): one that had
    started could meet a record that has gone already, and would leave half of what it writes. So every script that makes names of keys names it, too."""
    return partition_tag(domain, partition) + "nothing"


def domain_nothing(name: str) -> str:
    """As `nothing`, of the domain's own slot."""
    return f"{{{name}}}:nothing"


def tally(domain: str, partition: int, import_seq: int) -> str:
    return partition_tag(domain, partition) + f"tally:{import_seq}"


def rejects(domain: str, partition: int, import_seq: int) -> str:
    return partition_tag(domain, partition) + f"rejects:{import_seq}"


def seen(domain: str, partition: int, connection: str) -> str:
    """Longer than an address, whatever the connection is called: a given profile identifier can be any 16 bytes, and must not name this key."""
    return partition_tag(domain, partition) + f"seen-profiles:{connection}:in"


def segment_members(domain: str, partition: int, pair: str) -> str:
    """`pair`: `<segment id>.<generation>`. Like `seen`, longer than an address."""
    return partition_tag(domain, partition) + f"segment-members:{pair}"


def segment_touched(domain: str, partition: int, generation: int) -> str:
    return partition_tag(domain, partition) + f"segment-touched:{generation}"


def segment_generations(domain: str, partition: int) -> str:
    return partition_tag(domain, partition) + "segment-generations"


def segments(name: str) -> str:
    return f"{{{name}}}:segments"


def exported(domain: str, partition: int, connection: str) -> str:
    """Longer than an address, as `seen` is."""
    return partition_tag(domain, partition) + f"seen-profiles:{connection}:out"


def exporting(domain: str, partition: int, export_id: str) -> str:
    """Longer than an address."""
    return partition_tag(domain, partition) + f"exporting-profiles:{export_id}"


def exports(domain: str, connection: str) -> str:
    return f"{{{domain}}}:exports:{connection}"


def pins(domain: str, connection: str) -> str:
    return f"{{{domain}}}:pins:{connection}"


def domain(name: str) -> str:
    return f"{{{name}}}:domain"


def schema(name: str) -> str:
    return f"{{{name}}}:schema"


def sequence(name: str) -> str:
    return f"{{{name}}}:sequence"


def floor(name: str) -> str:
    return f"{{{name}}}:floor"


def mark(name: str) -> str:
    return f"{{{name}}}:mark"


def registration(name: str, import_seq: int) -> str:
    return f"{{{name}}}:import:{import_seq}"


def result(name: str, import_seq: int) -> str:
    return f"{{{name}}}:result:{import_seq}"


def open_imports(name: str) -> str:
    return f"{{{name}}}:open"


def lease(name: str, import_seq: int) -> str:
    return f"{{{name}}}:lease:{import_seq}"


def ledger(name: str, connection: str, goal: str) -> str:
    return f"{{{name}}}:ledger:{connection}/{goal}"


def rejected(name: str) -> str:
    return f"{{{name}}}:rejected"


def replayed(name: str, import_seq: int) -> str:
    return f"{{{name}}}:replayed:{import_seq}"


def upload_job(name: str, job_id: str) -> str:
    return f"{{{name}}}:upload-job:{job_id}"


def upload_jobs(name: str) -> str:
    return f"{{{name}}}:upload-jobs"


def open_upload_jobs(name: str) -> str:
    return f"{{{name}}}:upload-jobs-open"


def upload_jobs_by_status(name: str) -> str:
    return f"{{{name}}}:upload-jobs-by-status"


def expired(name: str) -> str:
    return f"{{{name}}}:expired"


def domains() -> str:
    return "headrace:domains"


def retiring() -> str:
    return "headrace:retiring"


def claim(name: str) -> str:
    return f"{{{name}}}:claim"


def retired(name: str) -> str:
    return f"{{{name}}}:retired"


def computation(name: str, identity: str) -> str:
    return f"{{{name}}}:computation:{identity}"


def computing(name: str, identity: str) -> str:
    return f"{{{name}}}:computing:{identity}"


def connections() -> str:
    return "headrace:connections"


def connections_mark() -> str:
    """On the node of the connections: the hash tag is their key."""
    return mark(connections())


def audit() -> str:
    return "headrace:audit"


def audit_reads() -> str:
    return "headrace:audit:reads"


def runs(connection: str) -> str:
    return f"headrace:runs:{connection}"


def every_run() -> str:
    return "headrace:runs"


def run(run_id: str) -> str:
    return f"headrace:run:{run_id}"


def turn(connection: str) -> str:
    return f"headrace:turn:{connection}"


def waiting_turn(connection: str, scope: str) -> str:
    return f"headrace:waiting:{connection}/{scope}"


def signature(signed: str) -> str:
    return f"headrace:signature:{signed}"


LIFETIMES: dict[str, str] = {
    r"\{[\w~-]+:\d+\}:meta": "the partition's: as long as the domain",
    r"\{[\w~-]+:\d+\}:ids": "the partition's: as long as the domain",
    r"\{[\w~-]+:\d+\}:fence": "the partition's: an import's fields go with it, the neighbours' stay as long as the domain",
    r"\{[\w~-]+:\d+\}:outbox": "the partition's: a field goes when its receiver has it on disk",
    r"\{[\w~-]+:\d+\}:tally:\d+": "the import's: dropped when it is closed",
    r"\{[\w~-]+:\d+\}:rejects:\d+": "the import's: dropped when it is closed",
    r"\{[\w~-]+:\d+\}:seen-profiles:[\w-]+:in": "the connection's: which profiles it has ever imported, as long as the domain",
    r"\{[\w~-]+:\d+\}:segment-generations": "the partition's: a field goes with its generation",
    r"\{[\w~-]+:\d+\}:segment-members:\d+\.\d+": "the segment's: goes when a newer generation is live, or with the segment",
    r"\{[\w~-]+:\d+\}:segment-touched:\d+": "the generation's: while it is built in this partition",
    r"\{[\w~-]+:\d+\}:segment-built:\d+\.\d+(:\w+)?": "a script's own: never seen from outside",
    r"\{[\w~-]+\}:segments": "the domain's: as long as it",
    r"\{[\w~-]+:\d+\}:seen-profiles:[\w-]+:out": "the connection's: which profiles it has ever exported, as long as the domain",
    r"\{[\w~-]+:\d+\}:exporting-profiles:\w+": "an export's: until its end is known, by its run or the connection's next one",
    r"\{[\w~-]+\}:exports:[\w-]+": "the connection's: a field goes when the end of its export is known",
    r"\{[\w~-]+\}:pins:[\w-]+": "the connection's: a field goes with the copy that it tells of",
    r"\{[\w~-]+\}:domain": "the domain's: as long as it",
    r"\{[\w~-]+\}:schema": "the domain's: as long as it",
    r"\{[\w~-]+\}:sequence": "the domain's: as long as it",
    r"\{[\w~-]+\}:floor": "the domain's: as long as it",
    r"\{[\w~-]+\}:mark": "the domain's: written when somebody waits for durability",
    r"\{[\w~-]+\}:import:\d+": "the domain's: history of its imports, for recovery and audit",
    r"\{[\w~-]+\}:result:\d+": "the domain's: history of its imports",
    r"\{[\w~-]+\}:open": "the domain's: a field goes when its import is closed",
    r"\{[\w~-]+\}:lease:\d+": "a run's: expires unless it is renewed",
    r"\{[\w~-]+\}:ledger:[\w-]+/[\w-]+": "the goal's: as long as it",
    r"\{[\w~-]+\}:rejected": "the domain's: history of its imports, which of them rejected something",
    r"\{[\w~-]+\}:replayed:\d+": "the domain's: for ever, so that no reject is replayed twice",
    r"\{[\w~-]+\}:upload-job:[0-9a-f]{32}": "the domain's: history of its upload jobs; the sealed key in it goes when the job is over",
    r"\{[\w~-]+\}:upload-jobs": "the domain's: history of its upload jobs",
    r"\{[\w~-]+\}:upload-jobs-open": "the domain's: an entry goes when its job is over and what was uploaded is deleted",
    r"\{[\w~-]+\}:upload-jobs-by-status": "the domain's: how many of its upload jobs are in each state",
    r"\{[\w~-]+\}:expired": "the domain's: until when its profiles were looked through last",
    r"headrace:domains": "the installation's",
    r"headrace:retiring": "the installation's: names of domains that are being deleted",
    r"\{[\w~-]+\}:computation:\w+": "whose who asked for it: expires after a month",
    r"\{[\w~-]+\}:computing:\w+": "of the process that computes it: expires unless it is renewed",
    r"\{[\w~-]+\}:claim": "of who makes or deletes the domain: expires unless it is renewed",
    r"\{[\w~-]+\}:retired": "of a deleted domain's name: for ever, with the numbers of its imports",
    r"headrace:connections": "the installation's",
    r"\{headrace:connections\}:mark": "the installation's: written when somebody waits for durability",
    r"headrace:audit": "the installation's: for ever",
    r"headrace:audit:reads": "the installation's: calls of the API that changed nothing, the latest of them",
    r"headrace:runs": "the installation's: run history",
    r"headrace:runs:[\w-]+": "the connection's: run history",
    r"headrace:run:[\w-]+": "the connection's: run history",
    r"headrace:signature:[0-9a-f]+": "a call's: expires when its signature has",
    r"headrace:turn:[\w-]+": "a run's: expires unless it is renewed",
    r"headrace:waiting:[\w-]+/(goal|every)/[\w+-]+": "a run's: expires unless it is renewed",
}

_LIFETIMES = [(re.compile(pattern), why) for pattern, why in LIFETIMES.items()]
_ADDRESS = re.compile(rb"\{[\w~-]+:\d+\}:.{16}", re.DOTALL)


def lifetime_of(key: bytes) -> str | None:
    """Who owns a key and how long it lives; None for a stranger."""
    text = key.decode("utf-8", "replace")
    for pattern, why in _LIFETIMES:
        if pattern.fullmatch(text):
            return why
    return "a profile's: until it is erased or expires" if _ADDRESS.fullmatch(key) else None
