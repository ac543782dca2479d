"""The guide that the API was made after runs against it: its class, its functions, its command lines (SPEC U13).

Its words are in tests/data/customer_profiles, wrapped again and nothing else. A client sets the SDK's environment: where the API is, and a key.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from deployments.embedded.broker import BrokerServer
from deployments.embedded.s3 import S3Server
from deployments.embedded.valkey import ValkeyServer
from tests.api_client import ADMIN, SECRETS
from tests.pipeline import access_to, pipeline
from tests.upload_shop import Shop, headers_of, running_shop

pytestmark = [pytest.mark.slow, pytest.mark.spec("U13")]

WORDS = Path(__file__).parent.parent / "data" / "customer_profiles"
PROGRAMS = ("manager", "monitoring", "upload", "md5")


@pytest.fixture(scope="module")
def shop(
    valkey_server: ValkeyServer, tansu_server: BrokerServer, s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    real = pipeline(valkey_server.url, tansu_server.bootstrap_servers, access_to(s3_server))
    with running_shop(real, tmp_path_factory.mktemp("api")) as made:
        yield made


@dataclass
class Reader:
    """Somebody who follows the guide in a directory of their own. `filled`: placeholder → what they write in its place."""

    directory: Path
    url: str
    filled: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        programs = str(Path(sys.executable).parent)
        return {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(self.directory),
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": ADMIN,
            "AWS_SECRET_ACCESS_KEY": SECRETS[ADMIN],
            "AWS_DEFAULT_REGION": "us-east-1",
            "NO_PROXY": "127.0.0.1",
        }

    def fill(self, text: str) -> str:
        for placeholder, value in self.filled.items():
            text = text.replace(placeholder, value)
        assert not re.search(r"<[A-Z_]+>", text)
        return text

    def program(self, name: str, more: str = "") -> str:
        """Runs one; what it printed."""
        place = self.directory / f"{name}.py"
        place.write_text(self.fill((WORDS / f"{name}.py.txt").read_text()) + more)
        return self._ran([sys.executable, str(place)])

    def command(self, flat: str) -> Any:
        """Runs a command line: what it answered."""
        said = self._ran(["bash", "-c", self.fill(flat).replace("\\ --", "\\\n--")])
        return json.loads(said) if said.strip() else None

    def _ran(self, command: list[str]) -> str:
        done = subprocess.run(command, cwd=self.directory, env=self.environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + (done.stderr if "monitoring" in command[-1] else "")


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_programs_are_the_guides_words(name: str) -> None:
    assert (WORDS / f"{name}.py.txt").read_text().split() == (WORDS / f"{name}.txt").read_text().split()


def test_the_class_and_the_functions_run(shop: Shop, tmp_path: Path) -> None:
    reader = Reader(tmp_path, shop.api.url, {"<DOMAIN_NAME>": shop.domain})
    (tmp_path / "data.csv").write_text(
        "asset_id,account_number,asset_name,price\nASSET001,ACC123,Laptop,1200\nASSET002,ACC456,Server,5000\nASSET003,ACC789,Monitor,300\n"
    )
    said = reader.program("manager")
    assert "Workflow failed" not in said
    assert "✓ File uploaded successfully (Status: 200)" in said
    assert "Created 3 profiles" in said
    assert "Created 2 segments" in said
    shop.client.create_segment_definition(
        DomainName=shop.domain,
        SegmentDefinitionName="test-old",
        DisplayName="Old",
        SegmentGroups={
            "Groups": [{"Dimensions": [{"ProfileAttributes": {"FirstName": {"DimensionType": "INCLUSIVE", "Values": ["x"]}}}]}],
            "Include": "ALL",
        },
    )
    said = reader.program("monitoring", f'    cleanup_old_segments("{shop.domain}", "test-")\n')
    assert "Success rate: 1/1 (100.0%)" in said
    assert "Deleting test segment: test-old" in said
    names = [one["SegmentDefinitionName"] for one in shop.client.list_segment_definitions(DomainName=shop.domain)["Items"]]
    assert sorted(names) == ["asset-owners-segment", "high-value-customers"]
    for name in names:
        shop.client.delete_segment_definition(DomainName=shop.domain, SegmentDefinitionName=name)


def test_the_command_lines_run(shop: Shop, tmp_path: Path) -> None:
    reader = Reader(tmp_path, shop.api.url, {"<DOMAIN_NAME>": shop.domain})
    lines = (WORDS / "cli.txt").read_text().splitlines()
    setup, create, path, start, get, *segments, check, delete = lines
    for one in re.findall(r"aws configure set \w+ \S+|aws customer-profiles list-domains", setup):
        found = reader.command(one)
    assert shop.domain in [one["DomainName"] for one in found["Items"]]
    reader.filled["<JOB_ID>"] = job_id = reader.command(create)["JobId"]
    created, uploadable, processing, succeeded, segment = (json.loads(line) for line in (WORDS / "outputs.txt").read_text().splitlines())
    assert created.keys() == {"JobId"}
    assert reader.command(path).keys() == uploadable.keys()
    before = reader.command(get)
    assert before.keys() == processing.keys()
    assert "✓ File uploaded successfully!" in reader.program("upload")
    reader.command(start)
    shop.ended(job_id)
    done = reader.command(get)
    assert done.keys() == succeeded.keys()
    told = {name: one for name, one in succeeded.items() if name not in ("JobId", "CreatedAt", "CompletedAt", "ResultsSummary")}
    assert {name: done[name] for name in told} == told
    assert sum(done["ResultsSummary"].values()) == 3
    assert done["ResultsSummary"]["FailedRecords"] == 0
    assert reader.command(check.partition("information ")[2].partition(" #")[0]) == done
    answers = [reader.command(one) for one in segments]
    assert {name: answers[0][name] for name in ("SegmentDefinitionName", "DisplayName", "Description")}.items() <= segment.items()
    assert answers[0].keys() == segment.keys()
    path_of = segment["SegmentDefinitionArn"].rpartition(":")[2].replace("<DOMAIN_NAME>", shop.domain)
    assert answers[0]["SegmentDefinitionArn"].rpartition(":")[2] == path_of
    assert [one["SegmentDefinitionName"] for one in answers] == [
        "asset-owners-segment",
        "high-value-customers",
        "laptop-owners",
        "premium-business-segment",
    ]
    assert reader.command(delete.partition("segment ")[2].replace("existing-segment", "laptop-owners")) is not None


def test_what_it_says_of_targets_and_of_the_md5_is_so(shop: Shop) -> None:
    valid, checked = (WORDS / "targets.txt").read_text().splitlines()
    right, _, wrong = checked.partition("✗")
    targets = re.findall(r"_profile\.[\w.]+", valid + right)
    assert len(set(targets)) == 20
    fields = {target.replace(".", "_"): {"Source": target, "Target": target} for target in targets}
    asked = {"DomainName": shop.domain, "DisplayName": "all", "UniqueKey": "_profile_AccountNumber"}
    assert shop.client.create_upload_job(**asked, Fields=fields)["JobId"]
    for target in re.findall(r"_profile\.[\w.]+", wrong):
        with pytest.raises(
            ClientError, match=rf"Provided nested target is invalid. Found {target}, expected \[AccountNumber, BusinessName, FirstName, "
        ):
            shop.client.create_upload_job(**asked, Fields={**fields, "wrong": {"Source": "wrong", "Target": target}})
    token = shop.path(shop.create())["ClientToken"]
    said: dict[str, Any] = {"base64": base64, "hashlib": hashlib, "client_token": token}
    exec((WORDS / "md5.py.txt").read_text(), said)
    assert headers_of(token)["x-amz-server-side-encryption-customer-key-MD5"] == said["md5_b64"]
