"""Keeps one server alive no longer than the process that wanted it. Run as a script, with the standard library alone (`python -I -S`).

Why a process of its own between the two: PR_SET_PDEATHSIG fires when the *thread* that forked dies, so a server started from a thread
pool would die with the thread; it reaches only the direct child, never what that child started (Prefect starts each flow run in a
session of its own); and a `preexec_fn` in a process with threads may deadlock. The keeper has one thread, adopts every orphan
below it (PR_SET_CHILD_SUBREAPER), and ends all of them when

- the server ends, by itself or killed;
- the keeper gets SIGTERM (the graceful stop: SIGTERM to the server, a deadline, then SIGKILL to everything below);
- the parent is gone, even by kill -9: SIGKILL to everything below, at once.

If the keeper itself is killed -9, the kernel kills the server (PR_SET_PDEATHSIG: here the forking thread is the only one).

    keeper.py PARENT_PID STOP_SECONDS STATUS_FD -- COMMAND...

Writes the server's pid and a newline to STATUS_FD. Exits with the server's exit code, or 128 + the signal that ended it, or 127 when the
command could not be started. Other inherited descriptors stay open here and are closed in the server: a lock held by
them lasts as long as the keeper does.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
CANNOT_START = 127
LOOK_AGAIN_MILLISECONDS = 500
"""Only where the kernel has no pidfd does a parent's death take this long to be seen."""


def prctl(option: int, argument: int) -> None:
    """Linux only; elsewhere the polling of the parent's pid has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, argument, 0, 0, 0)


def start(command: list[str], keeper: int) -> int:
    """Fork and exec in a process group of its own; returns the pid."""
    pid = os.fork()
    if pid:
        with contextlib.suppress(OSError):  # both sides set it, whoever comes first; too late once the child has exec'd
            os.setpgid(pid, pid)
        return pid
    try:
        os.setpgid(0, 0)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != keeper:  # the keeper died before prctl took hold
            os._exit(CANNOT_START)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        for descriptor in (int(name) for name in os.listdir("/dev/fd")):  # noqa: PTH208 - pathlib costs an allocation per entry after fork
            if descriptor > 2:
                with contextlib.suppress(OSError):
                    os.set_inheritable(descriptor, False)
        os.execvp(command[0], command)  # noqa: S606 - starting a program is the purpose
    except OSError as error:
        os.write(2, f"cannot start {command[0]}: {error}\n".encode())
    os._exit(CANNOT_START)


def reap(server: int) -> int | None:
    """Collect whoever has ended below; returns the server's exit code once it is among them."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == server:
            exit_code = os.waitstatus_to_exitcode(status)
            code = exit_code if exit_code >= 0 else 128 - exit_code


def below(ancestor: int) -> set[int]:
    """The pids of all descendants, from /proc; empty where there is none. Who changes parents meanwhile may be missed."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The second field is the program's name in parentheses, with any character in it: count from the last parenthesis.
            parent = entry.read_text(errors="replace").rpartition(")")[2].split()[1]
        except (OSError, IndexError):
            continue  # ended while we looked
        children.setdefault(int(parent), []).append(int(entry.parent.name))
    found: set[int] = set()
    front = [ancestor]
    while front:
        kin = [pid for pid in children.get(front.pop(), []) if pid not in found]
        found.update(kin)
        front.extend(kin)
    return found


def end_all_below(server: int) -> None:
    """SIGKILL to the server's group and to every descendant, again and again until none is left.

    Whoever loses its parent becomes our own child (PR_SET_CHILD_SUBREAPER). So "no child left to wait for" means that nothing is left
    below, and nothing else means it: one look through /proc may miss a process whose parent dies in that moment.
    """
    give_up = time.monotonic() + 10  # a process that hangs in the kernel can't be killed by anybody
    while time.monotonic() < give_up:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(server, signal.SIGKILL)
        for pid in below(os.getpid()):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        reap(server)
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        time.sleep(0.01)


def send(server: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(server, number)


def keep(server: int, parent: int, stop_seconds: float, woken: int) -> int:
    """Wait until the server ends, a stop is asked for, or the parent is gone; returns the exit code."""
    poller = select.poll()
    poller.register(woken, select.POLLIN)
    with contextlib.suppress(OSError, AttributeError):  # no pidfd in this kernel, or the parent is gone already
        poller.register(os.pidfd_open(parent), select.POLLIN)
    deadline: float | None = None
    while True:
        code = reap(server)
        if code is not None:
            return code
        if os.getppid() != parent or (deadline is not None and time.monotonic() > deadline):
            return 128 + signal.SIGKILL
        wait = (
            LOOK_AGAIN_MILLISECONDS if deadline is None else max(1, min(LOOK_AGAIN_MILLISECONDS, int(1000 * (deadline - time.monotonic()))))
        )
        ready = {descriptor for descriptor, _ in poller.poll(wait)}
        # A signal's number is written to this pipe by the C handler: none is lost between two looks.
        signals = os.read(woken, 4096) if woken in ready else b""
        if deadline is None and (signal.SIGTERM in signals or signal.SIGINT in signals):
            deadline = time.monotonic() + stop_seconds
            send(server, signal.SIGTERM)
            send(server, signal.SIGCONT)  # one that was stopped would never see the SIGTERM


def main() -> int:
    parent, stop_seconds, status = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    command = sys.argv[sys.argv.index("--") + 1 :]
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, lambda _number, _frame: None)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    server = start(command, os.getpid())
    try:
        with contextlib.suppress(BrokenPipeError):  # the parent is gone: `keep` sees that too
            os.write(status, f"{server}\n".encode())
        os.close(status)
        return keep(server, parent, stop_seconds, woken)
    finally:
        end_all_below(server)


if __name__ == "__main__":
    sys.exit(main())
