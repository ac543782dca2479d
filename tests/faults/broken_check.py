"""`python -m tests.faults.broken_check [NAME…]`: the checker checked. Each broken variant of the product, a patch in tests/faults/broken/, must be caught.

A patch is applied to a copy of the tree, never to the tree. Its head says what it breaks, and how it is caught:

    Breaks: batches are applied whatever the fence says
    Caught by: schedules from 12           ordinary schedules, the first of which has this seed; 50 at most
    Caught by: test tests/contract/test_x.py::test_y      where schedules hardly meet it; `Why:` says why
    Caught by: model NO_FENCE              and the model of the protocol, where it knows the rule
    Calm: differs                          wrong without any fault too (`may differ`: at times); all others must pass a schedule without faults
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.pipeline import ROOT
from tests.servers.kafka import JARS

PATCHES = ROOT / "tests" / "faults" / "broken"
MOST_SCHEDULES = 50
CALM_SEED = 2
"""One file behind the other: no order is left to chance."""
_HEAD = re.compile(r"^(Breaks|Caught by|Why|Calm): +(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Variant:
    """`seed`: the first schedule's; None: schedules hardly meet it, tests and model do. `wrong_when_calm`: no fault is needed; None: at times."""

    path: Path
    breaks: str
    seed: int | None
    tests: tuple[str, ...]
    model: tuple[str, ...]
    why: str
    wrong_when_calm: bool | None

    @property
    def name(self) -> str:
        return self.path.stem


def read_variant(path: Path) -> Variant:
    head, _, _ = path.read_text().partition("diff --git")
    said: dict[str, list[str]] = {}
    for name, value in _HEAD.findall(head):
        said.setdefault(name, []).append(value.strip())
    caught = {kind: [one.split(" ", 1)[1] for one in said["Caught by"] if one.startswith(kind)] for kind in ("schedules", "test", "model")}
    seeds = [int(one.removeprefix("from ")) for one in caught["schedules"]]
    return Variant(
        path,
        said["Breaks"][0],
        seeds[0] if seeds else None,
        tuple(caught["test"]),
        tuple(caught["model"]),
        " ".join(said.get("Why", [])),
        None if said.get("Calm") == ["may differ"] else said.get("Calm") == ["differs"],
    )


def variants() -> list[Variant]:
    return [read_variant(path) for path in sorted(PATCHES.glob("*.patch"))]


@contextmanager
def broken_tree(variant: Variant) -> Iterator[Path]:
    """A copy of the tree as it is, uncommitted changes included, with the patch applied."""
    with tempfile.TemporaryDirectory(prefix=f"headrace-{variant.name}-") as directory:
        tree = Path(directory)
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (ROOT / name).is_file():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                (tree / name).write_bytes((ROOT / name).read_bytes())
        jars = tree / JARS.relative_to(ROOT)
        if JARS.exists():
            jars.symlink_to(JARS)
        subprocess.run(["git", "apply", str(variant.path)], cwd=tree, check=True)
        yield tree


def refusal_of(variant: Variant) -> str:
    """Why the patch does not fit the tree any more; empty if it does."""
    checked = subprocess.run(["git", "apply", "--check", str(variant.path)], cwd=ROOT, capture_output=True, text=True, check=False)
    return f"{variant.path.name} does not apply: {checked.stderr.strip()}" if checked.returncode else ""


def run_in(tree: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and what was printed."""
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=tree,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def problems_of(variant: Variant) -> list[str]:
    """What is not as the head of the patch says; prints on the way how the variant was caught."""
    found = []
    refused = refusal_of(variant)
    if refused:
        return [refused]
    with broken_tree(variant) as tree:
        if variant.seed is not None:
            found += _calm(variant, tree) + _schedules(variant, tree)
        for test in variant.tests:
            code, said = run_in(tree, "pytest", "-q", "-p", "no:cacheprovider", test)
            if code != 1:
                found.append(f"{test} does not fail: exit code {code}\n{said[-1_000:]}")
            else:
                _tell(f"    caught by {test}: {_reason(said)}")
    for rule in variant.model:
        code, said = run_in(ROOT, "pytest", "-q", "-p", "no:cacheprovider", "tests/protocol", "-k", f"caught and {rule}")
        if code:
            found.append(f"the model does not catch {rule}: exit code {code}\n{said[-1_000:]}")
        else:
            _tell(f"    caught by the model: {rule}")
    if not (variant.seed is not None or variant.tests):
        found.append("neither schedules nor a test catch it on real code")
    return found


def _calm(variant: Variant, tree: Path) -> list[str]:
    """Without faults a broken variant does what it should: so it is the faults that catch it."""
    if variant.wrong_when_calm is None:
        return []
    code, said = run_in(tree, "tests.faults", "--calm", "--schedules", "1", "--seed", str(CALM_SEED))
    if (code == 0) == variant.wrong_when_calm:
        return [f"a schedule without faults {'passes' if code == 0 else 'fails'}\n{said[-2_000:]}"]
    return []


def _schedules(variant: Variant, tree: Path) -> list[str]:
    begun = time.monotonic()
    code, said = run_in(tree, "tests.faults", "--schedules", str(MOST_SCHEDULES), "--seed", str(variant.seed), "--stop-at-first")
    caught = re.findall(r"^seed (\d+).*FAILED: (.+)$", said, re.MULTILINE)
    if code == 0 or not caught:
        return [f"not caught by {MOST_SCHEDULES} schedules from seed {variant.seed} (exit code {code})\n{said[-1_000:]}"]
    played = len(re.findall(r"^seed \d+, ", said, re.MULTILINE))
    _tell(f"    caught by schedule {played}, seed {caught[0][0]}, {time.monotonic() - begun:.0f} s: {caught[0][1]}")
    return []


def _reason(said: str) -> str:
    """The first error that pytest shows."""
    found = re.search(r"^E +(.+)$", said, re.MULTILINE)
    return found[1][:160] if found else "it fails"


def _tell(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(names: list[str]) -> int:
    known = variants()
    strangers = set(names) - {one.name for one in known}
    if strangers:
        _tell(f"no such variants: {sorted(strangers)}; there are {[one.name for one in known]}")
        return 2
    bad = []
    for variant in known:
        if names and variant.name not in names:
            continue
        _tell(f"{variant.name}: {variant.breaks}")
        for problem in problems_of(variant):
            _tell(f"    NOT CAUGHT: {problem}")
            bad.append(variant.name)
    _tell(f"not caught: {sorted(set(bad))}" if bad else "Each is caught.")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
