"""docs/production-azure.md names every table and container where it says who needs which right."""

import dataclasses
import re
from pathlib import Path

from jobfleet_backends.azure.storage_names import StorageNames
from jobfleet_backends.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "production-azure.md").read_text()
NAMES = set(dataclasses.asdict(StorageNames.of(Settings())).values())
TRAIL = StorageNames.of(Settings()).audit
SERVICES = ("worker", "dashboard", "publisher")


def rights() -> dict[str, dict[str, str]]:
    """Return what the table grants: service to storage name to rights."""
    (table,) = re.findall(r"^\| service \|.*?\n\n", PAGE, re.MULTILINE | re.DOTALL)
    head, _, *rows = [
        [cell.strip().strip("`") for cell in line.strip("|").split(" |")]
        for line in table.strip().splitlines()
    ]
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}


def names_in(start: str, end: str) -> set[str]:
    """Return the storage names that the page lists between two texts."""
    return NAMES & set(re.findall(r"`([\w-]+)`", PAGE.partition(start)[2].partition(end)[0]))


def test_the_table_of_rights_has_a_column_for_each_table_and_container() -> None:
    for service, granted in rights().items():
        assert set(granted) == NAMES, service
        assert all(granted.values()), service


def test_the_page_lists_all_that_is_made_at_the_first_use() -> None:
    assert names_in("**Tables and containers**", "**Do not put**") == NAMES


def test_roles_given_for_one_table_each_cover_every_table_that_a_service_writes() -> None:
    containers = {name for name in NAMES if name.startswith("job-")}
    written = {
        name
        for service in SERVICES
        for name, granted in rights()[service].items()
        if any(right in granted for right in ("all", "insert", "add", "delete"))
    } - containers
    assert written == NAMES - containers
    assert names_in("Give the built-in role for", "For the trail make") == written - {TRAIL}
