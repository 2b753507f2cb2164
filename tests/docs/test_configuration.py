"""docs/configuration.md names every setting, and none that is not there."""

import re
from pathlib import Path

import pytest

from jobfleet_backends.settings import Settings, variable_of

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
ROW = re.compile(r"^\| `([A-Z][A-Z_]+)`(?: ●)? \| ([^|]*) \|", re.MULTILINE)
OTHERS = {"OTEL_EXPORTER_OTLP_ENDPOINT"}
"""Read by a library, not by the settings."""
IN_WORDS = {
    "JOBFLEET_PROCESSES",
    "JOBFLEET_LEASE_RENEW_SECONDS",
    "JOBFLEET_LOG_FORMAT",
    "JOBFLEET_LOG_LEVEL",
    "JOBFLEET_SESSION_SECRET",
}
"""Defaults that are no plain value."""

DEFAULTS = {name: default.strip() for name, default in ROW.findall(PAGE)}
FIELDS = {variable_of(name): name for name in Settings.model_fields}


def shown(value: object) -> str:
    """A default as the page writes it."""
    if value is None or value == ():
        return "\N{EN DASH}"
    if isinstance(value, tuple):
        return f"`{','.join(value)}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int | float):
        return f"{value:g}"
    secret = getattr(value, "get_secret_value", None)
    return f"`{secret() if secret else value}`"


def test_the_page_has_a_row_for_each_setting_and_no_other() -> None:
    assert set(DEFAULTS) - OTHERS == set(FIELDS)


def test_each_name_stands_once() -> None:
    names = [name for name, _ in ROW.findall(PAGE)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("variable", sorted(set(FIELDS) - IN_WORDS))
def test_the_default_on_the_page_is_the_setting_s(variable: str) -> None:
    assert DEFAULTS[variable] == shown(Settings.model_fields[FIELDS[variable]].default)
