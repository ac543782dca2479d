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


def tally(domain: str, partition: int, import_seq: int) -> str:
    return partition_tag(domain, partition) + f"tally:{import_seq}"


def rejects(domain: str, partition: int, import_seq: int) -> str:
    return partition_tag(domain, partition) + f"rejects:{import_seq}"


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


def domains() -> str:
    return "headrace:domains"


def connections() -> str:
    return "headrace:connections"


def runs(connection: str) -> str:
    return f"headrace:runs:{connection}"


def run(run_id: str) -> str:
    return f"headrace:run:{run_id}"


LIFETIMES: dict[str, str] = {
    r"\{[\w~-]+:\d+\}:meta": "the partition's: as long as the domain",
    r"\{[\w~-]+:\d+\}:ids": "the partition's: as long as the domain",
    r"\{[\w~-]+:\d+\}:fence": "the partition's: its fields go with their import",
    r"\{[\w~-]+:\d+\}:tally:\d+": "the import's: dropped when it is closed",
    r"\{[\w~-]+:\d+\}:rejects:\d+": "the import's: dropped when it is closed",
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
    r"headrace:domains": "the installation's",
    r"headrace:connections": "the installation's",
    r"headrace:runs:[\w-]+": "the connection's: run history",
    r"headrace:run:[\w-]+": "the connection's: run history",
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
