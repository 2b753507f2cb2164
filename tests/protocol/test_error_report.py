"""The report of failures: what is beyond its groups is counted, not dropped."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jobfleet_contracts.error_group import OTHER, ErrorGroup, ErrorKey, FailureCount, shortened
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_protocol.reading.error_report import (
    RANGES,
    ErrorReport,
    bars_of,
    error_range,
    read_errors,
)
from tests.protocol.bench import Bench

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _group(key: ErrorKey, jobs: int) -> ErrorGroup:
    return ErrorGroup(
        key=key,
        first_at=NOON,
        last_at=NOON,
        message="",
        job_id="",
        steps={NOON: FailureCount(jobs=jobs)},
    )


def test_groups_beyond_the_most_and_those_never_counted_apart_come_as_one() -> None:
    groups = [_group(ErrorKey("t", f"E{number}", ""), 9 - number) for number in range(4)]
    for others, last in (([], 6 + 7), ([_group(OTHER, 100)], 100 + 6 + 7)):
        found = shortened([*groups, *others], 2)
        assert [group.key for group in found] == [groups[0].key, groups[1].key, OTHER]
        assert found[-1].total.jobs == last


def test_few_groups_come_as_they_are() -> None:
    groups = [_group(ErrorKey("t", "E", ""), 1), _group(OTHER, 5)]
    assert shortened(groups, 2) == groups
    assert shortened(groups[:1], 2) == groups[:1]


@pytest.mark.parametrize("name", RANGES)
def test_a_range_ends_with_the_step_of_now_and_its_bars_hold_all_of_it(name: str) -> None:
    chosen = error_range(name)
    now = NOON + timedelta(minutes=34, seconds=56)
    since = chosen.begin(now)
    newest = since + chosen.length * (chosen.steps - 1)
    assert newest <= now < newest + chosen.length
    steps = {since + chosen.length * n: FailureCount(1, 2) for n in range(chosen.steps)}
    steps |= {since - chosen.length: FailureCount(9), newest + chosen.length: FailureCount(9)}
    group = replace(_group(OTHER, 0), steps=steps)
    report = ErrorReport(range=chosen, since=since, groups=[group], counted_back_to=None)
    bars = bars_of(group, report)
    assert len(bars) == chosen.bars
    assert set(bars) == {3 * chosen.steps // chosen.bars}


def test_an_unknown_range_is_refused_with_those_that_there_are() -> None:
    assert error_range(None) is error_range("1h")
    with pytest.raises(InvalidRequest, match="range: must be one of 15m, 1h, 24h, 7d"):
        error_range("2h")


async def test_failures_are_counted_by_type_and_shown_masked(bench: Bench) -> None:
    for job_type in ("report", "mail", "mail"):
        claimed = await bench.claimed(await bench.submit(type=job_type))
        error = {"type": "KeyError", "message": "no curl -u me:hunter22"}
        await bench.end(claimed, "Failed", message="no curl -u me:hunter22", data={"error": error})
    await bench.real.index.flush()
    chosen = error_range("1h")
    report = await read_errors(bench.real.reader, bench.clock, chosen)
    assert [(g.key.job_type, g.total.jobs) for g in report.groups] == [("mail", 2), ("report", 1)]
    (mail,) = (await read_errors(bench.real.reader, bench.clock, chosen, job_type="mail")).groups
    assert mail == report.groups[0]
    shown = report.to_json()
    assert (shown["range"], shown["countedBackTo"]) == ("1h", None)
    assert "hunter22" not in str(shown)
