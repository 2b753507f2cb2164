"""The figures for people, as Markdown tables."""

from __future__ import annotations

from collections.abc import Sequence

from devtools.bench import machine
from devtools.bench_dashboard.served_here import Asked
from devtools.bench_dashboard.timing import LIMIT_MS, Timed
from devtools.bench_dashboard.viewers import Behind

_ERROR = 400


def timed_table(results: Sequence[Timed]) -> str:
    """Return times by page, and below which pages take too long."""
    header = (
        "| page | p50 ms | p95 ms | CPU ms | kB | questions | rows |\n|---|---|---|---|---|---|---|"
    )
    lines = [
        f"| {one.name} | {one.median_ms:.0f} | {one.p95_ms:.0f} | {one.cpu_ms:.0f} | "
        f"{one.size / 1000:,.0f} | {_count(one.questions)} | {_count(one.rows)} |"
        for one in results
    ]
    return "\n".join([header, *lines, "", verdict(results)])


def asked_table(results: Sequence[Asked]) -> str:
    """Return requests and rows by page."""
    header = "| page | requests | rows | ms on the emulator |\n|---|---|---|---|"
    lines = [
        f"| {one.name} | {one.requests} | {one.rows:,} | {one.milliseconds:.0f} |"
        for one in results
    ]
    failed = [f"{one.name} ({one.status})" for one in results if one.status >= _ERROR]
    return "\n".join([header, *lines, "", f"failed: {', '.join(failed) or 'none'}"])


def viewers_table(results: Sequence[Behind]) -> str:
    """Return delays by page."""
    header = (
        "| page | viewers | behind, median ms | p99 ms | longest ms | arrived | "
        "MB received | dashboard's CPU |\n|---|---|---|---|---|---|---|---|"
    )
    return "\n".join([header, *map(_line, results)])


def verdict(results: Sequence[Timed]) -> str:
    """Name the pages that take too long, and those that failed.

    CPU time is what a quiet machine would need at least; the time of one answer in twenty grows
    with what else the machine does.
    """
    slow = [f"{one.name} ({one.p95_ms:.0f} ms)" for one in results if one.p95_ms > LIMIT_MS]
    failed = [f"{one.name} ({one.status})" for one in results if one.status >= _ERROR]
    busy = [f"{one.name} ({one.cpu_ms:.0f} ms)" for one in results if one.cpu_ms > LIMIT_MS]
    text = f"CPU time above {LIMIT_MS:.0f} ms: {', '.join(busy) or 'none'}; p95 above "
    text += f"{LIMIT_MS:.0f} ms: {', '.join(slow) or 'none'}"
    return f"{text}; failed: {', '.join(failed)}" if failed else text


def around() -> str:
    """Return what else the machine was doing."""
    return f"load {machine.load()}, pace {machine.pace_ms()} ms"


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _line(one: Behind) -> str:
    return (
        f"| {one.page} | {one.viewers} | {one.percentile(0.5):.0f} | {one.percentile(0.99):.0f} | "
        f"{max(one.delays_ms):.0f} | {one.seen / one.due:.2%} | {one.megabytes:,.0f} | "
        f"{one.cpu:.0%} |"
    )
