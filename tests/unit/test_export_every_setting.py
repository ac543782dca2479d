"""Exported, imported into an empty domain, exported again, under every combination of settings that there are few of (SPEC E5, E6, E9).

What meets in a cell is its two separators and the settings of its type: nothing of another type is written there. So combinations are complete where each
of `MEETING` is, and one that there is for numbers is one for dates, too. test_export_round_trip.py draws other values and settings.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from headrace.formats import ExportFormat
from headrace.merge import Profile
from headrace.written_cells import FORMULA, loses
from tests.round_trip import PROPERTIES, Properties, exported, imported, text_of

CHOICES: dict[str, tuple[Any, ...]] = {
    "separator": (",", ";", "\t", "|", "é"),
    "multi_value": (None, "/", ",", "\x1e", "ß"),
    "decimal": (".", ","),
    "date_format": ("%Y-%m-%d", "%d/%m/%Y", "%d %b %Y"),
    "datetime_format": ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f%z", "%d.%m.%y, %I:%M %p"),
    "time_zone": ("UTC", "Europe/Amsterdam", "Asia/Kathmandu"),
    "compression": ("none", "gzip"),
    "spreadsheet_safe": (False, True),
}
MEETING = {
    "text": ("spreadsheet_safe",),
    "number": ("decimal",),
    "date": ("date_format",),
    "datetime": ("datetime_format", "time_zone"),
    "the file": ("compression",),
}


def separators() -> list[tuple[str, str | None]]:
    return [pair for pair in product(CHOICES["separator"], CHOICES["multi_value"]) if pair[0] != pair[1]]


def combinations() -> Iterator[dict[str, Any]]:
    """All of what meets in a cell of date-times, which is most; with each another one of the rest."""
    for separator, multi_value in separators():
        for number, (datetime_format, time_zone) in enumerate(product(CHOICES["datetime_format"], CHOICES["time_zone"])):
            chosen = {"separator": separator, "multi_value": multi_value, "datetime_format": datetime_format, "time_zone": time_zone}
            yield {name: chosen.get(name, choices[number % len(choices)]) for name, choices in CHOICES.items()}


def test_nothing_is_left_out_of_the_combinations() -> None:
    for met in MEETING.values():
        names = ("separator", "multi_value", *met)
        wanted = {(*pair, *rest) for pair in separators() for rest in product(*(CHOICES[name] for name in met))}
        assert {tuple(one[name] for name in names) for one in combinations()} == wanted


@pytest.mark.spec("E5", "E6", "E9")
def test_property_columns_come_back_under_every_combination() -> None:
    rnd, with_all = random.Random(5), 0
    for chosen in combinations():
        written = ExportFormat(**chosen)
        properties = properties_for(written)
        profiles = {f"p{n}{rnd.choice(' -.')}{n}": drawn(rnd, written, properties) for n in range(6)}

        first, left_out = exported(profiles, written, properties)
        there, rejected = imported(first, written, properties)
        second, _ = exported(there, written, properties)

        assert rejected == 0, chosen
        assert sorted(text_of(second).splitlines()) == sorted(text_of(first).splitlines()), chosen
        assert set(there) == set(profiles)
        whole = [name for name, kind, _ in properties[1:] if not loses(kind, written.cells)]
        if not left_out:
            with_all += 1
            for identifier, values in profiles.items():
                assert {name: values.get(name) for name in whole} == {name: there[identifier].get(name) for name in whole}, chosen
    assert with_all > len(list(combinations())) / 2


def properties_for(written: ExportFormat) -> Properties:
    """Lists where there is a separator for them; headers that have to be quoted."""
    found = PROPERTIES if written.multi_value else [one for one in PROPERTIES if not one[2]]
    return tuple((f'{name}{written.separator}"', kind, multiple) for name, kind, multiple in found)


def drawn(rnd: random.Random, written: ExportFormat, properties: Properties) -> Profile:
    profile: Profile = {}
    for name, kind, multiple in properties[1:]:
        values = rnd.sample(values_of(kind, written), 3)
        if rnd.random() < 0.85:
            profile[name] = tuple(values[: rnd.randint(1, 3)]) if multiple else values[0]
    return profile


def values_of(kind: str, written: ExportFormat) -> list[str]:
    match kind:
        case "text":
            texts = [
                "a",
                f"{written.separator}a",
                f"a{written.separator}{written.separator}b",
                'say "x"',
                '"',
                "x\r\ny",
                "\n.",
                "-1",
                "=1+1",
                "é'",
            ]
            harmful = FORMULA if written.spreadsheet_safe else ()
            return [one for one in texts if one[0] not in harmful and (written.multi_value or "\0") not in one]
        case "number":
            return ["0", "-1.5", "12345678901234567890.000000000001", "1000", "0.1"]
        case "date":
            return ["2024-02-29", "1999-12-31", "2000-01-01"]
        case "datetime":
            return ["2024-02-29T12:13:14Z", "2026-03-29T01:30:00Z", "2026-07-01T00:00:00Z", "1999-12-31T23:59:59.250000Z"]
        case "email":
            return ["a.b@example.com", "c+d@example.org", "e_f@example.net"]
        case _:
            return ["true", "false", "true"]
