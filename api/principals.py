"""Who may call the API and do what (docs/api.md, SPEC U12). `api.principals_file` reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from api.model import operations
from headrace.configuration_model import ConfigurationModel, Problem, refuse, repeated
from headrace.names import ObjectName

MOST_KEYS = 2
_KEY_ID = re.compile(r"[A-Za-z0-9_]{16,128}", re.ASCII)
_PATTERN = re.compile(r"[A-Za-z0-9_*-]{1,64}", re.ASCII)


def _key_id(text: str) -> str:
    if not _KEY_ID.fullmatch(text):
        raise ValueError("is no access key id; use 16 to 128 letters and digits")
    return text


def _domain_pattern(text: str) -> str:
    if not _PATTERN.fullmatch(text):
        raise ValueError("is no name of a domain, with * for any characters")
    return text


def _operation_pattern(text: str) -> str:
    if not _PATTERN.fullmatch(text) or not any(fnmatchcase(name, text) for name in operations()):
        raise ValueError("is no operation's name, with * for any characters, like *UploadJob*")
    return text


class Key(ConfigurationModel):
    """An access key: its id, and where its secret is. Exactly one of the two places is named."""

    id: Annotated[str, AfterValidator(_key_id)] = Field(description="the access key id, 16 to 128 letters and digits")
    from_file: str = Field(
        default="", description="a file that holds the secret and nothing else; beside this file, unless the path is absolute"
    )
    from_environment: str = Field(default="", description="name of the environment variable that holds the secret")

    @model_validator(mode="after")
    def _has_one_place(self) -> Self:
        if bool(self.from_file) == bool(self.from_environment):
            refuse([Problem(("from_file",), "say where the secret is: either from_file or from_environment")])
        return self


class Rule(ConfigurationModel):
    """Operations that are allowed, and in which domains."""

    operations: Annotated[tuple[Annotated[str, AfterValidator(_operation_pattern)], ...], Field(min_length=1)] = Field(
        description="names of operations, * stands for any characters"
    )
    domains: Annotated[tuple[Annotated[str, AfterValidator(_domain_pattern)], ...], Field(min_length=1)] = Field(
        description="names of domains, * stands for any characters"
    )


class Principal(ConfigurationModel):
    """A person or program that calls the API. Two keys may be live at once, so that one can be replaced."""

    name: ObjectName = Field(description="how the audit trail calls it")
    keys: Annotated[tuple[Key, ...], Field(min_length=1, max_length=MOST_KEYS)] = Field(description="one, or two while one is replaced")
    allow: tuple[Rule, ...] = Field(default=(), description="what it may do; what no rule allows is forbidden")

    def may(self, operation: str, domain: str | None) -> bool:
        """`domain` None: the operation is about no domain; then any rule for it is enough."""
        return any(
            any(fnmatchcase(operation, one) for one in rule.operations)
            and (domain is None or any(fnmatchcase(domain, one) for one in rule.domains))
            for rule in self.allow
        )


class PrincipalsFile(ConfigurationModel):
    """All who may call the API."""

    version: Literal[1] = Field(description="of the file format: 1")
    kind: Literal["principals"] = Field(description="what the file defines: principals")
    principals: Annotated[tuple[Principal, ...], Field(min_length=1)] = Field(description="who may call the API")

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names = [
            Problem(("principals", at, "name"), "is there twice; rename one") for at, _, _ in repeated(one.name for one in self.principals)
        ]
        every = [(at, place, key.id) for at, one in enumerate(self.principals) for place, key in enumerate(one.keys)]
        doubles = [every[at][:2] for at, _, _ in repeated(key for _, _, key in every)]
        refuse(
            [
                *names,
                *(
                    Problem(("principals", at, "keys", place, "id"), "is there twice; each key has an id of its own")
                    for at, place in doubles
                ),
            ]
        )
        return self


@dataclass(frozen=True, slots=True)
class Principals:
    """Access key id → whose it is, and its secret."""

    owners: Mapping[str, Principal]
    secrets: Mapping[str, str] = field(repr=False)

    def secret_of(self, access_key_id: str) -> str | None:
        return self.secrets.get(access_key_id)
