"""The report of failures: what is beyond its groups is counted, not dropped."""

from __future__ import annotations

from datetime import UTC, datetime

from jobfleet_contracts.error_group import OTHER, ErrorGroup, ErrorKey, FailureCount, shortened

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
