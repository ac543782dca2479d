"""The benchmark's figures as a table for people; the JSON for machines is the figures themselves."""

from __future__ import annotations

from typing import Any

Section = dict[str, Any]
GOALS = {
    ("one identifier", "create"): {"of_limit": 0.6, "of_peer": 3.0},
    ("one identifier", "update"): {"of_limit": 0.45, "of_peer": 3.0},
    ("second identifier", "create"): {"of_peer": 2.0},
    ("second identifier", "update"): {"of_peer": 2.0},
    ("linked by the second identifier", "update"): {"of_peer": 1.5},
}
BYTES_PER_PROFILE = 280
HEADINGS = ("", "", "rows/s", "× limit", "× peer", "CPU µs/row", "Redis", "workers", "flow", "broker", "S3", "MB peak", "B/profile")


def table(sections: list[Section]) -> str:
    lines = [HEADINGS, *map(_line, sections)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(_aligned(cell, width, place) for place, (cell, width) in enumerate(zip(line, widths, strict=True))) for line in lines
    )


def missed(sections: list[Section]) -> list[str]:
    """The goals of issue 3 that the figures miss."""
    found = []
    for one in sections:
        for name, least in GOALS.get((one["section"], one["kind"]), {}).items():
            if one[name] < least:
                found.append(f"{one['section']}, {one['kind']}: {one[name]:.2f} {name.replace('_', ' ')}, at least {least} wanted")
        if one["bytes_per_profile"] > BYTES_PER_PROFILE and one["section"] == "one identifier":
            found.append(f"{one['section']}, {one['kind']}: {one['bytes_per_profile']} bytes a profile, at most {BYTES_PER_PROFILE} wanted")
    return found


def _aligned(cell: str, width: int, place: int) -> str:
    return cell.ljust(width) if place < 2 else cell.rjust(width)


def _line(one: Section) -> tuple[str, ...]:
    cpu = one["cpu_us_per_row"]

    def of(prefix: str) -> str:
        return f"{sum(value for name, value in cpu.items() if name.startswith(prefix)):.1f}"

    return (
        one["section"],
        one["kind"],
        f"{one['rows_per_s']:,}",
        f"{one['of_limit']:.2f}",
        f"{one['of_peer']:.2f}",
        f"{cpu['all']:.1f}",
        *(of(prefix) for prefix in ("redis", "worker", "flow", "broker", "s3")),
        f"{max(one['peak_rss_mb'].values())}",
        f"{one['bytes_per_profile']}",
    )
