"""docker-compose.yml and deployments/Dockerfile say things that the code has to know. Running them is the work of a machine with Docker."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from check_jsonschema.builtin_schemas import get_builtin_schema
from ruamel.yaml import YAML

from docs.reference import environment_variables
from tests.fundamentals.command_line import headrace_problem, python_problem
from tests.fundamentals.sources import PROJECT, tracked_files

COMPOSE = PROJECT / "docker-compose.yml"
DOCKERFILE = PROJECT / "deployments" / "Dockerfile"
OUR_IMAGE = "headrace:"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(COMPOSE)
    return loaded


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose["services"]
    return found


def test_it_is_a_compose_file(compose: dict[str, Any]) -> None:
    jsonschema.validate(compose, get_builtin_schema("vendor.compose-spec"))


def test_images_are_pinned(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        image = service["image"]
        assert re.fullmatch(r"[\w./-]+:(?!latest)[\w.${}:-]+", image), f"{name}: {image}"


def test_kafka_is_the_one_of_the_suite(services: dict[str, dict[str, Any]]) -> None:
    pom = (PROJECT / "deployments" / "kafka" / "pom.xml").read_text()
    version = re.search(r"<kafka\.version>(.+?)</kafka\.version>", pom)
    assert version
    assert services["kafka"]["image"] == f"apache/kafka:{version[1]}"


def test_valkey_is_the_one_of_the_suite(services: dict[str, dict[str, Any]]) -> None:
    from deployments.embedded.valkey import version

    assert services["valkey"]["image"].startswith(f"valkey/valkey:{version()}")


def test_valkey_loses_nothing(services: dict[str, dict[str, Any]]) -> None:
    command = " ".join(services["valkey"]["command"])
    for option in ("--appendonly yes", "--appendfsync always", "--maxmemory-policy noeviction", "--requirepass"):
        assert option in command
    assert services["valkey"]["volumes"], "its log has to outlive the container"


def test_every_variable_is_a_setting(services: dict[str, dict[str, Any]]) -> None:
    import prefect.settings

    known = environment_variables()
    for name, service in services.items():
        for variable in service.get("environment", {}):
            if variable.startswith("HEADRACE_"):
                assert variable in known, f"{name}: nothing reads {variable}"
            if variable.startswith("PREFECT_"):
                assert hasattr(prefect.settings, variable), f"{name}: Prefect has no setting {variable}"


def test_values_are_what_the_settings_take(services: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    from headrace.settings import Settings

    for variable, value in services["merge-worker"]["environment"].items():
        monkeypatch.setenv(variable, value)
    settings = Settings()
    assert settings.kafka.bootstrap_servers == "kafka:9092"
    assert settings.redis.durability == "waitaof"
    assert seconds(services["merge-worker"]["stop_grace_period"]) > settings.worker.drain_seconds


def seconds(text: str) -> float:
    assert text.endswith("s")
    return float(text[:-1])


def test_every_command_exists(services: dict[str, dict[str, Any]]) -> None:
    ours = {name: one for name, one in services.items() if one["image"].startswith(OUR_IMAGE)}
    assert len(ours) >= 5
    for name, service in ours.items():
        words = [*service.get("entrypoint", []), *service["command"]]
        match words:
            case ["headrace", *rest]:
                assert headrace_problem(rest) is None, f"{name}: {headrace_problem(rest)}"
            case ["python", *rest]:
                assert python_problem(rest) is None, f"{name}: {python_problem(rest)}"
            case ["prefect", *rest]:
                options_exist(name, rest)
            case _:
                pytest.fail(f"{name} runs {words}, which this test does not know")


def options_exist(service: str, words: list[str]) -> None:
    """Prefect's own help names every option that a service gives it."""
    commands = words[: next((at for at, word in enumerate(words) if word.startswith("-")), len(words))]
    wide = os.environ | {"COLUMNS": "200"}  # Prefect cuts long names to the width of the screen
    shown = subprocess.run(
        [sys.executable, "-m", "prefect", *commands, "--help"], capture_output=True, text=True, check=True, timeout=60, env=wide
    )
    for option in (word for word in words if word.startswith("--")):
        assert re.search(rf"{option}(?![\w-])", shown.stdout), f"{service}: prefect {' '.join(commands)} has no {option}"


def test_the_api_has_all_that_it_needs(services: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    from api.principals_file import load_principals
    from headrace.settings import Settings

    api = services["api"]
    for variable, value in api["environment"].items():
        monkeypatch.setenv(variable, value)
    settings = Settings().api
    [volume] = api["volumes"]
    file, _, there = volume.removesuffix(":ro").partition(":")
    assert there == settings.principals_file
    found = load_principals(PROJECT / file)
    assert set(found.secrets.values()) == {api["environment"]["API_CLIENT_SECRET"]}
    assert seconds(api["stop_grace_period"]) > settings.drain_seconds
    assert api["ports"][0].endswith(f":{settings.port}")


def test_bootstrap_makes_the_pool_that_the_worker_serves(services: dict[str, dict[str, Any]]) -> None:
    from deployments.bootstrap import WORK_POOL

    command = services["prefect-worker"]["command"]
    assert command[command.index("--pool") + 1] == WORK_POOL


def test_services_wait_for_what_they_need(services: dict[str, dict[str, Any]]) -> None:
    """For a server: until it is healthy; for a job: until it has ended well."""
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            once = services[needed].get("restart") == "no"
            assert how["condition"] == ("service_completed_successfully" if once else "service_healthy"), f"{name} → {needed}"
            assert once or "healthcheck" in services[needed], f"{needed} has no health check"


def test_workers_scale(services: dict[str, dict[str, Any]]) -> None:
    assert not [name for name, service in services.items() if "container_name" in service]
    assert "ports" not in services["merge-worker"]


def test_ports_are_open_to_this_host_alone(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_secrets_come_from_outside_and_are_required() -> None:
    """No default for a password; `make env` writes each that is asked for."""
    text = COMPOSE.read_text()
    required = set(re.findall(r"\$\{(\w+):\?", text))
    defaults = set(re.findall(r"\$\{(\w+):-", text))
    assert not [name for name in defaults if re.search("PASSWORD|SECRET|KEY", name)]
    assert set(re.findall(r"\$\{(\w+)\}", text)) <= required, "used where nothing says that it is required"
    written = subprocess.run(["sh", PROJECT / "deployments" / "compose_env.sh"], capture_output=True, text=True, check=True).stdout
    values = dict(line.split("=", 1) for line in written.splitlines() if not line.startswith("#"))
    assert set(values) == required
    generated = [value for name, value in values.items() if name != "S3_ACCESS_KEY_ID"]
    assert len(set(generated)) == len(generated)
    assert all(re.fullmatch("[0-9a-f]{48}|[0-9a-f]{64}", value) for value in generated)
    assert len(values["API_MASTER_KEY"]) == 64


def copied() -> list[str]:
    """What the Dockerfile takes from the repository."""
    lines = [line.split() for line in DOCKERFILE.read_text().splitlines() if line.startswith("COPY ") and "--from=" not in line]
    return [source for line in lines for source in line[1:-1]]


def test_the_image_holds_every_package() -> None:
    import tomllib

    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert set(packages) <= set(copied())
    allowed = {line[1:] for line in (PROJECT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {Path(one).parts[0] for one in copied()} <= allowed, ".dockerignore leaves something out that the Dockerfile copies"
    assert all((PROJECT / one).exists() for one in copied())


def test_the_image_is_no_test_machine() -> None:
    text = DOCKERFILE.read_text()
    instructions = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert all("--no-dev" in line and "--extra" not in line for line in instructions if "uv sync" in line)
    assert [line for line in instructions if line.startswith("USER ")] == ["USER headrace"]
    assert "latest" not in text


def test_time_zones_come_along() -> None:
    """The slim image has none of its own."""
    import tomllib

    assert "tzdata" in tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["dependencies"]


def test_no_secret_is_in_the_repository() -> None:
    assert not [path for path in tracked_files() if path.name == ".env" or path.suffix in (".pem", ".key")]
