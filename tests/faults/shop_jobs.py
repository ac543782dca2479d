"""The upload jobs of a schedule: what is uploaded, what their client does, and at which steps processes die. And a connection that imports the same people.

Their people are their own, known by their account numbers, and each row reaches its profile by that alone: so the order in which rows of different
people take effect does not matter.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from tests.faults.rounds import OF_JOBS, points
from tests.faults.shop_files import SUM, Row, ShopFile

ACCOUNT = "AccountNumber"
COLUMNS = ("id", "mail", "amount", "name")
PEOPLE = 150
FEWEST_ROWS, MOST_ROWS = 200, 900
MOST_DAYS = 3
OF_A_JOBS_FLOW = (
    *OF_JOBS,
    "announce",
    "publish",
    "published",
    "write_rejects",
    "close_rows",
    "result",
    "raise_floor",
    "drop_import",
    "announce_end",
    "end",
)
AT_A_STEP = 0.6
"""Share of the jobs whose run dies at a step, and of those for which the API does."""


class Stop(StrEnum):
    """When the client stops its job."""

    NEVER = "never stopped"
    UNSTARTED = "stopped before it starts"
    AT_ONCE = "stopped as soon as it has started"
    HALFWAY = "stopped when some of it is applied"


@dataclass(frozen=True)
class ShopJob:
    """`name`: its display name, no other job's of the schedule. `own`: it is for a domain of the API's, not for the shop's. `lines`: None for a line with too
    few cells. `days`: its data expiry. `api_point`, `flow_point`: where the API and the job's first run end themselves, '' for nowhere.

    `put_broken`: the API is killed while half of the file is uploaded. `started_twice`: by the client. `launched`: whether the run that the API asks for
    ever begins.
    """

    name: str
    own: bool
    lines: tuple[Row | None, ...]
    days: int
    stop: Stop
    api_point: str
    flow_point: str
    put_broken: bool
    started_twice: bool
    launched: bool

    def __str__(self) -> str:
        where = "the API's domain" if self.own else "the shop's domain"
        deaths = ", ".join(
            filter(None, (self.api_point, self.flow_point, "put broken" * self.put_broken, "never launched" * (not self.launched)))
        )
        twice = ", started twice" if self.started_twice else ""
        return f"job {self.name}, {len(self.lines)} lines into {where}, {self.days} days, {self.stop}{twice}; dies: {deaths or 'nowhere'}"

    def domain(self, shop: str) -> str:
        return api_domain(shop) if self.own else shop

    def request(self, domain: str) -> dict[str, Any]:
        """CreateUploadJob's. An attribute is the job's own, so that the domain's schema changes."""
        fields = {
            "id": {"Source": "id", "Target": f"_profile.{ACCOUNT}"},
            "mail": {"Source": "mail", "Target": "_profile.EmailAddress", "ContentType": "EMAIL_ADDRESS"},
            "amount": {"Source": "amount", "Target": f"_profile.Attributes.{self.name}", "ContentType": "NUMBER"},
            "name": {"Source": "name", "Target": "_profile.FirstName", "ContentType": "NAME"},
        }
        return {"DomainName": domain, "DisplayName": self.name, "Fields": fields, "UniqueKey": "id", "DataExpiry": self.days}

    def as_csv(self) -> bytes:
        out = io.StringIO(newline="")
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([one[column] for column in COLUMNS] if one is not None else ["J1", "too few"] for one in self.lines)
        return out.getvalue().encode()

    def rows(self) -> list[tuple[int, Row]]:
        """Those that are whole, each with its line of the file (its header is line 1)."""
        return [(line, one) for line, one in enumerate(self.lines, 2) if one is not None]

    @property
    def broken(self) -> list[int]:
        """The lines that are no rows."""
        return [line for line, one in enumerate(self.lines, 2) if one is None]


def api_domain(shop: str) -> str:
    return f"{shop}-api"


@cache
def job_of(size: float) -> ShopJob:
    """The job that a number from 0 to 1 draws."""
    rnd = random.Random(f"job {size}")
    [stop] = rnd.choices(list(Stop), (5, 1, 1, 4))
    of_the_api = ["create_upload_job", "note_upload", "start_upload_job"]
    if stop is Stop.UNSTARTED:
        of_the_api = ["create_upload_job", "note_upload", "end_upload_job", "settle_upload_job"]
    elif stop is not Stop.NEVER:
        of_the_api.append("ask_stop")
    return ShopJob(
        name=f"j{int(size * 1_000_000)}",
        own=rnd.random() < 0.35,
        lines=tuple(_line(rnd) for _ in range(rnd.randint(FEWEST_ROWS, MOST_ROWS))),
        days=rnd.randint(1, MOST_DAYS),
        stop=stop,
        api_point=rnd.choice(points(of_the_api)) if rnd.random() < AT_A_STEP else "",
        flow_point=rnd.choice(points(OF_A_JOBS_FLOW)) if rnd.random() < AT_A_STEP else "",
        put_broken=rnd.random() < 0.3,
        started_twice=rnd.random() < 0.3,
        launched=rnd.random() < 0.85,
    )


def with_accounts(domain: dict[str, Any], files: Iterable[ShopFile]) -> dict[str, Any]:
    """Where a connection imports the jobs' people the domain knows what identifies them before any job does."""
    if not any(one["property"] == ACCOUNT for file in files for one in file.goal["link"]):
        return domain
    return {**domain, "properties": [*domain["properties"], {"name": ACCOUNT, "identifier": True}]}


def accounts_file(rnd: random.Random, name: str) -> ShopFile:
    """Some of the jobs' people, imported by a connection: which makes them permanent."""
    rows = tuple(
        {
            "id": f"J{rnd.randrange(PEOPLE // 3)}",
            "mail": "",
            "amount": f"{rnd.randint(1, 90)}.25",
            "day": "",
            "name": "",
            "tags": "",
            "consents": "",
        }
        for _ in range(rnd.randint(100, 300))
    )
    goal = {
        "kind": "import_profiles",
        "link": [{"column": "id", "property": ACCOUNT}],
        "mappings": [SUM],
        "allow_creation": True,
    }
    return ShopFile(name, rows, goal)


def _line(rnd: random.Random) -> Row | None:
    if rnd.random() < 0.01:
        return None
    person = rnd.randrange(PEOPLE)
    return {
        "id": "" if rnd.random() < 0.01 else f"J{person}",
        "mail": rnd.choice(("", f"j{person}@example.com", f"J{person}@Example.com")) if rnd.random() > 0.02 else "nobody",
        "amount": "n/a" if rnd.random() < 0.02 else f"{rnd.randrange(100)}.{rnd.randint(1, 99):02d}",
        "name": rnd.choice(("", "Ana", "João, Silva", "Zoë")),
    }
