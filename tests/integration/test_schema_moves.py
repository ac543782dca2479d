"""What was planned by a schema that has changed before it got its number is planned again (DESIGN §1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.connections import Connection
from profile_store import registry, sequence
from profile_store.registration import Registration
from profile_store.sequence import SchemaMovedError
from streaming.importing import erase, expire, register
from streaming.importing.erase import register_erasure
from streaming.importing.expire import register_expiry
from streaming.importing.register import register_import
from streaming.importing.scan import scan_goal
from tests.pipeline import Pipeline, access_to, pipeline
from tests.shop import as_csv, customers, purchases, shop


def an_import(real: Pipeline, connection: Connection) -> Registration:
    goal = connection.import_goals[0]
    [file] = scan_goal(real.context, connection, goal)
    return register_import(real.context, connection, goal, file.version, "run")


def an_erasure(real: Pipeline, connection: Connection) -> Registration:
    return register_erasure(real.context, connection.import_goals[0].domain, bytes(16), False)


def an_expiry(real: Pipeline, connection: Connection) -> Registration:
    return register_expiry(real.context, connection.import_goals[0].domain, 1_700_000_000)


@pytest.fixture
def real(valkey: ValkeyServer, tansu_server: BrokerServer, empty_s3: S3Server) -> Pipeline:
    made = pipeline(valkey.url, tansu_server.bootstrap_servers, access_to(empty_s3))
    made.make_bucket("crm")
    made.put("crm", "in/a.csv", as_csv(purchases(3)))
    return made


@pytest.mark.parametrize(
    ("ask", "module", "plans"), [(an_import, register, "plan_of"), (an_erasure, erase, "erasure_plan"), (an_expiry, expire, "erasure_plan")]
)
@pytest.mark.parametrize("moves", [2, 5])
def test_it_is_planned_again(
    real: Pipeline,
    domain_name: str,
    monkeypatch: pytest.MonkeyPatch,
    ask: Callable[[Pipeline, Connection], Registration],
    module: Any,
    plans: str,
    moves: int,
) -> None:
    domain, plan, made = shop(domain_name), getattr(module, plans), list[int]()
    connection = real.apply(domain, customers(domain_name))

    def overtaken(*given: Any) -> Any:
        """Between the look at the schema and the number somebody else changes it, so many times."""
        planned = plan(*given)
        if len(made) < moves:
            made.append(len(made))
            domain["properties"].append({"name": f"new_{len(made)}"})
            real.apply(domain, customers(domain_name))
        return planned

    monkeypatch.setattr(module, plans, overtaken)
    if moves == 5:
        with pytest.raises(SchemaMovedError, match="planned again"):
            ask(real, connection)
        assert {one.kind for one in registrations(real, domain_name)} == {"schema"}
        return
    registered = ask(real, connection)
    present = registry.get_domain(real.store, domain_name).schema.version
    assert registered.schema_version == present == 1 + moves
    assert registrations(real, domain_name)[-1] == sequence.open_registrations(real.store, domain_name)[0] == registered


def registrations(real: Pipeline, domain: str) -> list[Registration]:
    return [sequence.load_needed(real.store, domain, number) for number in range(1, sequence.last_number(real.store, domain) + 1)]
