"""Processes of this project without their second of start-up: each is forked from one that has imported everything and done nothing.

They are as real as those of a shell: memory, connections and threads of their own, to be killed, stopped and continued one by one.
`Nursery` is the driver's end; `python -m tests.faults.nursery MODULE…` the process that forks. When the driver ends, however it ends, all of them do.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from deployments.embedded.processes import LOOPBACK
from object_store.access import S3Access, connect
from tests.pipeline import ROOT

MODULES = ("streaming.worker.__main__", "tests.faults.terse_worker", "tests.faults.flow", "tests.faults.api_process", "tests.run_export")
_PR_SET_PDEATHSIG = 1


@dataclass
class Process:
    """A process of the nursery. `code` as a shell tells it, negative for a signal; None while it runs."""

    nursery: Nursery
    pid: int
    log: Path
    _code: int | None = None

    def poll(self) -> int | None:
        if self._code is None:
            self._code = self.nursery.ask({"poll": self.pid})
        return self._code

    @property
    def running(self) -> bool:
        return self.poll() is None

    def signal(self, number: signal.Signals) -> None:
        if self.running:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9; gone on return."""
        if self.running:
            self._code = self.nursery.ask({"kill": self.pid})


@dataclass
class Nursery:
    """Use it as a context; threads may share it."""

    log: Path
    modules: tuple[str, ...] = MODULES
    _process: subprocess.Popen[bytes] = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Nursery:
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.nursery", *self.modules],
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=out,
                start_new_session=True,
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def start(self, module: str, arguments: list[str], environment: dict[str, str], log: Path, *, apart: Path | None = None) -> Process:
        """`main(arguments)` of one of the modules in a process of its own. `apart`: where what it writes to stderr goes; None: to the log as well."""
        errors = log if apart is None else apart
        pid = self.ask({"module": module, "arguments": arguments, "environment": environment, "log": str(log), "errors": str(errors)})
        return Process(self, pid, log)

    def ask(self, request: dict[str, Any]) -> Any:
        with self._lock:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the nursery has ended; see {self.log}")
        return json.loads(answer)


def serve() -> None:
    """Answer requests, a line each, until there are no more."""
    for module in sys.argv[1:]:
        importlib.import_module(module)
    # Reading boto3's descriptions of all of AWS is most of what is left of a short process' work.
    connect(S3Access(f"http://{LOOPBACK}:1", access_key_id="nobody", secret_access_key="nothing"))
    codes: dict[int, int] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if "module" in request:
            answer: int | None = _fork(request)
            codes.pop(answer or 0, None)  # of a process that had this number before
        elif "kill" in request:
            answer = _kill(codes, request["kill"])
        else:
            answer = _code(codes, request["poll"], os.WNOHANG)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _kill(codes: dict[int, int], pid: int) -> int | None:
    if pid not in codes:
        os.kill(pid, signal.SIGKILL)
    return _code(codes, pid, 0)


def _code(codes: dict[int, int], pid: int, how: int) -> int | None:
    if pid not in codes:
        ended, status = os.waitpid(pid, how)
        if ended:
            codes[pid] = os.waitstatus_to_exitcode(status)
    return codes.get(pid)


def _fork(request: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for stream, log in ((1, request["log"]), (2, request["errors"])):
            os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644), stream)
        os.environ.clear()
        os.environ.update(request["environment"])
        code = importlib.import_module(request["module"]).main(tuple(request["arguments"]))
    except BaseException:  # noqa: BLE001 - whatever it is: the process ends here, and must not go on as a second nursery
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
