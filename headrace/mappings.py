"""What import goals say about matching and mapping. SPEC M1–M11."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from headrace.configuration_model import ConfigurationModel, Flag, Problem, refuse, repeated, shown
from headrace.domains import PropertyType
from headrace.names import ColumnName, LinkTarget, PropertyName

Rule = Literal["set", "set_if_empty", "add", "sum"]


class Link(ConfigurationModel):
    """A column that says which profile a row is for. SPEC M1."""

    column: ColumnName = Field(description="the column's name, as in the file's first line")
    property: LinkTarget = Field(description="an identifier property of the domain, or profile_identifier")


class Mapping(ConfigurationModel):
    """A column whose values are imported into a property. SPEC M3–M10."""

    column: ColumnName = Field(description="the column's name, as in the file's first line")
    property: PropertyName = Field(description="that takes the values; absent: the goal's prefix followed by the column (SPEC M8)")
    rule: Rule = Field(
        default="set", description="set overwrites, set_if_empty fills, add adds to a list, sum adds numerically (SPEC M4–M7)"
    )
    blank: Literal["ignore", "clear"] = Field(
        default="ignore", description="what a blank cell does under set: nothing, or remove the value (SPEC M4)"
    )
    type: PropertyType | None = Field(
        default=None, description="of the property where the domain does not have it yet; absent: as the domain says, or text (SPEC M9)"
    )
    multiple: Flag | None = Field(
        default=None, description="whether that new property holds a list; absent: as the domain says, or false (SPEC M9)"
    )


def _mapping_rules(mappings: tuple[Mapping, ...]) -> tuple[Mapping, ...]:
    problems = [
        Problem((later, "property"), f"property '{shown(name)}' is mapped twice, first in mappings[{first}]; remove one")
        for later, first, name in repeated(one.property for one in mappings)
    ]
    problems += [
        Problem((position, "blank"), f"clear goes with rule set only, not with {one.rule}; use rule: set or blank: ignore")
        for position, one in enumerate(mappings)
        if one.blank == "clear" and one.rule != "set"
    ]
    refuse(problems)
    return mappings


def _link_rules(links: tuple[Link, ...]) -> tuple[Link, ...]:
    problems = [
        Problem((later, "property"), f"'{shown(name)}' is linked twice, first in link[{first}]; remove one")
        for later, first, name in repeated(one.property for one in links)
    ]
    problems += [
        Problem(
            (later, "column"),
            f"column '{shown(name)}' is linked twice, first in link[{first}], and where that is blank so is this; remove one,"
            " or map the column to the other identifier instead",
        )
        for later, first, name in repeated(one.column for one in links)
    ]
    refuse(problems)
    return links


Mappings = Annotated[tuple[Mapping, ...], AfterValidator(_mapping_rules)]
Links = Annotated[tuple[Link, ...], Field(min_length=1), AfterValidator(_link_rules)]
