"""What a domain file says: the properties that profiles have, the group types, the objectives. SPEC I2, M1, G1, P1."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from headrace.configuration_model import ConfigurationModel, Count, Flag, Problem, refuse, repeated, shown
from headrace.names import Objectives, ObjectName, PropertyName

PropertyType = Literal["text", "number", "date", "datetime", "email", "boolean"]

IDENTIFIER_TYPES: tuple[PropertyType, ...] = ("text", "number", "email")


class Property(ConfigurationModel):
    """A property of profiles. A change of type, multiple or identifier is refused while profiles hold values (`headrace.schema`)."""

    name: PropertyName = Field(description="how mappings, segments and people call it")
    type: PropertyType = Field(default="text", description="of its values; e-mails are lowercased")
    identifier: Flag = Field(default=False, description="a value locates its profile: no two profiles have the same (SPEC M1)")
    multiple: Flag = Field(default=False, description="holds a list of unique values instead of one (SPEC M6)")

    @model_validator(mode="after")
    def _identifiers_are_single(self) -> Self:
        problems = []
        if self.identifier and self.multiple:
            problems.append(
                Problem(("multiple",), "an identifier holds one value; set multiple: false, or use one property for each value")
            )
        if self.identifier and self.type not in IDENTIFIER_TYPES:
            problems.append(Problem(("type",), f"a {self.type} can't be an identifier; use one of {', '.join(IDENTIFIER_TYPES)}"))
        refuse(problems)
        return self


BUILT_IN = (
    Property(name="permission_level", type="text"),
    Property(name="viewed_interactions", type="text", multiple=True),
    Property(name="consents", type="text", multiple=True),
)
"""Properties every domain has without saying so (SPEC E7); they enter the schema when a mapping first uses them."""


def _distinct_properties(properties: tuple[Property, ...]) -> tuple[Property, ...]:
    problems = [
        Problem((later, "name"), f"property '{shown(name)}' is defined twice; remove one, or rename it")
        for later, _, name in repeated(one.name for one in properties)
    ]
    built_in = {one.name for one in BUILT_IN}
    problems += [
        Problem((position, "name"), f"'{one.name}' is built in; leave it out, mappings can use it as it is")
        for position, one in enumerate(properties)
        if one.name in built_in
    ]
    refuse(problems)
    return properties


Properties = Annotated[tuple[Property, ...], AfterValidator(_distinct_properties)]


class GroupType(ConfigurationModel):
    """Households, companies, accounts: groups with properties of their own. SPEC G1, G5."""

    name: ObjectName = Field(description="how group import goals call it")
    properties: Properties = Field(default=(), description="of its groups; built-in properties are for profiles only")


def _distinct_group_types(group_types: tuple[GroupType, ...]) -> tuple[GroupType, ...]:
    refuse(
        Problem((later, "name"), f"group type '{name}' is defined twice; remove one, or rename it")
        for later, _, name in repeated(one.name for one in group_types)
    )
    return group_types


class Domain(ConfigurationModel):
    """A set of profiles that are matched among themselves only (SPEC I2)."""

    version: Literal[1] = Field(description="of the file format: 1")
    kind: Literal["domain"] = Field(description="what the file defines: domain")
    name: ObjectName = Field(description="how goals call it")
    partitions: Annotated[Count, Field(ge=1, le=4096)] = Field(
        default=32, description="how many ways the domain's work can be split; fixed once the domain exists"
    )
    properties: Properties = Field(default=(), description="that profiles have; mappings may add more")
    group_types: Annotated[tuple[GroupType, ...], AfterValidator(_distinct_group_types)] = Field(default=(), description="groups (SPEC G1)")
    objectives: Objectives = Field(default=(), description="that a profile can consent to (SPEC P1)")

    def find_property(self, name: str) -> Property | None:
        """The property of that name, built-in ones included; None if the domain has none."""
        built_in = () if GROUP_MARK in self.name else BUILT_IN
        return next((one for one in (*self.properties, *built_in) if one.name == name), None)

    def with_properties(self, added: Iterable[Property]) -> Domain:
        """The domain as it is once these are created too; those it has already stay as they are."""
        names = {one.name for one in self.properties}
        return self.model_copy(update={"properties": (*self.properties, *(one for one in added if one.name not in names))})

    def group_domain(self, group_type: str) -> Domain | None:
        """A group type is a domain of its own (SPEC G5), `retail~household`; None if the domain has no such group type."""
        for one in self.group_types:
            if one.name == group_type:
                name = f"{self.name}{GROUP_MARK}{group_type}"
                return self.model_copy(update={"name": name, "properties": one.properties, "group_types": ()})
        return None


GROUP_MARK = "~"
"""Between a domain and its group type. No written name holds it, so the two kinds can't meet."""


def domain_from_stored(document: dict[str, Any]) -> Domain:
    """What `model_dump` gave, of a group type's domain too: its name is none that a file may write."""
    name = str(document["name"])
    written = Domain.model_validate({**document, "name": name.partition(GROUP_MARK)[0]})
    return written.model_copy(update={"name": name})


def refused_changes(stored: Domain, written: Domain) -> list[Problem]:
    """What can't change in a domain that exists. Properties are judged by `headrace.schema.evolve`, which knows of values."""
    if stored.partitions == written.partitions:
        return []
    return [
        Problem(
            ("partitions",),
            f"can't change from {stored.partitions} to {written.partitions}: it is fixed when the domain is created;"
            f" write {stored.partitions}, or make a new domain and import into it",
        )
    ]
