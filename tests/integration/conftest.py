"""Servers that several files of this folder share; each is started once, when the first test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.embedded.prefect import start_prefect_server
from deployments.embedded.processes import free_port
from tests.integration.prefect_api import PrefectApi


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectApi]:
    """An empty Prefect server, without any worker."""
    root: Path = tmp_path_factory.mktemp("prefect")
    with start_prefect_server(directory=root / "home", log_path=root / "server.log", port=free_port()) as server:
        yield PrefectApi(f"{server.ui_url}/api", server.environment)
