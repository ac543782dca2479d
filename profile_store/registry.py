"""The domains and connections of an installation, as `apply` left them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from headrace.address import domain_key
from headrace.connections import Connection
from headrace.domains import Domain, domain_from_stored
from headrace.errors import TerminalError
from headrace.schema import DomainSchema, decode_schema, encode_schema
from profile_store import keys
from profile_store.durability import barrier, partition_marks, read_durable, write_lost
from profile_store.partitions import make_partitions
from profile_store.retirement import claimed, drop_rest
from profile_store.store import Store, text, translated

DOMAIN_FORMAT = 1

Owner = Literal["yaml", "api"]


@dataclass(frozen=True, slots=True)
class StoredDomain:
    """A domain as the installation knows it. `address_key`: 32 bytes, in hex; it stays when the secret of the installation changes.

    `owner`: who defined it, and alone may change it (SPEC U14); `details`: what the API was told of it and gives back.
    """

    definition: Domain
    schema: DomainSchema
    address_key: str
    owner: Owner = "yaml"
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def partitions(self) -> int:
        return self.definition.partitions


def create_domain(
    store: Store,
    definition: Domain,
    schema: DomainSchema,
    address_secret: str,
    owner: Owner = "yaml",
    details: dict[str, Any] | None = None,
) -> bool:
    """Make a domain that does not exist yet: its partitions first, so that whoever sees it finds them. Durable before it returns.

    Whether it was made here: False where somebody else has made it meanwhile. Raises TransientError.
    """
    name = definition.name
    with claimed(store, name) as renew:
        if find_domain(store, name) is not None:
            with translated("creating a domain"):
                store.client.sadd(keys.domains(), name)  # whoever made it may have died just before
            return False
        drop_rest(store, name, renew)
        with translated("creating a domain"):
            floor = int(store.client.get(keys.floor(name)) or 0)
        make_partitions(store, name, definition.partitions, schema.version, floor)
        barrier(store, partition_marks(name, range(definition.partitions)))
        with translated("creating a domain"):
            store.client.setnx(keys.schema(name), encode_schema(schema))
        put_definition(store, definition, domain_key(name, address_secret).hex(), owner, details)
        with translated("creating a domain"):
            store.client.sadd(keys.domains(), name)
        barrier(store, [keys.mark(name)])
    return True


def put_definition(
    store: Store, definition: Domain, address_key: str, owner: Owner = "yaml", details: dict[str, Any] | None = None
) -> None:
    with translated("storing a domain"):
        store.client.set(keys.domain(definition.name), _document(definition, address_key, owner, details))


def replace_definition(store: Store, before: Domain, after: StoredDomain) -> bool:
    """Whether the definition was `before` still; then it is that of `after`."""
    key = keys.domain(after.name)
    with translated("reading a domain"):
        document = store.client.get(key)
    if document is None or domain_from_stored(json.loads(text(document))["definition"]) != before:
        return False
    return bool(
        store.run_script("replace_domain", [key], [document, _document(after.definition, after.address_key, after.owner, after.details)])
    )


def _document(definition: Domain, address_key: str, owner: Owner, details: dict[str, Any] | None) -> str:
    document = {"format": DOMAIN_FORMAT, "owner": owner, "address_key": address_key, "definition": definition.model_dump(mode="json")}
    return json.dumps({**document, **({"details": details} if details else {})}, sort_keys=True)


def find_domain(store: Store, name: str) -> StoredDomain | None:
    with translated("reading a domain"):
        document, schema = store.client.get(keys.domain(name)), store.client.get(keys.schema(name))
    if document is None or schema is None:
        return None
    data = json.loads(text(document))
    definition = domain_from_stored(data["definition"])
    return StoredDomain(definition, decode_schema(text(schema)), data["address_key"], data["owner"], data.get("details", {}))


def stored_domains(store: Store) -> dict[str, StoredDomain]:
    """All there are, by name. One that is just being deleted may be listed still."""
    found = {name: find_domain(store, name) for name in domain_names(store)}
    return {name: one for name, one in found.items() if one is not None}


def get_domain(store: Store, name: str) -> StoredDomain:
    """Raises TerminalError where there is no such domain."""
    found = find_domain(store, name)
    if found is None:
        there = ", ".join(domain_names(store)) or "none"
        raise TerminalError(
            f"There is no domain {name}; there are: {there}.",
            code="NO_SUCH_DOMAIN",
            hint="`headrace apply` makes the domains of its files.",
        )
    return found


def has_profiles(store: Store, domain: StoredDomain) -> bool:
    """Whether any partition has a profile."""
    for partition in range(domain.partitions):
        key = keys.meta(domain.name, partition)
        with store.on_node_of(key, "counting profiles") as node:
            found: Any = node.hget(key, "profiles")
        if int(found or 0) > 0:
            return True
    return False


def domain_names(store: Store) -> tuple[str, ...]:
    with translated("listing domains"):
        return tuple(sorted(text(name) for name in store.client.smembers(keys.domains())))


def put_connection(store: Store, connection: Connection) -> None:
    with translated("storing a connection"):
        store.client.hset(keys.connections(), connection.name, connection.model_dump_json())


def find_connection(store: Store, name: str) -> Connection | None:
    with translated("reading a connection"):
        document = store.client.hget(keys.connections(), name)
    return None if document is None else Connection.model_validate_json(text(document))


def get_connection(store: Store, name: str) -> Connection:
    """Raises TerminalError where there is no such connection."""
    found = find_connection(store, name)
    if found is None:
        there = ", ".join(connection_names(store)) or "none"
        raise TerminalError(
            f"There is no connection {name}; there are: {there}.",
            code="NO_SUCH_CONNECTION",
            hint="`headrace apply` makes the connections of its files.",
        )
    return found


def change_connection(store: Store, name: str, edit: Callable[[Connection], Connection]) -> Connection:
    """The connection after the edit, which is made on what is stored at that moment: two edits at once both count. Durable before it returns.

    Raises TransientError; TerminalError where there is none of that name.
    """
    key = keys.connections()
    while True:
        with translated("reading a connection"):
            document = store.client.hget(key, name)
        if document is None:
            return get_connection(store, name)
        edited = edit(Connection.model_validate_json(text(document)))
        written = edited.model_dump_json()
        if store.run_script("replace_connection", [key], [name, document, written]):
            # What somebody else made of it since is no loss.
            if text(read_durable(store, keys.connections_mark(), lambda node: node.hget(key, name))) == text(document) != written:
                raise write_lost(f"connection {name}")
            return edited


def delete_connection(store: Store, name: str) -> None:
    """Its run history stays."""
    with translated("deleting a connection"):
        store.client.hdel(keys.connections(), name)


def connection_names(store: Store) -> tuple[str, ...]:
    with translated("listing connections"):
        return tuple(sorted(text(name) for name in store.client.hkeys(keys.connections())))
