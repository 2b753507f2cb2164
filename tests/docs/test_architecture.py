"""docs/architecture.md names files and functions that exist, and the walk of a job stays short."""

import re
from pathlib import Path

import pytest

from tests.worker.test_way_to_the_handler import WAY

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "architecture.md").read_text()
WALK = TEXT.partition("## The way of a job")[2].partition("## Other ways")[0]
STEP = re.compile(r"^\|[^|]*\| `([^`]+\.py)` \| (`[^|]+`) \|$", re.MULTILINE)
NAMED = re.compile(r"`([a-z_/]+(?:\.py|/))`")
NAMED_FILE = re.compile(r"`([a-z_/]+\.py)`")
MOST_FILES = 30
STEPS = [(file, re.findall(r"`([^`]+)`", names)) for file, names in STEP.findall(WALK)]


def short(path: Path) -> str:
    """Leave out what the page leaves out: `services/worker/jobfleet_worker/` is `worker/`."""
    place = re.sub(r"^(shared|services)/", "", str(path.relative_to(ROOT)))
    return re.sub(r"^(\w+)/jobfleet_\w+/", r"\1/", place)


PLACES = {
    short(path): path
    for folder in ("shared", "services", "client", "devtools", "tests")
    for path in (ROOT / folder, *(ROOT / folder).rglob("*"))
}


def test_a_job_is_followed_from_its_program_to_its_page_in_at_most_thirty_files() -> None:
    table = WALK.partition("| step | file | read |")[2].partition("\n\n")[0]
    assert len(STEPS) == table.count("\n|") - 1, "each row but the line below the head is a step"
    assert len({file for file, _ in STEPS}) == len(STEPS)
    assert len(set(NAMED_FILE.findall(WALK))) <= MOST_FILES, "of table and text together"


@pytest.mark.parametrize(
    ("file", "name"), [(file, name) for file, names in STEPS for name in names]
)
def test_what_the_walk_says_to_read_is_in_its_file(file: str, name: str) -> None:
    text = PLACES[file].read_text()
    for part in name.split("."):
        assert re.search(rf"^ *(class|def|async def) {part}\b", text, re.MULTILINE), part


def test_the_page_names_the_functions_on_the_way_to_the_handler_in_their_order() -> None:
    (sentence,) = re.findall(r"lie eight functions\..*?handler's own task\.", TEXT, re.DOTALL)
    assert re.findall(r"`(\w+\.\w+)`", sentence) == WAY


def test_every_file_and_folder_that_the_page_names_exists() -> None:
    named = {name.removesuffix("/") for name in NAMED.findall(TEXT)}
    ends = {f"/{known}" for place, path in PLACES.items() for known in (place, str(path))}
    assert {name for name in named if not any(end.endswith(f"/{name}") for end in ends)} == set()


def test_no_file_is_longer_than_the_page_says() -> None:
    limit = int(re.findall(r"Files stay under (\d+) lines", TEXT)[0])
    code = [path for place, path in PLACES.items() if place.endswith((".py", ".html", ".js"))]
    assert len(code) > 1000
    lengths = {short(path): len(path.read_text().splitlines()) for path in code}
    assert {place: length for place, length in lengths.items() if length >= limit} == {}
