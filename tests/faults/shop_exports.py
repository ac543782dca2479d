"""What a schedule's shop exports: a connection of its own, with a file that each run replaces and files that each run makes anew."""

from __future__ import annotations

from typing import Any

OUT = "out"
"""The connection."""
IN = ("rich", "without-mail", "tagged")
"""The segments that a file tells of; there from the start."""
PROPERTIES = ("customer_id", "email", "total", "first", "last", "name", "tags")
REPLACED, ANEW = "replaced", "anew"
SEGMENT_OF = {REPLACED: "without-mail", ANEW: "tagged"}
"""Goal → the segment that it exports."""


def bucket_of(domain: str) -> str:
    """A versioned one: so every file that anybody could ever read is there when all is over."""
    return f"{domain}-out"


def export_goals(domain: str) -> list[dict[str, Any]]:
    columns = [
        {"kind": "profile_identifier", "header": "pid"},
        *({"kind": "property", "header": one, "property": one} for one in PROPERTIES),
        {"kind": "segments", "header": "in", "segments": IN},
    ]

    def goal(name: str, destination: dict[str, str], **options: str) -> dict[str, Any]:
        return {
            "kind": "export_profiles",
            "name": name,
            "domain": domain,
            "segment": SEGMENT_OF[name],
            "destination": {"bucket": bucket_of(domain), "directory": f"{name}/", **destination},
            "format": {"multi_value": "|", **options},
            "columns": columns,
        }

    return [goal(REPLACED, {"file_name": "all.csv"}), goal(ANEW, {}, compression="gzip")]
