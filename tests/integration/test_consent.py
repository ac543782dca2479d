"""A connection with objectives from its file to its numbers, as people use it: check, apply, run, look at profiles, ask what was exchanged."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from headrace.merge import Profile
from tests.integration.command_line import CommandLine
from tests.pipeline import Pipeline, access_to, pipeline
from tests.servers.valkey import flush

DOMAIN = """\
version: 1
kind: domain
name: retail
partitions: 3
properties:
  - {name: customer_id, identifier: true}
  - {name: email, type: email, identifier: true}
  - {name: points, type: number}
group_types:
  - {name: household, properties: [{name: household_id, identifier: true}, {name: size, type: number}]}
objectives: [newsletter, ads]
"""
HEAD = """\
version: 1
kind: connection
name: NAME
objectives: [OBJECTIVES]
goals:
  - kind: import_profiles
    id: people
    name: People
    domain: retail
    source: {bucket: BUCKET, directory: NAME/, files: "*.csv"}
    format: {multi_value: "|"}
    allow_creation: true
"""
CUSTOMER = """\
    link: [{column: id, property: customer_id}]
    mappings:
      - {column: mail, property: email}
      - {column: points, property: points, rule: sum}
      - {column: consents, property: consents}
  - kind: import_groups
    id: households
    name: Households
    domain: retail
    group_type: household
    source: {bucket: BUCKET, directory: groups/}
    link: [{column: hh, property: household_id}]
    allow_creation: true
    mappings: [{column: size, property: size}]
"""
WEB = """\
    link: [{column: mail, property: email}]
    mappings: [{column: points, property: points, rule: sum}]
"""


def by_customer(real: Pipeline) -> dict[str, Profile]:
    return {str(one["customer_id"]): one for one in real.profiles("retail").values()}


@pytest.fixture
def headrace(valkey_server: ValkeyServer, tansu_server: BrokerServer, s3_server: S3Server, tmp_path: Path) -> CommandLine:
    flush(valkey_server)
    environment = {
        "HEADRACE_REDIS_URL": valkey_server.url,
        "HEADRACE_KAFKA_BOOTSTRAP_SERVERS": tansu_server.bootstrap_servers,
        "HEADRACE_KAFKA_TOPIC_PREFIX": f"h{uuid.uuid4().hex[:8]}",
    }
    access = access_to(s3_server)
    environment |= {
        "HEADRACE_S3_ENDPOINT_URL": s3_server.endpoint_url,
        "HEADRACE_S3_REGION": access.region,
        "HEADRACE_S3_ACCESS_KEY_ID": access.access_key_id or "",
        "HEADRACE_S3_SECRET_ACCESS_KEY": access.secret_access_key or "",
    }
    return CommandLine(tmp_path, environment)


@pytest.mark.slow
@pytest.mark.spec("P1", "R3", "G5")
def test_only_who_consented_is_imported_and_each_profile_counts_once(
    headrace: CommandLine, valkey_server: ValkeyServer, tansu_server: BrokerServer, s3_server: S3Server
) -> None:
    """The first connection has a name of eight letters: behind it a key could be as long as an address."""
    real = pipeline(valkey_server.url, tansu_server.bootstrap_servers, access_to(s3_server))
    real.settings.kafka.topic_prefix = headrace.environment["HEADRACE_KAFKA_TOPIC_PREFIX"]
    bucket = f"b{uuid.uuid4().hex[:10]}"
    real.make_bucket(bucket)
    files = {
        "retail": DOMAIN,
        "customer": (HEAD + CUSTOMER).replace("NAME", "customer").replace("OBJECTIVES", "newsletter, ads"),
        "web": (HEAD + WEB).replace("NAME", "web").replace("OBJECTIVES", "ads"),
    }
    for name, content in files.items():
        (headrace.directory / f"{name}.yaml").write_text(content.replace("BUCKET", bucket))
    warned = headrace("check", *(f"{name}.yaml" for name in files), "--json").document["warnings"]
    assert any("goal households imports groups, which have no consents: every row is taken" in one for one in warned)
    assert any("connection web has objectives, goal people maps no column to consents" in one for one in warned)
    applied = headrace("apply", *(f"{name}.yaml" for name in files), "--json")
    assert applied.code == 0
    assert [one for one in applied.document["warnings"] if "objectives" in one] == [one for one in warned if "objectives" in one]
    first = (
        "id,mail,points,consents\nC1,a@example.com,1,newsletter\nC2,b@example.com,1,ads|sms\nC3,c@example.com,1,sms\nC4,d@example.com,1,\n"
    )
    real.put(bucket, "customer/1.csv", first.encode())
    real.put(bucket, "groups/1.csv", b"hh,size\nH1,2\nH2,3\n")
    real.put(bucket, "web/1.csv", b"mail,points\na@example.com,2\nb@example.com,2\nx@example.com,2\n")
    with real.workers("retail"), real.workers("retail~household"):
        assert headrace("run", "customer", "--here").code == 0
        assert headrace("run", "web", "--here").code == 0
        assert by_customer(real) == {
            "C1": {"customer_id": "C1", "email": "a@example.com", "points": "1", "consents": ("newsletter",)},
            "C2": {"customer_id": "C2", "email": "b@example.com", "points": "3", "consents": ("ads", "sms")},
        }
        real.put(bucket, "customer/2.csv", b"id,mail,points,consents\nC1,e@example.com,4,sms\nC2,,4,\nC5,,4,ads\n")
        assert headrace("run", "customer", "--here").code == 0
    assert headrace("profile", "get", "retail~household", "household_id=H2", "--json").document["values"] == {
        "household_id": "H2",
        "size": "3",
    }
    found = by_customer(real)
    assert found["C1"] == {"customer_id": "C1", "email": "a@example.com", "points": "1", "consents": ("sms",)}
    assert found["C2"]["points"] == "7"
    assert set(found) == {"C1", "C2", "C5"}
    assert headrace("exchange", "--json").document["exchange"] == [
        {"connection": "customer", "domain": "retail", "imported": 3, "exported": 0},
        {"connection": "customer", "domain": "retail~household", "imported": 2, "exported": 0},
        {"connection": "web", "domain": "retail", "imported": 1, "exported": 0},
    ]
    said = headrace("exchange", "web")
    assert said.code == 0
    assert "unique profiles imported" in said.out + said.err
    assert headrace("exchange", "nobody", "--json").code == 1
