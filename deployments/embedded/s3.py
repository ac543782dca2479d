"""An S3 for one machine: moto in a process of its own (`s3_server.py`). It forgets everything when it ends.

Checked against moto 5.2 with boto3 on two cores:

- Honoured: `If-Match` on GET, HEAD and on ranges (412), `VersionId` (also with `If-Match`; a deleted one is NoSuchVersion), 416 past the
  end, `If-None-Match: *` on PUT (412), `x-amz-copy-source-if-match` on CopyObject and UploadPartCopy (through `s3_server.py`: moto alone
  ignores it), part copies with a range, multi-part uploads invisible until completed, abort, pages of 1,000 keys, delimiters.
- Not honoured: signatures and their expiry (any credentials do), SSE-C (an object put with a customer's key is readable without it),
  policies (no AccessDenied is ever answered).
- Objects over 16 MB lie in temporary files in the stack's directory, but each GET first reads the whole object into memory, a range too,
  and a response is never torn: replacing an object mid-read shows only when the reader comes back with a range. 1 GB: multi-part upload
  15 s (peak 2.6 GB), GET 1.3 s (0.9 s to the first byte, +1 GB while it lasts), a range 0.8 s whatever its length, server-side copy 9 s.
  So: files up to some hundred MB; larger ones want a real S3.
- Region us-east-1: elsewhere CreateBucket wants a LocationConstraint.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from deployments.embedded.processes import LOOPBACK, ChildProcess, ProcessSpec, RunningServer, http_probe, server_environment

START_SECONDS = 60.0
IN_MEMORY = 16 << 20
REGION = "us-east-1"
ACCESS_KEY_ID = "headrace"
SECRET_ACCESS_KEY = "headrace-embedded"  # noqa: S105 - moto verifies no signature: this guards nothing
PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class S3Server(RunningServer):
    port: int

    @property
    def endpoint_url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"


def version() -> str:
    from importlib.metadata import version as package_version

    return package_version("moto")


def start_s3(*, directory: Path, log_path: Path, port: int, held: tuple[int, ...] = (), in_memory: int = IN_MEMORY) -> S3Server:
    """Start and wait until it answers; ServerNotStartedError quotes its log. `in_memory`: bytes; larger objects lie in files of `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    process = ChildProcess.start(
        ProcessSpec(
            name=f"S3 (moto) on port {port}",
            command=(sys.executable, "-m", "deployments.embedded.s3_server", LOOPBACK, str(port)),
            environment=server_environment(
                TMPDIR=str(directory), PYTHONPATH=str(PROJECT), PYTHONUNBUFFERED="1", MOTO_S3_DEFAULT_KEY_BUFFER_SIZE=str(in_memory)
            ),
            directory=directory,
            log_path=log_path,
            stop_seconds=3.0,
            held=held,
        )
    )
    process.wait_until_ready(http_probe(f"http://{LOOPBACK}:{port}/"), seconds=START_SECONDS)
    return S3Server(process, port)
