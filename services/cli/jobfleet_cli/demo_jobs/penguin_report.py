"""A report that draws a chart from what the import stored."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from pydantic import BaseModel

from jobfleet_cli.demo_jobs.penguin_table import measured
from jobfleet_cli.demo_jobs.scatter_chart import scatter_chart
from jobfleet_worker import BlockingJobContext, Defer, handler

PATIENCE_SECONDS = 2


class ReportPayload(BaseModel):
    """Where the data are, and where the chart goes."""

    database: Path
    chart: Path


class ReportResult(BaseModel):
    """What was drawn."""

    chart: Path
    birds: int
    mean_mass_g: dict[str, float]


@handler("demo.report")
def draw_report(payload: ReportPayload, context: BlockingJobContext) -> ReportResult:
    """Draw body mass over flipper length; comes back later while the import is under way.

    A plain function: it runs in a thread, so reading and drawing may block.
    """
    birds = measured(payload.database)
    if not birds:
        raise Defer(PATIENCE_SECONDS, "the penguins are not imported yet")
    masses: dict[str, list[float]] = {}
    for bird in birds:
        masses.setdefault(bird.species, []).append(bird.mass_g or 0)
    context.progress(1, 2, f"{len(birds)} birds read")
    points = [(b.species, b.flipper_mm or 0, b.mass_g or 0) for b in birds]
    _replace(
        payload.chart,
        scatter_chart(points, title="Palmer penguins", x="flipper, mm", y="body mass, g"),
    )
    context.progress(2, 2, "chart drawn")
    means = {species: round(sum(values) / len(values), 1) for species, values in masses.items()}
    return ReportResult(chart=payload.chart, birds=len(birds), mean_mass_g=means)


def _replace(path: Path, text: str) -> None:
    """Write beside and rename, so that no reader ever sees half a chart."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid4().hex}")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
