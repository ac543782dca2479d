"""Random files for the tests: rows over a few customers, with the oddities that real files have."""

from __future__ import annotations

import csv
import io

from hypothesis import strategies as st

from headrace.import_plan import ImportPlan, PlannedFormat, PlannedLink, PlannedMapping

COLUMNS = ("id", "name", "first", "points", "tags", "day", "seen", "mail", "ok", "scores", "consents")
WIDTH = 12
NUMBER_CELLS = st.one_of(
    st.sampled_from(["0.1", "1", "-3.25", "x", "", "99999999999999999999999999", "-99999999999999999999999999", "0.000000000001", "1.5"]),
    st.integers(-50, 50).map(str),
)
CELLS = {
    "name": st.sampled_from(["Ana", "João, Silva", 'O"Neil', "", " ", "line\nbreak", "\x1f\x1e\x1c", "Zoë"]),
    "first": st.sampled_from(["a", "b", "", "c"]),
    "points": NUMBER_CELLS,
    "tags": st.lists(st.sampled_from(["x", "y", "z", "", "é"]), max_size=4).map("|".join),
    "day": st.sampled_from(["2026-01-31", "2026-02-30", "", "31/01/2026", "1999-12-31"]),
    "seen": st.sampled_from(["2026-03-29 02:30:00", "2026-10-25 02:30:00", "2026-06-01 12:00:00", "", "yesterday"]),
    "mail": st.sampled_from(["A@example.com", "b@example.com", "nobody", ""]),
    "ok": st.sampled_from(["true", "No", "1", "maybe", ""]),
    "scores": st.lists(st.sampled_from(["1", "2.50", "2.5", "x", "-1"]), max_size=3).map("|".join),
    "consents": st.one_of(
        st.sampled_from(["newsletter", "ads", "", "sms", " newsletter |sms"]),
        st.lists(st.sampled_from(["newsletter", "ads", "sms", "Newsletter", ""]), max_size=3).map("|".join),
    ),
}
OBJECTIVES = ("newsletter", "ads")
OF_A_CONNECTION = st.sampled_from([(), (), ("newsletter",), OBJECTIVES])
"""What connections are linked to: everyone is imported, or who consented to one of these."""
FORMAT = PlannedFormat(multi_value="|", time_zone="Europe/Amsterdam")


@st.composite
def tables(draw: st.DrawFn, max_rows: int = 60, prefix: str = "") -> list[dict[str, str]]:
    """Rows as dictionaries; few customers, so that most have several rows."""
    customers = draw(st.integers(1, 12))
    identifiers = st.one_of(
        st.integers(1, customers).map(lambda n: f"{prefix}C{n}"),
        st.sampled_from([f" {prefix}C1 ", "", " ", f"{prefix}e\u0301", f"{prefix}é"]),
    )
    row = st.fixed_dictionaries({"id": identifiers, **CELLS})
    return draw(st.lists(row, max_size=max_rows))


@st.composite
def plans(draw: st.DrawFn, domain: str = "test", partitions: int = 4, key: str = "07" * 32) -> ImportPlan:
    """A plan over COLUMNS with random rules."""
    single = st.sampled_from(["set", "set_if_empty"])
    listed = st.sampled_from(["set", "set_if_empty", "add"])
    clear = st.sampled_from(["ignore", "clear"])

    def mapped(place: int, column: str, type_name: str, rule: str, *, multiple: bool = False) -> PlannedMapping:
        blank = draw(clear) if rule == "set" else "ignore"
        return PlannedMapping.model_validate(
            {
                "column": column,
                "property": column,
                "property_id": place,
                "type": type_name,
                "multiple": multiple,
                "rule": rule,
                "blank": blank,
            }
        )

    mappings = [
        PlannedMapping(column="id", property="customer_id", property_id=0, identifier=True, rule="set_if_empty"),
        mapped(1, "name", "text", draw(single)),
        mapped(2, "first", "text", draw(single)),
        mapped(3, "points", "number", draw(st.sampled_from(["sum", "set", "sum"]))),
        mapped(4, "tags", "text", draw(listed), multiple=True),
        mapped(5, "day", "date", draw(single)),
        mapped(6, "seen", "datetime", draw(single)),
        mapped(7, "mail", "email", draw(single)),
        mapped(8, "ok", "boolean", draw(single)),
        mapped(9, "scores", "number", draw(listed), multiple=True),
        PlannedMapping(column="day", property="last_day", property_id=10, type="date", rule="set_if_empty"),
    ]
    objectives = draw(OF_A_CONNECTION)
    chosen = draw(st.lists(st.sampled_from(mappings[1:]), min_size=1, unique_by=lambda one: one.property_id))
    if draw(st.sampled_from([True, bool(objectives), False])):
        chosen.insert(draw(st.integers(0, len(chosen))), mapped(11, "consents", "text", draw(listed), multiple=True))
    return ImportPlan(
        domain=domain,
        partitions=partitions,
        address_key=key,
        schema_version=1,
        width=WIDTH,
        file_format=FORMAT,
        links=(PlannedLink(column="id", property="customer_id"),),
        mappings=(mappings[0], *chosen),
        allow_creation=draw(st.sampled_from([True, True, False])),
        on_bad_cell=draw(st.sampled_from(["reject_cell", "reject_row"])),
        objectives=objectives,
        consents_id=11 if objectives else None,
    )


def csv_bytes(rows: list[dict[str, str]], columns: tuple[str, ...] = COLUMNS) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, columns, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def line_numbers(rows: list[dict[str, str]]) -> list[int]:
    """The line that each row begins at, in a file that `csv_bytes` wrote."""
    lines, line = [], 2
    for row in rows:
        lines.append(line)
        line += 1 + sum(cell.count("\n") for cell in row.values())
    return lines
