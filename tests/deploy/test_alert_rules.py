"""Each alert fires when it should, and asks only for what dashboards and workers export."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path

import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from jobfleet_backends.settings import Settings
from jobfleet_backends.sqlite.backend import open_embedded
from jobfleet_backends.system_clock import SystemClock
from jobfleet_cli.dropped_lines import DroppedLines
from jobfleet_dashboard.services import Services
from jobfleet_worker.metrics.metrics_page import MetricsPage
from jobfleet_worker.metrics.prometheus_metrics import PrometheusMetrics
from jobfleet_worker.outbound.circuit_breaker import CircuitBreaker
from tests.dashboard.api.conftest import options_with

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "prometheus"
RULES = yaml.safe_load((FOLDER / "rules.yml").read_text())["groups"][0]["rules"]
OF_PROMETHEUS = {"up"}
LABELS_OF_A_SCRAPE = {"job", "instance", "le"}


def _promtool(*arguments: str) -> None:
    promtool = shutil.which("promtool")
    assert promtool is not None, "promtool is missing; run python -m devtools.prerequisites"
    found = subprocess.run(
        [promtool, *arguments], cwd=FOLDER, check=False, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_rules_are_valid_and_each_fires_in_its_case() -> None:
    _promtool("check", "rules", "rules.yml")
    _promtool("test", "rules", "rules.test.yml")


def test_each_alert_has_a_case_in_which_it_fires() -> None:
    cases = yaml.safe_load((FOLDER / "rules.test.yml").read_text())["tests"]
    fires = {
        check["alertname"]
        for case in cases
        for check in case["alert_rule_test"]
        if check["exp_alerts"]
    }
    assert fires == {rule["alert"] for rule in RULES}


async def test_each_metric_and_label_of_the_rules_is_exported(tmp_path: Path) -> None:
    exported = await _exported(tmp_path)
    for rule in RULES:
        expression = re.sub(r'"[^"]*"', '""', rule["expr"])
        names = set(re.findall(r"\b(jobfleet_\w+|up)\b", expression))
        assert names <= set(exported) | OF_PROMETHEUS, rule["alert"]
        asked = set(re.findall(r"(\w+)=~?\"", expression))
        for group in re.findall(r"by \(([^)]*)\)", expression):
            asked |= {label.strip() for label in group.split(",")}
        known = LABELS_OF_A_SCRAPE.union(*(exported.get(name, set()) for name in names))
        assert asked <= known, rule["alert"]


def test_the_series_of_the_cases_have_the_labels_that_we_export() -> None:
    cases = yaml.safe_load((FOLDER / "rules.test.yml").read_text())["tests"]
    for case in cases:
        for series in case["input_series"]:
            labels = set(re.findall(r"(\w+)=\"", series["series"]))
            assert labels >= {"job", "instance"}, series


def test_the_page_for_operators_names_each_alert() -> None:
    page = (ROOT / "docs" / "alerts.md").read_text()
    assert "deploy/prometheus/rules.yml" in page
    assert [rule["alert"] for rule in RULES if rule["alert"] not in page] == []


async def _exported(folder: Path) -> dict[str, set[str]]:
    """Name of each series of worker and dashboard, and the labels that it may have."""
    backend = await open_embedded(Settings(_env_file=None, data_dir=folder))
    metrics = PrometheusMetrics()
    metrics.registry.register(DroppedLines())
    circuits = CircuitBreaker(failures=1, open_seconds=1, probe_seconds=1, boottime=time.monotonic)
    MetricsPage(metrics=metrics, queue=backend.queue, requests=backend.requests, circuits=circuits)
    services = Services.wire(backend=backend, clock=SystemClock(), options=options_with())
    await backend.close()
    found: dict[str, set[str]] = {}
    registries = (services.metrics.registry, metrics.registry)
    for collector in [each for registry in registries for each in _collectors(registry)]:
        for family in collector.collect():
            owner = collector if hasattr(collector, "_labelnames") else family
            for suffix in ("", "_total", "_bucket", "_count", "_sum"):
                found[family.name + suffix] = set(getattr(owner, "_labelnames", ()))
    return found


def _collectors(registry: CollectorRegistry) -> list[Collector]:
    return list(registry._collector_to_names)
