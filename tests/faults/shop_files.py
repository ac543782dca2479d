"""The files of a schedule: rows over the same few people, linked by different identifiers, with sums that floats get wrong and cells that can't be read.

Profiles contend for e-mails and ids, and either may get one; the store tells who did, and then the oracle says exactly what must come out. For that the
order in which rows of *different* link values reach one profile must not matter (as tests/contention.py has it): where they can, they only add amounts
that are never zero, and nothing is cleared. So consents are given and withdrawn where a profile's rows all have one link value; a file whose rows reach
a profile by several is imported for everyone, or says nothing of consents, so that who had consented before decides.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

COLUMNS = ("id", "mail", "amount", "day", "name", "tags", "consents")
FEWEST_ROWS, MOST_ROWS = 600, 2_400
OBJECTIVES = ("newsletter", "ads")
HOUSEHOLD = "household"
Row = dict[str, str]


@dataclass(frozen=True)
class ShopFile:
    """`goal`: how it is imported, without domain and source. `needs_an_empty_store`: it must be the domain's first, and alone.

    `objectives`: of its connection. `household`: its rows are for groups, which are a domain of their own.
    """

    name: str
    rows: tuple[Row, ...]
    goal: dict[str, Any]
    needs_an_empty_store: bool = False
    objectives: tuple[str, ...] = ()

    @property
    def household(self) -> bool:
        return str(self.goal["kind"]) == "import_groups"

    def __str__(self) -> str:
        links = ", ".join(f"{one['column']} → {one['property']}" for one in self.goal["link"])
        judged = f", only who consented to {' or '.join(self.objectives)}" if self.objectives else ""
        return f"{self.name}, {len(self.rows)} rows, linked by {links}{judged}"

    def domain(self, shop: str) -> str:
        """The domain that it is imported into."""
        return f"{shop}~{HOUSEHOLD}" if self.household else shop

    def as_csv(self) -> bytes:
        out = io.StringIO(newline="")
        writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return out.getvalue().encode()


def shop_domain(name: str, partitions: int) -> dict[str, Any]:
    return {
        "name": name,
        "partitions": partitions,
        "properties": [
            {"name": "customer_id", "identifier": True},
            {"name": "email", "type": "email", "identifier": True},
            {"name": "total", "type": "number"},
            {"name": "first", "type": "date"},
            {"name": "last", "type": "date"},
            {"name": "name"},
            {"name": "tags", "multiple": True},
        ],
        "objectives": OBJECTIVES,
    }


def shop_with_households(name: str, partitions: int) -> dict[str, Any]:
    properties = [{"name": "household_id", "identifier": True}, {"name": "income", "type": "number"}, {"name": "first", "type": "date"}]
    return {**shop_domain(name, partitions), "group_types": [{"name": HOUSEHOLD, "properties": properties}]}


def draw_files(rnd: random.Random) -> tuple[ShopFile, ...]:
    """Two or three files over one set of people; most often by customer, by e-mail, and by customer again with other e-mails.

    Behind them, for some, one of households.
    """
    shop = _Shop(rnd, rnd.randint(40, 400))
    kinds: list[Callable[[str], ShopFile]] = [
        rnd.choice((shop.by_customer, shop.by_customer, shop.by_customer, shop.by_either, shop.by_mail_with_ids)),
        rnd.choice((shop.by_mail, shop.by_mail, shop.by_either, shop.by_customer)),
        rnd.choice((shop.by_customer, shop.by_customer, shop.by_either, shop.by_mail)),
    ]
    of_people = kinds[: rnd.choice((2, 3, 3))]
    files = [make(f"{place}.csv") for place, make in enumerate(of_people)]
    return (*files, shop.of_households(f"{len(files)}.csv")) if rnd.random() < 0.35 else tuple(files)


ERASED = 3
"""Customers Z0 …, of whom profiles may be erased: nobody contends with them for anything, so what is erased can be told afterwards."""


def erased_identifier(number: int) -> tuple[str, str]:
    """(property, value) that names one of them."""
    customer = number % ERASED
    return ("customer_id", f"Z{customer}") if number % 2 else ("email", f"z{customer}@example.com")


@dataclass
class _Shop:
    """`people`: customers C0 …; each has an e-mail of its own, which others want, too."""

    rnd: random.Random
    people: int

    def by_customer(self, name: str) -> ShopFile:
        """A profile's rows all have one link value: any cell, any rule."""
        mail = {"column": "mail", "property": "email", "rule": self.rnd.choice(("set", "set", "set_if_empty"))}
        return self._file(
            name,
            ["id"],
            [mail, *self._any_values()],
            lambda: self._main_row(bad=0.02, blank=0.01),
            allow_creation=name == "0.csv" or self.rnd.random() < 0.8,
            on_bad_cell=self.rnd.choice(("reject_cell", "reject_cell", "reject_row")),
            objectives=self._objectives(0.5),
        )

    def by_mail(self, name: str) -> ShopFile:
        """Several e-mails of one profile meet in it."""
        return self._file(
            name,
            ["mail"],
            [SUM],
            lambda: self._side_row(self._mail_of_one_who_may_go(0.03)),
            allow_creation=self.rnd.random() < 0.7,
            objectives=self._objectives(0.4),
        )

    def by_either(self, name: str) -> ShopFile:
        """Most rows name a customer and an e-mail, some only an e-mail, which may be bound in this very file or make a profile of its own."""
        mappings = [{"column": "mail", "property": "email", "rule": "set_if_empty"}, *VALUES, self._consents()]
        return self._file(
            name,
            ["id", "mail"],
            mappings,
            lambda: self._side_row() if self.rnd.random() < 0.25 else self._main_row(bad=0.02),
            allow_creation=True,
        )

    def by_mail_with_ids(self, name: str) -> ShopFile:
        """Profiles that live at their e-mails; their ids, one for each e-mail, become pointers. Some ids are wanted by two."""
        ids = {mail: f"C{self.rnd.randrange(self.people)}" for mail in range(2 * self.people)}

        def row() -> Row:
            mail = self.rnd.randrange(self.people)
            return {**self._main_row(bad=0.02), "id": ids[mail], "mail": _mail(mail)}

        mappings = [
            {"column": "id", "property": "customer_id", "rule": self.rnd.choice(("set", "set_if_empty"))},
            *VALUES,
            self._consents(),
        ]
        made = self._file(name, ["mail"], mappings, row, allow_creation=True, objectives=self._objectives(0.3))
        return replace(made, needs_an_empty_store=True)

    def of_households(self, name: str) -> ShopFile:
        """Groups, which nobody judges by consents: not even where their connection has objectives."""
        mappings = [
            {"column": "amount", "property": "income", "rule": "sum"},
            {"column": "day", "property": "first", "rule": "set_if_empty"},
        ]
        made = self._file(
            name, ["id"], mappings, lambda: self._main_row(bad=0.02, blank=0.01), allow_creation=True, objectives=self._objectives(0.5)
        )
        link = [{"column": "id", "property": "household_id"}]
        return replace(made, goal={**made.goal, "kind": "import_groups", "group_type": HOUSEHOLD, "link": link})

    def _file(self, name: str, links: list[str], mappings: list[dict[str, str]], row: Callable[[], Row], **more: Any) -> ShopFile:
        """`more`: of the goal, and the connection's `objectives`."""
        linked = {"id": "customer_id", "mail": "email"}
        objectives = more.pop("objectives", ())
        whole = {
            "kind": "import_profiles",
            "format": {"multi_value": "|"},
            "link": [{"column": one, "property": linked[one]} for one in links],
            "mappings": mappings,
            **more,
        }
        rows = tuple(row() for _ in range(self.rnd.randint(FEWEST_ROWS, MOST_ROWS)))
        return ShopFile(name, rows, whole, objectives=objectives)

    def _objectives(self, share: float) -> tuple[str, ...]:
        """Of that share of the connections; the others import everyone."""
        return self.rnd.choice((OBJECTIVES, OBJECTIVES[:1])) if self.rnd.random() < share else ()

    def _consents(self) -> dict[str, str]:
        """What a file that is not judged says of consents, or one whose profiles have one link value each."""
        return {"column": "consents", "property": "consents", "rule": "add"}

    def _any_values(self) -> list[dict[str, str]]:
        cleared = {"column": "name", "property": "name", "rule": "set", "blank": self.rnd.choice(("ignore", "clear"))}
        consents = {**self._consents(), "rule": self.rnd.choice(("set", "set", "add")), "blank": "ignore"}
        if consents["rule"] == "set":
            consents["blank"] = self.rnd.choice(("ignore", "clear"))
        return [*(cleared if one["property"] == "name" else one for one in VALUES), consents]

    def _main_row(self, bad: float, blank: float = 0.0) -> Row:
        customer, rnd, going = self.rnd.randrange(self.people), self.rnd, self.rnd.random() < 0.03
        gone = rnd.randrange(ERASED)
        name, mail = (f"Z{gone}", f"z{gone}@example.com") if going else (f"C{customer}", _mail(self._wanted(customer)))
        return {
            "id": "" if rnd.random() < blank else name,
            "mail": "" if rnd.random() < 0.3 else "nobody" if rnd.random() < bad else mail,
            "amount": "n/a" if rnd.random() < bad else self._amount(),
            "day": f"2026-{rnd.randint(1, 12):02d}-{rnd.randint(1, 28):02d}",
            "name": rnd.choice(("", "Ana", "João, Silva", 'O"Neil', "Zoë")),
            "tags": f"t{rnd.randrange(5)}|t{rnd.randrange(3)}",
            "consents": rnd.choice(("newsletter", "newsletter", "newsletter|sms", "ads", "sms", "")),
        }

    def _wanted(self, customer: int) -> int:
        """Mostly one of the customer's own three e-mails, else anybody's."""
        if self.rnd.random() < 0.15:
            return self.rnd.randrange(2 * self.people)
        return (customer + self.rnd.choice((0, 0, self.people // 2, self.people))) % (2 * self.people)

    def _mail_of_one_who_may_go(self, share: float) -> str:
        return f"z{self.rnd.randrange(ERASED)}@example.com" if self.rnd.random() < share else ""

    def _side_row(self, mail: str = "") -> Row:
        return {
            "id": "",
            "mail": mail or _mail(self.rnd.randrange(2 * self.people)),
            "amount": self._amount(),
            "day": "",
            "name": "",
            "tags": "",
            "consents": "",
        }

    def _amount(self) -> str:
        """Never zero: so a row that adds it changes its profile, whenever it comes."""
        return f"{self.rnd.randrange(-5, 100)}.{self.rnd.randint(1, 99):02d}"


SUM = {"column": "amount", "property": "total", "rule": "sum"}
VALUES = [
    SUM,
    {"column": "day", "property": "first", "rule": "set_if_empty"},
    {"column": "day", "property": "last", "rule": "set"},
    {"column": "name", "property": "name", "rule": "set"},
    {"column": "tags", "property": "tags", "rule": "add"},
]


def _mail(number: int) -> str:
    return f"u{number}@example.com"
