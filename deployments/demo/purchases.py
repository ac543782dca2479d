"""The purchases, added up without Headrace: the csv module and decimals, one customer after the other. What the profiles are held to."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from profile_store.profiles import StoredProfile

DATA = Path(__file__).with_name("data")
PURCHASES = DATA / "cdnow_master.csv"
WITH_MISTAKES = DATA / "purchases-1998-07.csv"

QUANTITY_IN_MISTAKES, AMOUNT_IN_MISTAKES = Decimal(9), Decimal("105.69")
"""What the readable cells of the second file's readable rows add up to: counted by hand."""


@dataclass(slots=True)
class Customer:
    """Dates as 1997-01-31; `quantities` in the order they were first seen."""

    quantity: Decimal = Decimal(0)
    amount: Decimal = Decimal(0)
    first: str = ""
    last: str = ""
    quantities: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Totals:
    customers: int
    quantity: Decimal
    amount: Decimal


def group_by_customer(path: Path) -> dict[str, Customer]:
    """Each customer's purchases, in the file's order."""
    found: dict[str, Customer] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            customer = found.setdefault(row["customer_id"], Customer())
            day = f"{row['date'][:4]}-{row['date'][4:6]}-{row['date'][6:]}"
            customer.quantity += int(row["quantity"])
            customer.amount += Decimal(row["amount"])
            customer.first = customer.first or day
            customer.last = day
            customer.quantities[row["quantity"]] = None
    return found


def totals_of_customers(customers: Iterable[Customer]) -> Totals:
    found = list(customers)
    return Totals(len(found), sum((one.quantity for one in found), Decimal(0)), sum((one.amount for one in found), Decimal(0)))


def customer_of(profile: StoredProfile) -> Customer:
    """A profile's values in the form of the group-by."""
    values = profile.values
    return Customer(
        Decimal(str(values.get("total_quantity", "0"))),
        Decimal(str(values.get("total_amount", "0"))),
        str(values.get("first_purchase", "")),
        str(values.get("last_purchase", "")),
        dict.fromkeys(values.get("quantities_seen", ())),
    )


def customers_of(profiles: Iterable[StoredProfile]) -> dict[str, Customer]:
    return {str(profile.values["customer_id"]): customer_of(profile) for profile in profiles}
