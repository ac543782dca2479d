"""`make` on a fresh machine: what it says when something is missing. That it installs is seen wherever the suite runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.fundamentals.command_line import make_targets
from tests.fundamentals.sources import PROJECT

SHELL_SCRIPTS = ("deployments/setup.sh", "deployments/compose_env.sh")


def run_setup(checkout: Path, *, python: str, path: str) -> subprocess.CompletedProcess[str]:
    """The script in a checkout of its own, so that this one's .venv stays as it is."""
    (checkout / "deployments").mkdir()
    for name in ("setup.sh", "uv.txt"):
        shutil.copy(PROJECT / "deployments" / name, checkout / "deployments" / name)
    environment = {"PATH": path, "HOME": str(checkout), "PYTHON": python}
    return subprocess.run(["/bin/sh", checkout / "deployments" / "setup.sh"], env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A PATH with what the script needs and nothing else: no uv."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("awk", "sort", "head", "grep", "cmp", "rm", "cp", "dirname", "touch", "cat", "sh"):
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    return folder


def executable(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def python_of(path: Path, release: tuple[int, int]) -> Path:
    """A Python that says it is of that release, and has neither venv nor pip."""
    pretend = f"import sys; sys.version_info = {release}; sys.executable = '{path}'; sys.modules.update(ensurepip=None, venv=None); exec(sys.argv[1])"
    text = f"""#!/bin/sh
case "$1" in
  --version) echo Python {release[0]}.{release[1]} ;;
  -c) exec {sys.executable} -c "{pretend}" "$2" ;;
  *) echo No module >&2; exit 1 ;;
esac
"""
    return executable(path, text)


@pytest.mark.parametrize("release", [(2, 7), (3, 9), (3, 10)])
def test_an_old_python_is_named(tmp_path: Path, tools: Path, release: tuple[int, int]) -> None:
    old = python_of(tools / "python3", release)
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    done = run_setup(checkout, python=str(old), path=str(tools))
    assert done.returncode == 1
    assert "needs Python 3.11 or later" in done.stderr
    assert f"Python {release[0]}.{release[1]}" in done.stderr
    assert "apt-get install python3" in done.stderr


def test_a_python_without_venv_and_pip_is_told_what_to_install(tmp_path: Path, tools: Path) -> None:
    """Debian's python3 is like this until python3-venv or python3-pip is installed."""
    bare = python_of(tools / "python3", (3, 11))
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    done = run_setup(checkout, python=str(bare), path=str(tools))
    assert done.returncode == 1
    assert "neither venv nor pip" in done.stderr
    assert "apt-get install python3-venv" in done.stderr
    assert not (checkout / ".venv").exists()


def test_an_installed_uv_is_used_unless_it_is_too_old(tmp_path: Path, tools: Path) -> None:
    python = python_of(tools / "python3", (3, 14))
    executable(tools / "uv", '#!/bin/sh\n[ "$1" = --version ] && echo uv 0.9.1 && exit\necho "$@" >> called\n/bin/mkdir -p .venv\n')
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    done = run_setup(checkout, python=str(python), path=str(tools))
    assert done.returncode == 0, done.stderr
    assert (checkout / "called").read_text() == f"sync --frozen --all-extras --quiet --python {python}\n"
    assert not (checkout / ".uv").exists()
    executable(tools / "uv", "#!/bin/sh\necho uv 0.4.30\n")
    shutil.rmtree(checkout)
    checkout.mkdir()
    old = run_setup(checkout, python=str(python), path=str(tools))
    assert "neither venv nor pip" in old.stderr, "an old uv was used, or another way was found that this machine should not have"


@pytest.mark.parametrize("script", SHELL_SCRIPTS)
def test_scripts_are_shell(script: str) -> None:
    subprocess.run(["sh", "-n", PROJECT / script], check=True)


def test_ci_is_shell_and_can_be_run() -> None:
    script = PROJECT / ".ci" / "run"
    subprocess.run(["bash", "-n", script], check=True)
    assert os.access(script, os.X_OK)
    assert "make test" in script.read_text()


def test_make_alone_prints_help() -> None:
    make = shutil.which("make")
    assert make
    shown = subprocess.run([make], cwd=PROJECT, capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]}).stdout
    lines = [line for line in shown.splitlines() if line.strip()]
    assert all(re.match(r"  make [a-z-]+ +\S", line) for line in lines), "one line a target, and nothing else"
    assert {line.split()[1] for line in lines} == make_targets()


def test_what_is_phony_is_a_target() -> None:
    """make takes a phony target without a rule for done."""
    phony = re.findall(r"^\.PHONY: ([a-z-]+)$", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert set(phony) == make_targets()


@pytest.mark.parametrize("target", sorted(make_targets()))
def test_every_target_can_be_made(target: str) -> None:
    """What it depends on is there; nothing is run."""
    make = shutil.which("make")
    assert make
    subprocess.run([make, "--dry-run", target], cwd=PROJECT, capture_output=True, check=True)


def test_the_lock_is_that_of_the_project() -> None:
    """`uv sync --frozen` would not notice."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    lock = tomllib.loads((PROJECT / "uv.lock").read_text())
    [ours] = [one for one in lock["package"] if one["name"] == "headrace"]
    wanted = {name_of(one) for one in project["project"]["dependencies"]}
    wanted |= {name_of(one) for extra in project["project"]["optional-dependencies"].values() for one in extra}
    assert {(one["name"], one.get("specifier", "")) for one in ours["metadata"]["requires-dist"]} == wanted
    development = {name_of(one) for one in project["dependency-groups"]["dev"]}
    assert {(one["name"], one.get("specifier", "")) for one in ours["metadata"]["requires-dev"]["dev"]} == development


def name_of(requirement: str) -> tuple[str, str]:
    found = re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?(.*)", requirement)
    assert found
    return found[1].lower().replace("_", "-"), found[2].strip()


def test_packages_come_from_the_public_index() -> None:
    hosts = set(re.findall(r"https?://([^/\"]+)", (PROJECT / "uv.lock").read_text()))
    assert hosts == {"pypi.org", "files.pythonhosted.org"}
