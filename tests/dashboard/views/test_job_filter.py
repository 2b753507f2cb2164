"""The filter is the URL, and the URL is the filter."""

from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

from jobfleet_contracts.state import State
from jobfleet_dashboard.views.jobs.job_filter import JobFilter, parse_filter
from jobfleet_dashboard.views.time_range import BACKWARDS, TimeRange, input_value
from tests.dashboard.views.story import at


def parsed(url: str) -> JobFilter:
    return parse_filter(parse_qsl(urlsplit(url).query))


def test_a_filter_survives_its_own_url() -> None:
    chosen = JobFilter(
        states=(State.FAILED, State.TIMED_OUT),
        job_type="a.b",
        queue="mail",
        lock_key="k&k=1",
        text="ä <b>",
        range=TimeRange(until="2026-03-01T00:00:00Z"),
    )
    assert parsed(chosen.url()) == chosen


def test_cursors_lead_there_and_back() -> None:
    first = JobFilter(text="x")
    second = parsed(first.older("c2"))
    third = parsed(second.older("c3"))
    assert (second.cursor, third.cursor) == ("c2", "c3")
    assert third.newer() == "/jobs?q=x&cursor=c2"
    assert parsed(str(third.newer())).newer() == "/jobs?q=x"
    assert first.newer() is None


def test_what_is_wrong_is_named_and_left_out() -> None:
    chosen = parsed("/jobs?state=lost&state=failed&queue=UPPER&window=1y&since=monday&q=ok")
    assert [problem.split(":")[0] for problem in chosen.problems] == [
        "state",
        "queue",
        "since",
        "window",
    ]
    assert replace(chosen, problems=()) == JobFilter(states=(State.FAILED,), text="ok")


def test_a_window_becomes_a_time() -> None:
    assert JobFilter(range=TimeRange("1h")).query(at(3600)).since == at(0)


def test_a_misspelt_search_finds_nothing_and_says_which_word() -> None:
    chosen = parsed("/jobs?q=type:a+stat:failed")
    assert chosen.misspelt is not None
    assert chosen.text[chosen.misspelt.start : chosen.misspelt.end] == "stat:failed"
    assert chosen.query(at(0)).nothing


def test_only_a_whole_id_and_nothing_else_opens_a_job() -> None:
    job_id = "0197f0c2-6d5e-7c3a-9f58-2b1d3e4f5a6b"
    assert parsed(f"/jobs?q={job_id.upper()}").job_id == job_id
    for other in (f"/jobs?q={job_id}&state=failed", f"/jobs?q={job_id}x", "/jobs?q=x", "/jobs"):
        assert parsed(other).job_id is None


def test_exact_times_win_over_a_window_and_a_time_without_a_zone_is_utc() -> None:
    chosen = parsed("/jobs?window=1h&since=2026-03-01T02:00&until=2026-03-01T02:10:30Z")
    assert (chosen.range.window, chosen.problems) == ("", ())
    assert chosen.range.since == "2026-03-01T02:00:00Z"
    assert input_value(chosen.range.since) == "2026-03-01T02:00"
    assert input_value(chosen.range.until) == "2026-03-01T02:10:30"
    turned = parsed("/jobs?since=2026-03-02T00:00Z&until=2026-03-01T00:00Z")
    assert (turned.range, turned.problems) == (TimeRange(), (BACKWARDS,))
