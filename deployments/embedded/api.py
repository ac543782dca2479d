"""The HTTP API for one machine: `headrace api`, ready when /ready answers 200. Who may call it is made once, with a key for trying out."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deployments.embedded.directory import kept_secret
from deployments.embedded.processes import LOOPBACK, ChildProcess, ProcessSpec, RunningServer, http_probe, program_environment

START_SECONDS = 60.0
ACCESS_KEY_ID = "HEADRACETRYINGOUT000"

PRINCIPALS = f"""\
version: 1
kind: principals
principals:
  - name: trying-out
    keys:
      - {{id: {ACCESS_KEY_ID}, from_file: trying-out.txt}}
    allow:
      - {{operations: ["*"], domains: ["*"]}}
"""


UPLOADS_BUCKET = "headrace-uploads"


@dataclass(frozen=True)
class ApiServer(RunningServer):
    url: str


@dataclass(frozen=True)
class ApiAccess:
    """What the API of a directory is started with; `secret`: of ACCESS_KEY_ID."""

    principals_file: Path
    master_key: str
    secret: str

    def environment(self) -> dict[str, str]:
        return {"HEADRACE_API_PRINCIPALS_FILE": str(self.principals_file), "HEADRACE_API_MASTER_KEY": self.master_key}


def api_access(directory: Path) -> ApiAccess:
    """Made where it is not there yet; a restart must open what was sealed before."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "principals.yaml"
    if not path.exists():
        path.write_text(PRINCIPALS)
    return ApiAccess(path, kept_secret(directory / "master-key"), kept_secret(directory / "trying-out.txt"))


def make_uploads_bucket(environment: Mapping[str, str]) -> None:
    """Where uploaded files are kept. The embedded S3 forgets it when it ends."""
    from object_store.access import S3Access, connect

    names = ("ENDPOINT_URL", "REGION", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY")
    connect(S3Access(*(environment[f"HEADRACE_S3_{name}"] for name in names))).create_bucket(Bucket=UPLOADS_BUCKET)


def start_api(*, environment: Mapping[str, str], directory: Path, log_path: Path, port: int, held: tuple[int, ...] = ()) -> ApiServer:
    """`environment`: all HEADRACE_* it needs. ServerNotStartedError quotes its log."""
    url = f"http://{LOOPBACK}:{port}"
    listening = {"HEADRACE_API_HOST": LOOPBACK, "HEADRACE_API_PORT": str(port), "PYTHONUNBUFFERED": "1"}
    whole = program_environment({**environment, **listening})
    process = ChildProcess.start(
        ProcessSpec(
            name="API",
            command=(sys.executable, "-m", "headrace", "api"),
            environment=whole,
            directory=directory,
            log_path=log_path,
            # Longer than it may drain, else the drain would end in a SIGKILL.
            stop_seconds=float(whole.get("HEADRACE_API_DRAIN_SECONDS", "30")) + 5,
            held=held,
        )
    )
    process.wait_until_ready(http_probe(f"{url}/ready"), seconds=START_SECONDS)
    return ApiServer(process, url)
