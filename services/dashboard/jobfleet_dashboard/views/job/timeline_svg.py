"""The drawing of a job's life: one line per claim, waiting apart from running."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from jobfleet_contracts.state import State
from jobfleet_dashboard.views.job.spans import Mark, Span, SpanRow
from jobfleet_protocol.reading.durations import seconds_between, spell

MAX_ROWS = 24
"""More claims than this are cut; the newest ones are drawn."""
WIDTH = 100.0
"""Places and widths are percent of the drawing, so that it fits any screen undistorted."""
MAX_LIVES = 5
"""Incarnations that are drawn; the newest ones."""
_MIN_BAR = 0.4
_MAX_TICKS = 6


@dataclass(frozen=True, slots=True)
class Bar:
    """A span in the drawing."""

    x: float
    width: float
    tone: str
    title: str
    open: bool


@dataclass(frozen=True, slots=True)
class Sign:
    """A moment in the drawing."""

    x: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A label of the time axis."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class DrawnRow:
    """One claim: what it is, its bars, and its sums; empty texts if there is nothing."""

    attempt: int
    worker_id: str | None
    bars: tuple[Bar, ...]
    signs: tuple[Sign, ...]
    waited: str
    ran: str


@dataclass(frozen=True, slots=True)
class TimelineDrawing:
    """All that the template puts into SVG.

    Attributes:
        summary: the drawing in words, for those who do not see it.
        omitted: earlier claims that are not drawn.
    """

    rows: tuple[DrawnRow, ...]
    ticks: tuple[Tick, ...]
    summary: str
    omitted: int = 0

    @property
    def tones(self) -> tuple[str, ...]:
        """Kinds of bars, for the legend."""
        return tuple(dict.fromkeys(bar.tone for row in self.rows for bar in row.bars))

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of signs, for the legend."""
        return tuple(dict.fromkeys(sign.kind for row in self.rows for sign in row.signs))


@dataclass(frozen=True, slots=True)
class _Scale:
    start: datetime
    seconds: float

    def x(self, moment: datetime) -> float:
        share = seconds_between(self.start, moment) / self.seconds
        return round(min(1.0, share) * WIDTH, 3)


def draw_timeline(rows: Sequence[SpanRow], *, now: datetime) -> TimelineDrawing:
    """Return the drawing of the newest claims up to ``now``."""
    with_spans = [row for row in rows if row.spans]
    shown = with_spans[-MAX_ROWS:]
    if not shown:
        return TimelineDrawing((), (), "nothing has happened yet")
    start = shown[0].spans[0].start
    end = max((span.end or now) for row in shown for span in row.spans)
    scale = _Scale(start, max(seconds_between(start, end), 0.001))
    drawn = tuple(_row(row, scale, now) for row in shown)
    summary = "; ".join(_row_text(row) for row in drawn)
    return TimelineDrawing(drawn, _ticks(scale), summary, len(with_spans) - len(shown))


def draw_timelines(rows: Sequence[SpanRow], *, now: datetime) -> tuple[TimelineDrawing, ...]:
    """Return a drawing for each incarnation, newest last, each in a scale of its own.

    The time between an end and a redrive is idle: in one scale it would squeeze all else.
    """
    lives: list[list[SpanRow]] = [[]]
    for row in rows:
        if lives[-1] and any(mark.kind == "redrive" for mark in row.marks):
            lives.append([])
        lives[-1].append(row)
    return tuple(draw_timeline(life, now=now) for life in lives[-MAX_LIVES:])


def _row(row: SpanRow, scale: _Scale, now: datetime) -> DrawnRow:
    ran = [span for span in row.spans if span.state is State.RUNNING]
    waited = [span for span in row.spans if span.state is not State.RUNNING]
    return DrawnRow(
        attempt=row.attempt,
        worker_id=row.worker_id,
        bars=tuple(_bar(span, scale, now) for span in row.spans),
        signs=tuple(_sign(mark, scale) for mark in row.marks),
        waited=_sum(waited, now),
        ran=_sum(ran, now),
    )


def _bar(span: Span, scale: _Scale, now: datetime) -> Bar:
    end = span.end or now
    left = min(scale.x(span.start), WIDTH - _MIN_BAR)
    width = round(max(_MIN_BAR, scale.x(end) - left), 3)
    title = f"{span.state.value} {spell(seconds_between(span.start, end))}"
    return Bar(left, width, span.state.value, title, span.end is None)


def _sign(mark: Mark, scale: _Scale) -> Sign:
    title = f"{mark.kind}: {mark.message}" if mark.message else mark.kind
    return Sign(scale.x(mark.at), mark.kind, title)


def _sum(spans: Sequence[Span], now: datetime) -> str:
    if not spans:
        return ""
    return spell(sum(seconds_between(span.start, span.end or now) for span in spans))


def _row_text(row: DrawnRow) -> str:
    waited = f", waited {row.waited}" if row.waited else ""
    ran = f", ran {row.ran}" if row.ran else ""
    return f"attempt {row.attempt}{waited}{ran}"


def _ticks(scale: _Scale) -> tuple[Tick, ...]:
    step = _round_step(scale.seconds / _MAX_TICKS)
    return tuple(
        Tick(scale.x(scale.start + timedelta(seconds=step * n)), spell(step * n))
        for n in range(int(scale.seconds / step) + 1)
    )


_SUBSECOND = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_MINUTES = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800)
_DAYS = (3600, 7200, 14_400, 28_800, 43_200, 86_400, 172_800, 604_800)
_STEPS: tuple[float, ...] = (*_SUBSECOND, *_MINUTES, *_DAYS)


def _round_step(at_least: float) -> float:
    return next((step for step in _STEPS if step >= at_least), at_least)
