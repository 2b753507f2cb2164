"""What an index gets: a source distribution that can test itself, and a page whose links work."""

from __future__ import annotations

import email
import re
import subprocess
import tarfile
from email.message import Message
from pathlib import Path

import pytest

from tests.packaging.installed import Built

ROOT = Path(__file__).parents[2]
NOT_DISTRIBUTED = (".ci/", ".gitignore")
"""Of the repository's files: what only its hosting uses."""


@pytest.fixture(scope="module")
def sdist(built: Built) -> tarfile.TarFile:
    return tarfile.open(built.sdist("jobfleet"))


@pytest.fixture
def metadata(sdist: tarfile.TarFile) -> Message:
    [name] = [each for each in sdist.getnames() if each.endswith("/PKG-INFO")]
    held = sdist.extractfile(name)
    assert held is not None
    return email.message_from_bytes(held.read())


def test_the_source_distribution_holds_every_file_of_the_repository(
    sdist: tarfile.TarFile,
) -> None:
    wanted = {name for name in _files() if not name.startswith(NOT_DISTRIBUTED)}
    held = {member.name.partition("/")[2] for member in sdist.getmembers() if member.isfile()}
    assert held - {"PKG-INFO", ".gitignore"} == wanted


def _files() -> set[str]:
    """The repository's files; of an unpacked source distribution, those of its folders."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
        )
        return {name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()}
    folders = [".github", "client", "deploy", "devtools", "docs", "evidence", "examples"]
    folders += ["services", "shared", "tests"]
    found = [each for folder in folders for each in (ROOT / folder).rglob("*")]
    found += [each for each in ROOT.iterdir() if each.name in _TOP]
    return {
        str(each.relative_to(ROOT))
        for each in found
        if each.is_file() and "__pycache__" not in each.parts
    }


_TOP = frozenset(
    {"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "SECURITY.md"}
    | {"Dockerfile", "hatch_build.py", "noxfile.py", "requirements-client.lock"}
    | {"CITATION.cff", ".dockerignore", "docker-compose.yml", "package.json", "package-lock.json"}
    | {"pyproject.toml", "requirements.lock", "requirements-dev.lock", "requirements-build.lock"}
)


def test_links_and_pictures_of_the_index_page_are_absolute(metadata: Message) -> None:
    page = str(metadata.get_payload())
    links = re.findall(r"\]\(([^)\s]+)", page)
    assert len(links) > 10
    assert not [link for link in links if not re.match(r"https?://", link)]
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page)
    assert pictures
    assert all(link.startswith("https://raw.githubusercontent.com/") for link in pictures)


def test_project_urls_and_every_tried_python_are_named(metadata: Message) -> None:
    urls = {str(each).partition(",")[0] for each in metadata.get_all("Project-URL", [])}
    assert urls >= {"Homepage", "Documentation", "Changelog", "Issues"}
    pythons = {str(each).rpartition(" ")[2] for each in metadata.get_all("Classifier", [])}
    assert pythons >= {"3.11", "3.12", "3.13", "3.14"}
