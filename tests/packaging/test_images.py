"""What the images and the Compose file promise, and the override that the docs show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from devtools.compose_check import schema_faults

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted(ROOT.glob("services/*/Dockerfile"))
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def _override() -> dict[str, Any]:
    text = (ROOT / "docs" / "operations.md").read_text()
    [block] = re.findall(r"```yaml\n# docker-compose.override.yml\n(.*?)```", text, re.DOTALL)
    return dict(yaml.safe_load(block))


def _merged(base: Any, over: Any) -> Any:
    """As Compose merges two files: mappings key by key, everything else is replaced."""
    if isinstance(base, dict) and isinstance(over, dict):
        return base | {key: _merged(base.get(key), value) for key, value in over.items()}
    return over


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_each_image_runs_as_a_number_that_runasnonroot_accepts(dockerfile: Path) -> None:
    [user] = re.findall(r"^USER (\S+)$", dockerfile.read_text(), re.MULTILINE)
    assert int(user) > 0


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_each_image_installs_only_what_a_lock_names_with_its_hash(dockerfile: Path) -> None:
    text = dockerfile.read_text().replace("\\\n", " ")
    commands = re.findall(r"pip (?:install|wheel) [^&\n]*", text)
    assert len(commands) == 4
    for command in commands:
        assert "--require-hashes" in command or "--no-deps" in command, command
        assert "pip wheel" not in command or "--no-build-isolation" in command
    assert "hatchling==" in (ROOT / "requirements-build.lock").read_text()
    assert "--hash=" in (ROOT / "requirements-build.lock").read_text()


def test_what_an_image_copies_is_sent_to_its_build() -> None:
    sent = (ROOT / ".dockerignore").read_text().split()
    for dockerfile in DOCKERFILES:
        for line in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile.read_text(), re.MULTILINE):
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
    ours = COMPOSE["services"]["worker"]["build"]
    assert worker["build"]["context"] != ours["context"]
    assert worker["build"]["dockerfile"] != ours["dockerfile"]
    assert set(worker["build"]) == {"context", "dockerfile"}, "a key of ours is inherited"
    assert worker["environment"]["JOBFLEET_BACKEND"] == "azure"
    assert worker["environment"]["JOBFLEET_HANDLERS"] == "imports"
