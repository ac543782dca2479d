"""Which servers a run of the suite really had: a green suite without Kafka must not look like one with it.

Fixtures note what they started, or why they could not; the summary says it in the end. A pytest plugin.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

KNOWN = ("Apache Kafka", "Tansu", "Valkey", "Valkey cluster", "S3", "Prefect server")


@dataclass
class ServerReport:
    """By server (one of KNOWN): what ran, with its version; why one could not."""

    ran: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def note_ran(self, server: str, description: str) -> None:
        self.ran[server] = description
        self.missing.pop(server, None)

    def note_missing(self, server: str, reason: str) -> None:
        if server not in self.ran:
            self.missing[server] = reason

    def lines(self) -> list[str]:
        """For people; empty when no test wanted any server."""
        if not self.ran and not self.missing:
            return []
        lines = ["servers that really ran: " + (", ".join(self.ran[name] for name in KNOWN if name in self.ran) or "none")]
        lines += [f"did not run: {name}, because {reason}" for name, reason in self.missing.items()]
        unasked = [name for name in KNOWN if name not in self.ran and name not in self.missing]
        if unasked:
            lines.append("not asked for by the tests of this run: " + ", ".join(unasked))
        return lines


REPORT = pytest.StashKey[ServerReport]()


def report_of(config: pytest.Config) -> ServerReport:
    return config.stash.setdefault(REPORT, ServerReport())


@pytest.fixture(scope="session")
def server_report(request: pytest.FixtureRequest) -> ServerReport:
    return report_of(request.config)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    report = report_of(config)
    lines = report.lines()
    if lines:
        terminalreporter.section("servers")
        for line in lines:
            terminalreporter.write_line(line, yellow=line.startswith("did not run"), bold=line.startswith("did not run"))
