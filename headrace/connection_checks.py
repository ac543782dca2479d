"""What a connection says, against the domains that it names: SPEC M1, M6, M7, M9, G1, P1."""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Mapping as Lookup

from headrace.address import PROFILE_IDENTIFIER
from headrace.configuration_model import Path, Problem, shown
from headrace.connections import Connection
from headrace.domains import BUILT_IN, Domain, Property
from headrace.exports import PropertyColumn, SegmentsColumn
from headrace.goals import ExportProfilesGoal, Goal, ImportGoal, ImportGroupsGoal
from headrace.mappings import Link, Mapping
from headrace.written_cells import write_cell


def validate_against(connection: Connection, domains: Lookup[str, Domain]) -> list[Problem]:
    """Everything about the connection that does not fit the domains (by name), none if all does.

    A domain's properties should be all that it has: those of its file, and those that mappings created before
    (`headrace.schema.with_stored_properties`). Properties that it does not have yet are created by `apply`: see `new_properties`.
    """
    problems = _unknown_objectives(connection, domains)
    created: dict[str, Domain] = {}
    exports = []
    for position, goal in enumerate(connection.goals):
        prefix: Path = ("goals", position)
        domain, missing = _domain_of(goal, domains)
        if domain is None:
            problems += [problem.below(*prefix) for problem in missing]
        elif isinstance(goal, ImportGoal):
            domain = created.get(domain.name, domain)
            problems += [problem.below(*prefix) for problem in _import_problems(goal, domain)]
            created[domain.name] = domain.with_properties(_created_by(goal, domain))
        elif isinstance(goal, ExportProfilesGoal):
            exports.append((prefix, goal, domain))
    for prefix, goal, domain in exports:
        problems += [problem.below(*prefix) for problem in _export_problems(goal, created.get(domain.name, domain))]
    return problems


def new_properties(connection: Connection, domains: Lookup[str, Domain]) -> dict[str, tuple[Property, ...]]:
    """What `apply` has to create (SPEC M9): by domain, `retail~household` for groups, the properties in the order they are first mapped.

    Built-in properties are among them where the connection uses them and the domain's schema does not have them yet.
    Only for connections that `validate_against` finds nothing wrong with.
    """
    found: dict[str, tuple[Property, ...]] = {}
    known: dict[str, Domain] = {}
    for goal in connection.import_goals:
        domain, _ = _domain_of(goal, domains)
        if domain is not None:
            now = known.get(domain.name, domain)
            added = _created_by(goal, now)
            found[domain.name] = (*found.get(domain.name, ()), *added)
            known[domain.name] = now.with_properties(added)
    return {name: properties for name, properties in found.items() if properties}


def domain_name(goal: Goal) -> str:
    """The domain that a goal works on: a group type is one of its own (SPEC G5)."""
    return f"{goal.domain}~{goal.group_type}" if isinstance(goal, ImportGroupsGoal) else goal.domain


def _domain_of(goal: Goal, domains: Lookup[str, Domain]) -> tuple[Domain | None, list[Problem]]:
    domain = domains.get(goal.domain)
    if domain is None:
        known = ", ".join(sorted(name for name in domains if "~" not in name)) or "none"
        return None, [Problem(("domain",), f"there is no domain '{goal.domain}'; define it first (known: {known})")]
    if not isinstance(goal, ImportGroupsGoal):
        return domain, []
    group = domains.get(domain_name(goal)) or domain.group_domain(goal.group_type)
    if group is None:
        known = ", ".join(one.name for one in domain.group_types) or "none"
        why = f"domain '{domain.name}' has no group type '{goal.group_type}'; define it under group_types first (known: {known})"
        return None, [Problem(("group_type",), why)]
    return group, []


def created_property(mapping: Mapping, goal: ImportGoal) -> Property:
    """What a mapping to a property that the domain does not have creates (SPEC M9): a built-in one, or of the mapping's type, or text."""
    if not isinstance(goal, ImportGroupsGoal):
        for one in BUILT_IN:
            if one.name == mapping.property:
                return one
    return Property(name=mapping.property, type=mapping.type or "text", multiple=bool(mapping.multiple))


def _created_by(goal: ImportGoal, domain: Domain) -> list[Property]:
    own = {one.name for one in domain.properties}
    return [created_property(one, goal) for one in goal.mappings if one.property not in own]


def _unknown_objectives(connection: Connection, domains: Lookup[str, Domain]) -> list[Problem]:
    named = {goal.domain for goal in connection.goals}
    used = [domain for name, domain in domains.items() if name in named]
    if not used:
        return []
    return [
        Problem(("objectives", position), f"domain '{domain.name}' has no objective '{objective}'; add it to the domain's objectives first")
        for position, objective in enumerate(connection.objectives)
        for domain in used
        if objective not in domain.objectives
    ]


def _import_problems(goal: ImportGoal, domain: Domain) -> Iterator[Problem]:
    for position, link in enumerate(goal.link):
        for what in _link_problems(link, domain):
            yield Problem(("link", position, "property"), what)
    for position, mapping in enumerate(goal.mappings):
        known = domain.find_property(mapping.property)
        problems = _contradictions(mapping, known, domain) if known else []
        shape = known or created_property(mapping, goal)
        for problem in problems or _rule_problems(mapping, shape, goal, is_new=known is None):
            yield problem.below("mappings", position)


def _link_problems(link: Link, domain: Domain) -> list[str]:
    if link.property == PROFILE_IDENTIFIER:
        return []
    identifiers = [one.name for one in domain.properties if one.identifier]
    choice = f"link to one of {', '.join((*identifiers, PROFILE_IDENTIFIER))}"
    known = domain.find_property(link.property)
    if known is None:
        return [f"domain '{domain.name}' has no property '{shown(link.property)}'; {choice}"]
    if not known.identifier:
        return [f"'{shown(link.property)}' is not a unique identifier; {choice}, or set identifier: true in the domain"]
    return []


def _contradictions(mapping: Mapping, known: Property, domain: Domain) -> list[Problem]:
    problems = []
    where = f"in domain '{domain.name}' property '{shown(known.name)}'"
    if mapping.type is not None and mapping.type != known.type:
        problems.append(Problem(("type",), f"{where} is of type {known.type}, not {mapping.type}; leave type out here"))
    if mapping.multiple is not None and mapping.multiple != known.multiple:
        holds = "a list" if known.multiple else "one value"
        problems.append(Problem(("multiple",), f"{where} holds {holds}; leave multiple out here"))
    return problems


def _rule_problems(mapping: Mapping, shape: Property, goal: ImportGoal, *, is_new: bool) -> Iterator[Problem]:
    name = shown(shape.name)
    if mapping.rule == "add" and not shape.multiple:
        advice = "write multiple: true here, since it is a new property, or use rule: set" if is_new else "use rule: set or set_if_empty"
        yield Problem(("rule",), f"add needs a property that holds a list, '{name}' holds one value; {advice}")
    if mapping.rule == "sum" and (shape.type != "number" or shape.multiple or shape.identifier):
        what = "an identifier" if shape.identifier else f"a {'list' if shape.multiple else shape.type}"
        advice = "write type: number here, since it is a new property" if is_new and not shape.multiple else "use rule: set or set_if_empty"
        yield Problem(("rule",), f"sum needs a single number property, '{name}' is {what}; {advice}")
    if shape.multiple and shape.type == "number" and goal.format.multi_value == goal.format.decimal:
        yield Problem(("property",), f"'{name}' holds a list of numbers, but format.multi_value is format.decimal; change one of the two")


NAME_CHARACTER = re.compile("[a-zA-Z0-9_-]")
SAMPLES = {"number": "-1234567890.5", "date": "2019-03-31", "datetime": "2019-03-31T04:07:05Z", "email": "a@b.example"}
"""What no separator of values may be a part of: a cell with it would be read as several values (SPEC I8)."""


def _export_problems(goal: ExportProfilesGoal, domain: Domain) -> Iterator[Problem]:
    separator, cells = goal.format.multi_value, goal.format.cells
    for position, column in enumerate(goal.columns):
        if isinstance(column, SegmentsColumn) and separator is not None and NAME_CHARACTER.fullmatch(separator):
            yield Problem(
                ("columns", position), f"segment names may hold '{separator}', which is format.multi_value; use another one, for example |"
            )
        if not isinstance(column, PropertyColumn):
            continue
        known = domain.find_property(column.property)
        if known is None:
            what = f"domain '{domain.name}' has no property '{shown(column.property)}'; define it, or remove the column"
            yield Problem(("columns", position, "property"), what)
        elif known.multiple and separator is None:
            what = f"'{shown(known.name)}' holds a list; set format.multi_value, for example to |"
            yield Problem(("columns", position, "property"), what)
        elif known.type in SAMPLES and write_cell(known.type, SAMPLES[known.type], cells) is None:
            what = f"'{shown(known.name)}' is a {known.type}, whose cells hold '{separator}', which is format.multi_value; use another one, for example |"
            yield Problem(("columns", position, "property"), what)
