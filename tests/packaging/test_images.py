"""What the images and the Compose file promise, and the override that the docs show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from devtools.compose_check import schema_faults, targets

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SERVICES = ("publisher", "worker", "dashboard")
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def _override() -> dict[str, Any]:
    return dict(yaml.safe_load(_documented("yaml", "docker-compose.override.yml")))


def _documented(language: str, name: str) -> str:
    """Return a file that the documentation shows."""
    text = (ROOT / "docs" / "docker-compose.md").read_text()
    [block] = re.findall(rf"```{language}\n# {name}\n(.*?)```", text, re.DOTALL)
    return str(block)


def _merged(base: Any, over: Any) -> Any:
    """As Compose merges two files: mappings key by key, everything else is replaced."""
    if isinstance(base, dict) and isinstance(over, dict):
        return base | {key: _merged(base.get(key), value) for key, value in over.items()}
    return over


def _stage(name: str) -> str:
    """Return what the Dockerfile says of one stage."""
    [stage] = re.findall(
        rf"^FROM \S+ AS {name}$(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL
    )
    return str(stage)


def test_each_service_of_ours_is_a_target_that_compose_builds() -> None:
    built = {name: each["build"] for name, each in COMPOSE["services"].items() if "build" in each}
    names = [*SERVICES, "dashboard-postgres", "worker-postgres"]
    assert built == {
        name: {"context": ".", "target": name.removesuffix("-postgres")} for name in names
    }
    assert targets(DOCKERFILE) >= set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_each_image_runs_as_a_number_that_runasnonroot_accepts(name: str) -> None:
    assert f"FROM service AS {name}\n" in DOCKERFILE
    [user] = re.findall(r"^USER (\S+)$", _stage("service"), re.MULTILINE)
    assert int(user) > 0
    assert "USER" not in _stage(name)


@pytest.mark.parametrize("name", SERVICES)
def test_each_image_has_a_health_check_and_a_command_of_its_own(name: str) -> None:
    assert _stage(name).count("HEALTHCHECK") == 1
    assert _stage(name).count("ENTRYPOINT") == 1


def test_the_publisher_holds_the_client_alone() -> None:
    assert re.findall(r"COPY --from=(\S+)", _stage("publisher")) == ["client"]
    assert "requirements.lock" not in _stage("client")
    [installed] = re.findall(r"--no-deps (\S+)", _stage("client"))
    assert installed == "/wheels/jobfleet_client-*.whl"


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_of_ours_writes_nowhere_but_to_its_temporary_folder(name: str) -> None:
    assert COMPOSE["services"][name]["read_only"] is True
    assert COMPOSE["services"][name]["tmpfs"] == ["/tmp"]


def test_each_image_installs_only_what_a_lock_names_with_its_hash() -> None:
    text = DOCKERFILE.replace("\\\n", " ")
    commands = re.findall(r"pip (?:install|wheel) [^&\n]*", text)
    assert len(commands) == 6
    for command in commands:
        assert "--require-hashes" in command or "--no-deps" in command, command
        assert "pip wheel" not in command or "--no-build-isolation" in command
    for lock in re.findall(r"requirements\S*\.lock", DOCKERFILE):
        assert "--hash=" in (ROOT / Path(lock).name).read_text()
    assert "hatchling==" in (ROOT / "requirements-build.lock").read_text()


def test_what_an_image_copies_is_sent_to_its_build() -> None:
    sent = (ROOT / ".dockerignore").read_text().split()
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        assert all(f"!{name}" in sent for name in line.split()), line


def test_compose_forces_no_log_level_and_names_no_version() -> None:
    assert "version" not in COMPOSE
    for service in COMPOSE["services"].values():
        level = service.get("environment", {}).get("JOBFLEET_LOG_LEVEL", "${JOBFLEET_LOG_LEVEL:-}")
        assert level == "${JOBFLEET_LOG_LEVEL:-}"


def test_the_documented_override_builds_the_users_image_not_ours_under_its_name() -> None:
    merged = _merged(COMPOSE, _override())
    assert schema_faults(merged) == []
    worker = merged["services"]["worker"]
    assert worker["image"] == "imports-worker"
    build = worker["build"]
    assert build["context"] != COMPOSE["services"]["worker"]["build"]["context"]
    # Compose keeps our target beside the user's keys: the user's Dockerfile must have one.
    assert build["target"] in targets(_documented("dockerfile", "imports/Dockerfile"))
    assert worker["environment"]["JOBFLEET_BACKEND"] == "azure"
    assert worker["environment"]["JOBFLEET_HANDLERS"] == "imports"
