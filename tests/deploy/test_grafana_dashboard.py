"""The Grafana dashboard asks for metrics that jobfleet exports."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PANELS = json.loads((ROOT / "deploy" / "grafana" / "jobfleet.json").read_text())["panels"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]
DOCUMENTED = set(re.findall(r"jobfleet_[a-z_]+", (ROOT / "docs" / "metrics.md").read_text()))
"""A test of the metrics holds this page to what the processes export."""


def test_each_panel_shows_documented_metrics() -> None:
    used = {
        re.sub("_bucket$", "", name)
        for expression in EXPRESSIONS
        for name in re.findall(r"jobfleet_[a-z_]+", expression)
    }
    assert len(used) >= 10
    assert used <= DOCUMENTED


def test_panels_have_ids_and_places_of_their_own() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in PANELS}
    assert len(places) == len(PANELS)
