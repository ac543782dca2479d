"""Child processes that never outlive us: started, watched until ready, stopped. Every embedded server runs under `keeper.py`."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from headrace.errors import TerminalError

LOOPBACK = "127.0.0.1"
KEEPER = Path(__file__).with_name("keeper.py")

Probe = Callable[[], str | None]
"""None: ready. Otherwise what was seen instead, in a few words, for the error."""


class ServerNotStartedError(TerminalError):
    """A server of the embedded stack did not come up: the message quotes the end of its log."""

    code = "SERVER_NOT_STARTED"


@dataclass(frozen=True)
class ProcessSpec:
    """What to run. `environment` is the whole environment of the process, nothing is added to it.

    `held` are open descriptors (a lock) that shall stay open as long as anything of this process lives.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path
    log_path: Path
    stop_seconds: float = 10.0
    held: tuple[int, ...] = ()


@dataclass
class ChildProcess:
    """A running server and its keeper. `pid` is the server's own: kill, stop and continue it by that in fault tests."""

    spec: ProcessSpec
    pid: int
    _keeper: subprocess.Popen[bytes]
    _stopping: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def start(cls, spec: ProcessSpec) -> Self:
        spec.directory.mkdir(parents=True, exist_ok=True)
        spec.log_path.parent.mkdir(parents=True, exist_ok=True)
        status_read, status_write = os.pipe()
        keeper_command = [sys.executable, "-I", "-S", str(KEEPER), str(os.getpid()), str(spec.stop_seconds), str(status_write), "--"]
        try:
            with spec.log_path.open("ab") as log:
                keeper = subprocess.Popen(
                    [*keeper_command, *spec.command],
                    cwd=spec.directory,
                    env=dict(spec.environment),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(status_write, *spec.held),
                    start_new_session=True,  # Ctrl-C in the terminal is ours to answer, not theirs
                )
        finally:
            os.close(status_write)
        with os.fdopen(status_read) as status:
            line = status.readline()
        if not line:
            keeper.wait()
            raise ServerNotStartedError(
                f"{spec.name} could not be started. The end of {spec.log_path}:\n{log_tail(spec.log_path)}",
                hint="Check that this user may start processes here, then start again.",
            )
        child = cls(spec, int(line), keeper)
        with _starting:
            _children[:] = [one for one in _children if one.running] + [child]
        return child

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def log_path(self) -> Path:
        return self.spec.log_path

    @property
    def exit_code(self) -> int | None:
        """None while it runs; 128 + the signal's number when a signal ended it."""
        return self._keeper.poll()

    @property
    def running(self) -> bool:
        return self.exit_code is None

    def wait(self, seconds: float) -> int:
        """Until the process and everything below it has ended; returns the exit code. TimeoutError says what it waited for."""
        try:
            return self._keeper.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self.name} (process {self.pid}) was expected to end, and still runs after {seconds:g} s") from None

    def wait_until_ready(self, probe: Probe, *, seconds: float) -> None:
        """Poll `probe`; stops the process and raises ServerNotStartedError when it ends or stays unready."""
        try:
            wait_until(f"{self.name} is ready", lambda: self._ended() or probe(), seconds=seconds, give_up=lambda: not self.running)
        except TimeoutError as error:
            self.stop()
            raise ServerNotStartedError(
                f"{error}. The end of {self.log_path}:\n{log_tail(self.log_path)}",
                hint=f"Read {self.log_path}. A port in use, a full disk and too little memory are the usual causes; then start again.",
            ) from None

    def _ended(self) -> str | None:
        code = self.exit_code
        return None if code is None else f"the process ended with exit code {code}"

    def signal(self, number: signal.Signals) -> None:
        """To the server alone, not to what it started."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9, as a crash would: everything below goes too, and all of it is gone on return."""
        self.signal(signal.SIGKILL)
        self.wait(15)

    def stop(self) -> None:
        """SIGTERM, `stop_seconds` to finish, then SIGKILL to all of it. Returns when nothing is left; a second call does nothing."""
        with self._stopping:
            if self.running:
                self._keeper.terminate()
                self.wait(self.spec.stop_seconds + 15)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


_children: list[ChildProcess] = []
_starting = threading.Lock()


def stop_children_below(directory: Path) -> None:
    """Every process that was started in a directory or below it, also one that nobody could note because its start was interrupted."""
    with _starting:
        found = [one for one in _children if one.running and one.spec.directory.is_relative_to(directory)]
    for one in found:
        one.stop()


def wait_until(what: str, probe: Probe, *, seconds: float, give_up: Callable[[], bool] = lambda: False) -> None:
    """Poll until the probe answers None. TimeoutError says what was awaited, for how long, and what was seen last."""
    start = time.monotonic()
    pause = 0.01
    while True:
        seen = probe()
        if seen is None:
            return
        waited = time.monotonic() - start
        if waited > seconds or give_up():
            raise TimeoutError(f"waited {waited:.1f} s (at most {seconds:g} s) until {what}; last seen: {seen}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.25)


def tcp_probe(port: int, host: str = LOOPBACK) -> Probe:
    """Ready when the port accepts a connection."""

    def probe() -> str | None:
        try:
            with socket.create_connection((host, port), timeout=2):
                return None
        except OSError as error:
            return f"{host}:{port} does not accept connections ({error})"

    return probe


def http_probe(url: str) -> Probe:
    """Ready when the URL answers 200. Asked without any proxy: it is on this machine."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def probe() -> str | None:
        try:
            with opener.open(url, timeout=5) as answer:
                return None if answer.status == 200 else f"{url} answered {answer.status}"
        except (OSError, urllib.error.URLError) as error:
            return f"{url} does not answer ({error})"

    return probe


def log_tail(path: Path, lines: int = 25) -> str:
    """The last lines of a log, indented; says so when there are none."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - 16_384))
            text = log.read().decode(errors="replace")
    except OSError as error:
        return f"    (the log can't be read: {error})"
    tail = text.splitlines()[-lines:]
    return "\n".join(f"    {line}" for line in tail) or "    (the log is empty)"


_given: set[int] = set()
_giving = threading.Lock()
_claims: deque[socket.socket] = deque()
KEPT_CLAIMS = 200
"""More than a process has servers that are still starting; one whose claim went has its port bound."""


def free_port() -> int:
    """A free loopback port, never the same twice in this process, and claimed against the others of this machine.

    From below the ephemeral range: a port that the kernel hands out for port 0 may, seconds later and before a slow server has bound it,
    become the source port of somebody's outgoing connection.
    """
    with _giving:
        for _ in range(1000):
            port = random.randrange(15_000, 32_000)  # noqa: S311 - not a secret
            if _take(port):
                return port
    raise ServerNotStartedError(
        "no free port between 15000 and 32000 on 127.0.0.1 in 1000 tries.", hint="Stop servers that are not needed, then start again."
    )


def port_is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a port in TIME_WAIT is free
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def port_or_free(preferred: int) -> int:
    """The well-known port when nobody has it, or is about to, else any free one."""
    with _giving:
        if _take(preferred):
            return preferred
    return free_port()


def _take(port: int) -> bool:
    if port in _given or not port_is_free(port) or not _claimed(port):
        return False
    _given.add(port)
    return True


def _claimed(port: int) -> bool:
    """False when another process was given this port, and may not have bound it yet: a Prefect server takes 5 to 17 s until it does.

    A name in Linux' abstract socket namespace: one for the whole machine (or container), and gone with the process. Elsewhere nobody claims.
    """
    if sys.platform != "linux":
        return True
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0headrace port {port}")
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    if len(_claims) > KEPT_CLAIMS:
        _claims.popleft().close()
    return True


SERVER_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "USER", "LD_LIBRARY_PATH")


def server_environment(**extra: str) -> dict[str, str]:
    """For third-party servers: what a program needs to run, and nothing of the user's own settings (Tansu reads LISTENER_URL, …)."""
    return {name: os.environ[name] for name in SERVER_VARIABLES if name in os.environ} | extra


def program_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """For our own programs: the user's environment, without what would lead them to another Prefect or another S3."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "AWS_"))}
    return kept | dict(extra)


@dataclass(frozen=True)
class RunningServer:
    """A server that runs until the block, or somebody, ends it."""

    process: ChildProcess

    def stop(self) -> None:
        """Lets it finish what it holds first, as long as its specification says."""
        self.process.stop()

    def kill(self) -> None:
        """kill -9: nothing is written on the way out."""
        self.process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
