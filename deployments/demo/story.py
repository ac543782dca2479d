"""What the demo shows, scene by scene."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from deployments.demo.purchases import (
    AMOUNT_IN_MISTAKES,
    PURCHASES,
    QUANTITY_IN_MISTAKES,
    WITH_MISTAKES,
    Customer,
    Totals,
    customer_of,
    customers_of,
    group_by_customer,
    totals_of_customers,
)
from deployments.demo.stage import Stage
from headrace.address import address_of
from headrace.errors import TerminalError
from profile_store import registry
from profile_store.membership import count_members
from profile_store.profiles import each_profile, read_profile
from profile_store.segment_registry import find_segment

DOMAIN, CONNECTION, BUCKET = "shop", "cdnow", "cdnow"
SEGMENT, EXPORTS, LINES_SHOWN = "loyal-1998", "cdnow-exports", 4
THREE = ("00001", "00003", "14048")
"""One purchase; six of them; the customer who bought most often (217 times)."""

QUANTITIES_SHOWN = 6


def play(stage: Stage) -> None:
    """All scenes. Raises TerminalError where something is not as it must be."""
    _servers(stage)
    _configuration(stage)
    _first_import(stage)
    _held_to_the_file(stage)
    _three_profiles(stage)
    _segment(stage)
    _nothing_to_do(stage)
    _mistakes(stage)
    _segment_again(stage)


def _servers(stage: Stage) -> None:
    stage.title("Running on this machine, for as long as the demo lasts")
    grid = Table.grid(padding=(0, 2))
    for name, address in stage.stack.addresses.items():
        grid.add_row(Text(name, style="bold"), Text(address, overflow="fold"))
    stage.console.print(grid)


def _configuration(stage: Stage) -> None:
    stage.title("Say what there is: a domain of profiles, and a connection to S3")
    stage.command("apply", "domains/shop.yaml", "connections/cdnow.yaml", "segments/loyal-1998.yaml", "connections/cdnow-exports.yaml")


def _first_import(stage: Stage) -> None:
    stage.title("A file arrives: 69,659 purchases of CDs, 1997 to 1998")
    stage.make_bucket(BUCKET)
    stage.upload(PURCHASES, BUCKET, f"purchases/{PURCHASES.name}")
    stage.command("run", CONNECTION)


def _held_to_the_file(stage: Stage) -> None:
    stage.title("Is it right? All profiles, against the file added up without Headrace")
    expected, found = group_by_customer(PURCHASES), _customers(stage)
    totals, read = totals_of_customers(expected.values()), totals_of_customers(found.values())
    _show_totals(stage, {"in the profiles": read, "in the file": totals})
    wrong = sum(found.get(name) != customer for name, customer in expected.items())
    if wrong or totals != read:
        raise TerminalError(
            f"{wrong:,} of {len(expected):,} profiles differ from the file.", code="DEMO_FAILED", hint="This is a bug: please report it."
        )
    stage.tell("Equal, and so is every single profile: sums, first and last purchase, quantities seen.")


def _show_totals(stage: Stage, totals: dict[str, Totals]) -> None:
    table = Table("", "customers", "quantity", "amount", box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, one in totals.items():
        table.add_row(name, f"{one.customers:,}", f"{one.quantity:,}", f"{one.amount:,.2f}")
    stage.console.print(table)


def _customers(stage: Stage) -> dict[str, Customer]:
    with stage.store() as store:
        return customers_of(each_profile(store, registry.get_domain(store, DOMAIN)))


def _three_profiles(stage: Stage) -> None:
    stage.title("Three of them")
    table = Table(
        "customer_id",
        "quantity",
        "amount",
        "first",
        "last",
        "quantities seen",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        header_style="bold",
    )
    with stage.store() as store:
        domain = registry.get_domain(store, DOMAIN)
        for name in THREE:
            profile = read_profile(store, domain, address_of(bytes.fromhex(domain.address_key), "customer_id", name))
            if profile is None:
                raise TerminalError(f"Customer {name} has no profile.", code="DEMO_FAILED", hint="This is a bug: please report it.")
            one = customer_of(profile)
            table.add_row(name, f"{one.quantity:,}", f"{one.amount:,.2f}", one.first, one.last, _shortened(list(one.quantities)))
    stage.console.print(table)
    stage.tell("One of them with everything: headrace profile get shop customer_id=00001")


def _shortened(values: list[str]) -> str:
    shown = ", ".join(values[:QUANTITIES_SHOWN])
    return shown if len(values) <= QUANTITIES_SHOWN else f"{shown}, … {len(values)} in all"


def _segment(stage: Stage) -> None:
    stage.title("A segment: who spent 500 dollars or more, and bought in 1998. And its export")
    stage.command("segment", "count", DOMAIN, SEGMENT)
    members = _loyal(group_by_customer(PURCHASES).values())
    _held_to_count(stage, members)
    stage.tell("As many as the file itself says.")
    stage.command("run", EXPORTS)
    stage.show_lines(stage.first_lines(BUCKET, "exports/loyal-1998.csv", LINES_SHOWN))


def _segment_again(stage: Stage) -> None:
    stage.title("That file brought a member: customer 00020 had spent enough, and now bought in 1998")
    stage.command("segment", "count", DOMAIN, SEGMENT)
    _held_to_count(stage, _loyal(group_by_customer(PURCHASES).values()) + 1)
    stage.tell("Nothing had to be computed anew: the commit that changes a profile changes who it belongs to.")


def _loyal(customers: Iterable[Customer]) -> int:
    return sum(one.amount >= 500 and one.last.startswith("1998") for one in customers)


def _held_to_count(stage: Stage, expected: int) -> None:
    with stage.store() as store:
        domain, segment = registry.get_domain(store, DOMAIN), find_segment(store, DOMAIN, SEGMENT)
        found = count_members(store, DOMAIN, domain.partitions, segment.id)
    if found != expected:
        raise TerminalError(f"{found:,} members instead of {expected:,}.", code="DEMO_FAILED", hint="This is a bug: please report it.")


def _nothing_to_do(stage: Stage) -> None:
    stage.title("Run it again: nothing is imported twice (this time without Prefect)")
    stage.command("run", CONNECTION, "--here")


def _mistakes(stage: Stage) -> None:
    stage.title("A second file, with mistakes in it")
    before = totals_of_customers(_customers(stage).values())
    stage.show_lines(WITH_MISTAKES.read_text(encoding="utf-8").splitlines())
    stage.upload(WITH_MISTAKES, BUCKET, f"purchases/{WITH_MISTAKES.name}")
    stage.command("run", CONNECTION)
    after = totals_of_customers(_customers(stage).values())
    _show_totals(stage, {"before": before, "after": after})
    if after != Totals(before.customers + 1, before.quantity + QUANTITY_IN_MISTAKES, before.amount + AMOUNT_IN_MISTAKES):
        raise TerminalError("The good rows of the second file do not add up.", code="DEMO_FAILED", hint="This is a bug: please report it.")
    stage.tell("Every readable row and cell is in the profiles, and nothing else.")
