"""kill -9 of the API in the middle of what it changes: the next process finishes it, and whoever asks again is told how it stands (SPEC P2, S1, U14).

The next process takes up what was registered when the dead one's lease is over; the tests end it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, HTTPClientError

from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.failpoints import VARIABLE
from headrace.yaml_source import Configuration
from profile_store import registry, retirement, sequence
from profile_store.segment_registry import segments_of
from streaming.importing.apply import plan_configuration
from streaming.segments.materialize import materialize
from tests.api_client import MASTER_KEY, RunningApi, client_of, running_api, write_principals
from tests.faults.nursery import Nursery
from tests.faults.rounds import KILLED, OF_DOMAINS, points
from tests.integration.test_api_domains import BUCKET, KEPT, kept_of, load_people
from tests.membership import check_members
from tests.pipeline import Pipeline, access_to, pipeline
from tests.polling import eventually
from tests.servers.valkey import flush

pytestmark = pytest.mark.slow

FIRST = {"Groups": [{"Dimensions": [{"ProfileAttributes": {"FirstName": {"DimensionType": "INCLUSIVE", "Values": ["first"]}}}]}]}


def answer(client: Any, operation: str, **members: Any) -> int:
    """The status."""
    try:
        return int(getattr(client, operation)(**members)["ResponseMetadata"]["HTTPStatusCode"])
    except ClientError as error:
        said: Any = error.response
        return int(said["ResponseMetadata"]["HTTPStatusCode"])


@dataclass
class Processes:
    """APIs that end themselves at a failpoint, and those that come after them. `domain`: with fifty people, and a worker."""

    real: Pipeline
    nursery: Nursery
    directory: Path
    domain: str

    def kill(self, failpoint: str, operation: str, **members: Any) -> None:
        """The API dies of the call, or soon after it."""
        log = self.directory / f"{operation}-{failpoint}.log"
        environment = self.real.environment() | {
            VARIABLE: failpoint,
            "HEADRACE_API_PORT": "0",
            "HEADRACE_API_PARTITIONS": "2",
            "HEADRACE_API_PRINCIPALS_FILE": str(write_principals(self.directory)),
            "HEADRACE_API_MASTER_KEY": MASTER_KEY.get_secret_value(),
        }
        process = self.nursery.start("tests.run_api", [], environment, log)

        def url() -> str | None:
            found = re.search(r"serving the API on (http[^\s\"]+)", log.read_text()) if log.exists() else None
            return found[1] if found else None

        client = client_of(eventually(url, within=30, what="the API listens"))
        with suppress(HTTPClientError):
            getattr(client, operation)(**members)
        assert eventually(process.poll, within=30, what=f"the API dies at {failpoint}") == KILLED, log.read_text()

    @contextmanager
    def next(self) -> Iterator[RunningApi]:
        """The process after one that died, whose lease is over."""
        for key in self.real.store.client.scan_iter(match=f"{{{self.domain}}}:lease:*"):
            self.real.store.client.delete(key)
        with running_api(self.real, self.directory) as running:
            yield running

    def settled(self) -> bool:
        floor, last = sequence.domain_floor(self.real.store, self.domain), sequence.last_number(self.real.store, self.domain)
        return floor == last


@pytest.fixture(scope="module")
def processes(
    valkey_server: ValkeyServer, tansu_server: BrokerServer, s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Processes]:
    flush(valkey_server)
    real = pipeline(valkey_server.url, tansu_server.bootstrap_servers, access_to(s3_server))
    if BUCKET not in real.objects.list_buckets():
        real.make_bucket(BUCKET)
    directory, domain = tmp_path_factory.mktemp("api"), "killed"
    with Nursery(directory / "nursery.log", ("tests.run_api",)) as nursery, running_api(real, directory, partitions=2) as api:
        api.client().create_domain(DomainName=domain, DefaultExpirationDays=1)
        with real.workers(domain):
            load_people(real, domain, "first")
            yield Processes(real, nursery, directory, domain)


@pytest.mark.spec("P2")
@pytest.mark.parametrize("failpoint", ["announce:before", "publish:after", "raise_floor:after"])
def test_an_erasure_is_finished(processes: Processes, failpoint: str) -> None:
    before = processes.real.profiles(processes.domain)
    asked = {"DomainName": processes.domain, "ProfileId": min(before).hex()}
    processes.kill(failpoint, "delete_profile", **asked)
    with processes.next() as api:
        assert answer(api.client(), "delete_profile", **asked) in (200, 404)
        eventually(processes.settled, within=20, what="the erasure is over")
        assert answer(api.client(), "delete_profile", **asked) == 404
    assert processes.real.profiles(processes.domain) == {one: profile for one, profile in before.items() if one != min(before)}


@pytest.mark.spec("S1")
@pytest.mark.parametrize(
    ("failpoint", "again"),
    [("register_segments:before", 200), ("register_segments:after", 409), ("begin_generations:after", 409), ("end_segments:before", 409)],
)
def test_a_segment_definition_is_there_or_is_not(processes: Processes, failpoint: str, again: int) -> None:
    name = failpoint.replace(":", "-")
    asked = {"DomainName": processes.domain, "SegmentDefinitionName": name, "DisplayName": name, "SegmentGroups": FIRST}
    processes.kill(failpoint, "create_segment_definition", **asked)
    with processes.next() as api:
        assert answer(api.client(), "create_segment_definition", **asked) == again
        eventually(processes.settled, within=20, what="workers know of it")
        assert not materialize(processes.real.store, processes.domain).waiting
        profiles = processes.real.profiles(processes.domain)
        assert check_members(processes.real.store, processes.domain, profiles)[name] == len(profiles)


@pytest.mark.spec("S1")
@pytest.mark.parametrize(("failpoint", "again"), [("register_segments:before", 200), ("register_segments:after", 404)])
def test_a_deleted_segment_definition_is_gone_or_is_not(processes: Processes, failpoint: str, again: int) -> None:
    asked = {"DomainName": processes.domain, "SegmentDefinitionName": f"deleted-{again}"}
    with processes.next() as api:
        client = api.client()
        client.create_segment_definition(**asked, DisplayName="x", SegmentGroups=FIRST)
        processes.kill(failpoint, "delete_segment_definition", **asked)
        assert answer(client, "delete_segment_definition", **asked) == again
    with processes.next() as api:
        assert answer(api.client(), "create_segment_definition", **asked, DisplayName="x", SegmentGroups=FIRST) == 200
        eventually(processes.settled, within=20, what="workers know of it")
    assert asked["SegmentDefinitionName"] in {one.name for one in segments_of(processes.real.store, processes.domain)}


@pytest.mark.spec("U14")
@pytest.mark.parametrize("failpoint", points(OF_DOMAINS))
def test_a_domain_that_is_deleted_by_halves_goes_when_it_is_asked_for_again(processes: Processes, failpoint: str) -> None:
    store, domain = processes.real.store, failpoint.replace(":", "-")
    with processes.next() as api:
        client = api.client()
        client.create_domain(DomainName=domain, DefaultExpirationDays=1)
        processes.kill(failpoint, "delete_domain", DomainName=domain)
        assert plan_configuration(store, Configuration({}, {})).lines() == [], "others go on with what they do"
        assert domain in [one["DomainName"] for one in client.list_domains()["Items"]] or registry.find_domain(store, domain) is None
        store.client.delete(f"{{{domain}}}:claim")
        assert answer(client, "delete_domain", DomainName=domain) == 200
        assert answer(client, "delete_domain", DomainName=domain) == 404
        assert kept_of(store, domain) <= KEPT
        assert (domain in registry.domain_names(store), retirement.retiring_domains(store)) == (False, ())
        assert answer(client, "create_domain", DomainName=domain, DefaultExpirationDays=1) == 200


def test_after_all_of_it_files_are_imported(processes: Processes) -> None:
    erased = 50 - len(processes.real.profiles(processes.domain))
    with processes.next():
        assert load_people(processes.real, processes.domain, "second") == erased
