"""`make test-pythons`: what needs no server, with each Python that we support.

``PYTHONS`` names the versions, separated by commas. One that this machine lacks fails the run.
"""

import os
from pathlib import Path

import nox

PYTHONS = os.environ.get("PYTHONS", "3.11,3.12,3.13,3.14").split(",")
TESTS = ("tests/protocol", "tests/worker", "tests/publisher", "tests/conformance")
WITHOUT = "not servers and not browser and not system and not chaos and not full"
EXTRAS = "azure,rabbitmq,postgres,console,fastapi"

nox.options.default_venv_backend = "uv"
nox.options.error_on_missing_interpreters = True


@nox.session(python=PYTHONS)
def locked(session: nox.Session) -> None:
    """Test with the versions of the lock."""
    session.install("--no-deps", "--require-hashes", "-r", "requirements-dev.lock")
    session.install("--no-deps", "--editable", "./client", "--editable", ".")
    _test(session)


@nox.session(python=PYTHONS[-1])
def newest(session: nox.Session) -> None:
    """Test with the newest versions that both pyproject.toml allow."""
    tools = nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), "dev")
    overridden = nox.project.load_toml("pyproject.toml")["tool"]["uv"]["override-dependencies"]
    overrides = Path(session.create_tmp()) / "overrides.txt"
    overrides.write_text("\n".join(overridden))
    ours = ["--editable", f"./client[{EXTRAS}]", "--editable", ".[postgres]"]
    session.install("--upgrade", "--override", str(overrides), *ours, *tools)
    _test(session)


def _test(session: nox.Session) -> None:
    session.run("python", "-m", "pytest", "-q", "-m", WITHOUT, *(session.posargs or TESTS))
