"""What the documents say to type, point to and list is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.reference import pages
from tests.fundamentals.command_line import problem
from tests.fundamentals.sources import PROJECT

DOCUMENTS = [
    path
    for path in (PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", PROJECT / "CHANGELOG.md", *sorted((PROJECT / "docs").rglob("*.md")))
    if path.name != "spec.md"
]
EXECUTED = {PROJECT / "docs" / "segments.md", *(PROJECT / "docs" / "howto").glob("*.md")}
"""Their blocks are run, by tests/integration/test_howtos.py."""
names = [str(path.relative_to(PROJECT)) for path in DOCUMENTS]


def in_blocks(text: str) -> Iterator[str]:
    """Lines of shell blocks."""
    for block in re.findall(r"```(?:sh|bash|console)\n(.*?)```", text, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            yield line.strip().removeprefix("$ ")


def in_sentences(text: str) -> Iterator[str]:
    """What stands in `…` and begins with a command of ours: a command alone (`headrace up`), not a file name or a library's."""
    without_blocks = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for one in re.findall(r"`([^`\n]+)`", without_blocks):
        if re.match(r"(headrace|make|docker compose run) [a-z]", one):
            # A sentence may name a command without its arguments.
            yield one if "-" in one or one.startswith("make") else f"{one} …"


@pytest.mark.parametrize("document", DOCUMENTS, ids=names)
def test_commands_are_true(document: Path) -> None:
    text = document.read_text()
    lines = [*in_sentences(text), *(() if document in EXECUTED else in_blocks(text))]
    wrong = {line: found for line in lines if (found := problem(as_typed(line)))}
    assert not wrong


def as_typed(line: str) -> str:
    """`headrace check FILE…`: a word with an ellipsis stands for some words."""
    return re.sub(r"\S*(…|\.\.\.)", "…", line)


def anchors(path: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=names)
def test_links_lead_somewhere(document: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        path = (document.parent / name).resolve() if name else document
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize(("name", "text"), pages().items(), ids=list(pages()))
def test_reference_pages_are_up_to_date(name: str, text: str) -> None:
    assert (PROJECT / "docs" / name).read_text() == text, "the code says something else: run make docs"


def test_every_decision_is_in_the_index() -> None:
    folder = PROJECT / "docs" / "adr"
    records = {path.name for path in folder.glob("[0-9]*.md")}
    assert set(re.findall(r"\((\d{4}-[^)]+\.md)\)", (folder / "README.md").read_text())) == records
    numbers = [name[:4] for name in records]
    assert len(set(numbers)) == len(numbers), "two decisions have one number"


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("headrace run cdnow", False),
        ("headrace run cdnow purchases --json", False),
        ("headrace check …", False),
        ("headrace profile get shop customer_id=00001", False),
        ("headrace apply domains/shop.yaml", False),
        ("docker compose run --rm headrace runs", False),
        ("headrace fly", True),
        ("headrace run", True),
        ("headrace run cdnow --quickly", True),
        ("headrace profile lose shop", True),
        ("headrace apply domains/none.yaml", True),
        ("make demo", False),
        ("make coffee", True),
        ("python -m streaming.worker", False),
        ("python -m streaming.nothing", True),
        ('python -c "from deployments.bootstrap import nothing"', True),
    ],
)
def test_the_reader_of_commands_knows_right_from_wrong(line: str, refused: bool) -> None:
    assert (problem(line) is not None) == refused
