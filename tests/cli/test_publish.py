"""What ``jobfleet publish`` accepts, refuses and prints."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from jobfleet_cli.job_source import JobOptions, jobs_from_file, jobs_from_options
from jobfleet_contracts.errors import InvalidRequest
from tests.cli.conftest import Cli

STEPS = ("--type", "demo.steps", "--payload", '{"steps": 1, "stepSeconds": 0}')


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (JobOptions(), "type"),
        (JobOptions(type="no spaces"), "type"),
        (JobOptions(type="t", priority=10), "priority"),
        (JobOptions(type="t", queue="No"), "queue"),
        (JobOptions(type="t", lock_key=""), "lockKey"),
        (JobOptions(type="t", run_at="tomorrow"), "runAt"),
        (JobOptions(type="t", run_at="2026-01-31T09:30:00"), "runAt"),
        (JobOptions(type="t", delay=-1), "delay"),
        (JobOptions(type="t", delay=float("nan")), "delay"),
        (JobOptions(type="t", delay=1, run_at="2026-01-31T09:30:00Z"), "delay"),
        (JobOptions(type="t", max_attempts=0), "maxAttempts"),
        (JobOptions(type="t", timeout_seconds=0), "timeoutSeconds"),
        (JobOptions(type="t", job_name="a\nb"), "jobName"),
        (JobOptions(type="t", description="x" * 2001), "description"),
        (JobOptions(type="t", payload="{"), "payload"),
        (JobOptions(type="t", payload="NaN"), "payload"),
        (JobOptions(type="t", payload='{"id": 18446744073709551616}'), "payload"),
        (JobOptions(type="t", payload="@no such file"), "payload"),
        (JobOptions(type="t", payload='"' + "x" * 1024 * 1024 + '"'), "payload"),
    ],
)
def test_an_option_that_does_not_fit_is_named(options: JobOptions, field: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        jobs_from_options(options, 1)
    assert refusal.value.field == field


def test_one_idempotency_key_cannot_stand_for_several_jobs() -> None:
    with pytest.raises(InvalidRequest, match="--count"):
        jobs_from_options(JobOptions(type="t", idempotency_key="k"), 2)


def test_a_file_is_not_counted(tmp_path: Path) -> None:
    (tmp_path / "jobs.jsonl").write_text('{"type":"a"}\n')
    with pytest.raises(InvalidRequest, match="leave the other options out"):
        jobs_from_file(str(tmp_path / "jobs.jsonl"), JobOptions(), 2)


def test_jobs_of_one_call_differ_in_their_id_only() -> None:
    one, two = jobs_from_options(JobOptions(type="t", payload="[1]"), 2)
    assert one.job_id != two.job_id
    assert one.digest() == two.digest()


def test_a_bad_line_of_a_file_is_named_and_nothing_is_submitted(cli: Cli) -> None:
    (cli.folder / "jobs.jsonl").write_text('{"type":"a"}\n\n{"type":"b","colour":1}\n')
    answer = cli.run("publish", "--file", "jobs.jsonl")
    assert answer.returncode == 2
    assert answer.stderr.strip() == "error: line 3: unknown field: colour"
    assert cli.run("jobs", "list").stdout == ""


def test_a_file_may_not_be_mixed_with_options_of_one_job() -> None:
    with pytest.raises(InvalidRequest, match="leave the other options out"):
        jobs_from_file("jobs.jsonl", JobOptions(type="t"))


def test_without_terminal_and_options_it_shows_its_usage_and_exits_2(cli: Cli) -> None:
    answer = cli.run("publish", stdin="q")
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert "Usage: jobfleet publish" in answer.stderr


def test_each_job_of_standard_input_gets_one_json_line(cli: Cli) -> None:
    jobs = '{"type":"a","jobName":"first"}\n{"type":"b","runAt":"2999-01-01T00:00:00Z"}\n'
    answer = cli.run("publish", "--file", "-", "--json", stdin=jobs)
    assert answer.returncode == 0
    lines = [orjson.loads(line) for line in answer.stdout.splitlines()]
    assert [line["state"] for line in lines] == ["queued", "scheduled"]
    assert answer.stderr == ""


def test_a_payload_comes_from_a_file_or_standard_input(cli: Cli) -> None:
    (cli.folder / "payload.json").write_text('{"a": [1, "ü"]}')
    cli.publish("--type", "t", "--payload", "@payload.json")
    cli.run("publish", "--type", "t", "--payload", "-", stdin='{"a": [1, "ü"]}')
    rows = orjson.loads(cli.run("jobs", "list", "--json").stdout)["items"]
    shown = [cli.run("jobs", "show", row["jobId"], "--json").stdout for row in rows]
    assert [orjson.loads(job)["payload"] for job in shown] == [{"a": [1, "ü"]}] * 2


def test_the_same_key_is_the_same_job_and_with_another_body_a_refusal(cli: Cli) -> None:
    first = cli.publish("--type", "t", "--payload", "1", "--idempotency-key", "k")
    assert cli.publish("--type", "t", "--payload", "1", "--idempotency-key", "k") == first
    other = cli.run("publish", "--type", "t", "--payload", "2", "--idempotency-key", "k")
    assert other.returncode == 1
    assert "another body" in other.stderr


def test_wait_says_how_each_job_ended_and_exits_1_if_one_failed(cli: Cli) -> None:
    cli.start("worker", JOBFLEET_NO_HANDLER_SECONDS="0")
    good = cli.run("publish", *STEPS, "--count", "3", "--wait", "--json")
    assert good.returncode == 0
    assert [orjson.loads(x)["state"] for x in good.stdout.splitlines()] == ["completed"] * 3
    bad = cli.run("publish", "--type", "nobody.knows", "--wait")
    assert bad.returncode == 1
    assert bad.stdout.split()[1] == "failed"
    assert "no handler for" in bad.stderr
