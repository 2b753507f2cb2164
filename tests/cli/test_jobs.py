"""What ``jobfleet jobs`` shows and does."""

from __future__ import annotations

import orjson
import pytest

from tests.cli.conftest import Cli


def test_a_list_is_tabs_in_a_pipe_and_filters_by_state_type_and_text(cli: Cli) -> None:
    cli.publish("--type", "a", "--name", "blue train")
    [late] = cli.publish("--type", "b", "--delay", "100")
    assert cli.run("jobs", "list", "--state", "scheduled").stdout.split("\t")[0] == late
    assert cli.run("jobs", "list", "--type", "a").stdout.split("\t")[3] == "blue train"
    assert cli.run("jobs", "list", "-q", "blue").stdout.count("\n") == 1
    assert cli.run("jobs", "list", "--q", "green").stdout == ""


def test_pages_of_a_list_lead_to_each_job_once(cli: Cli) -> None:
    ids = set(cli.publish("--type", "a", "--count", "5"))
    seen: list[str] = []
    more: list[str] = []
    while True:
        page = orjson.loads(cli.run("jobs", "list", "--json", "--limit", "2", *more).stdout)
        seen += [item["jobId"] for item in page["items"]]
        if page["next"] is None:
            break
        more = ["--cursor", page["next"]]
    assert sorted(seen) == sorted(ids)


def test_events_are_tabs_in_a_pipe_and_found_by_search_and_time(cli: Cli) -> None:
    [job] = cli.publish("--type", "a", "--name", "blue train")
    cli.publish("--type", "b", "--delay", "100")
    [line] = cli.run("events", "-q", "status:queued blue").stdout.splitlines()
    time, *rest = line.split("\t")
    assert (len(time), rest[:3]) == (len("2026-01-31 02:00:00.000"), ["Queued", job, "blue train"])
    ages_ago = cli.run("events", "--until", "2020-01-01T00:00:00Z", "--json")
    assert orjson.loads(ages_ago.stdout) == {"items": [], "next": None, "searchedBackTo": None}
    first = cli.run("events", "--limit", "1")
    assert "more: --cursor " in first.stderr
    wrong = cli.run("events", "-q", "status:gone")
    assert (wrong.returncode, "--q: at character 1, 'status:gone'" in wrong.stderr) == (2, True)


def test_a_whole_list_is_written_as_a_file(cli: Cli) -> None:
    jobs = cli.publish("--type", "a", "--count", "3")
    for command in ("jobs list", "events"):
        lines = cli.run(*command.split(), "--export", "jsonl", "-q", "type:A").stdout.splitlines()
        assert sorted(orjson.loads(line)["jobId"] for line in lines) == sorted(jobs)
        out = cli.folder / "list.csv"
        done = cli.run(*command.split(), "--export", "csv", "--out", str(out), "--limit", "1")
        assert (done.returncode, done.stdout) == (0, "")
        names, *rows = out.read_text().splitlines()
        assert ("jobId" in names, len(rows)) == (True, 3)
        for odd in (("--out", "x"), ("--export", "csv", "--json")):
            assert cli.run(*command.split(), *odd).returncode == 2


def test_show_has_the_history_and_shows_markup_instead_of_obeying(cli: Cli) -> None:
    [job] = cli.publish("--type", "a", "--name", "[red]x[/red]")
    page = cli.run("jobs", "show", job.upper())
    assert page.returncode == 0
    assert "[red]x[/red]" in page.stdout
    assert "Queued" in page.stdout


UNKNOWN = "0196f0c4-0000-7000-8000-000000000000"


@pytest.mark.parametrize(
    ("action", "job"),
    [
        ("show", UNKNOWN),
        ("show", "no-uuid"),
        ("watch", UNKNOWN),
        ("logs", UNKNOWN),
        ("cancel", UNKNOWN),
        ("redrive", UNKNOWN),
        ("dismiss", "no-uuid"),
    ],
)
def test_an_unknown_job_is_exit_1(cli: Cli, action: str, job: str) -> None:
    answer = cli.run("jobs", action, job)
    assert answer.returncode == 1
    assert f"no job {job}" in answer.stderr.replace("'", "")


def test_cancel_answers_for_each_job_and_refuses_one_that_has_ended(cli: Cli) -> None:
    one, two = cli.publish("--type", "a", "--count", "2")
    assert cli.run("jobs", "cancel", one, "--reason", "not needed").stdout == f"{one} cancelled\n"
    both = cli.run("jobs", "cancel", one, two, "--json")
    assert both.returncode == 1
    refused, done = map(orjson.loads, both.stdout.splitlines())
    assert "cancelled already" in refused["error"]
    assert done == {"jobId": two, "state": "cancelled"}


def test_all_jobs_of_a_filter_are_cancelled_once_their_exact_number_is_named(cli: Cli) -> None:
    jobs = cli.publish("--type", "a", "--count", "3")
    cli.publish("--type", "b")
    asked = cli.run("jobs", "cancel", "--type", "a")
    assert (asked.returncode, asked.stdout) == (2, "")
    assert "finds 3 jobs; say --expected 3 to cancel them" in asked.stderr
    other = cli.run("jobs", "cancel", "--type", "a", "--expected", "2")
    assert (other.returncode, other.stdout) == (1, "")
    done = cli.run("jobs", "cancel", "--type", "a", "--expected", "3")
    assert sorted(done.stdout.splitlines()) == sorted(f"{job} cancelled" for job in jobs)
    assert cli.run("jobs", "list", "--state", "queued").stdout.count("\n") == 1


def test_an_action_on_nothing_or_on_ids_and_a_filter_is_wrong_usage(cli: Cli) -> None:
    assert "give job ids to redrive" in cli.run("jobs", "redrive").stderr
    both = cli.run("jobs", "dismiss", UNKNOWN, "--type", "a")
    assert (both.returncode, "not both" in both.stderr) == (2, True)


def test_a_cancelled_job_is_redriven_and_a_failed_one_dismissed(cli: Cli) -> None:
    worker = cli.start("worker", JOBFLEET_NO_HANDLER_SECONDS="0")
    [job] = cli.publish("--type", "nobody.knows", "--max-attempts", "1")
    assert cli.run("jobs", "watch", job).returncode == 1
    worker.terminate()
    worker.wait()
    assert cli.run("jobs", "dismiss", job).stdout == f"{job} failed\n"
    assert cli.run("jobs", "redrive", job).stdout == f"{job} queued\n"
    events = orjson.loads(cli.run("jobs", "show", job, "--json").stdout)["events"]
    assert [event["status"] for event in events][-2:] == ["Dismissed", "Redriven"]


def test_an_ended_job_is_erased_with_a_reason(cli: Cli) -> None:
    [job] = cli.publish("--type", "a")
    open_still = cli.run("jobs", "erase", job, "--reason", "asked")
    assert (open_still.returncode, "cancel it first" in open_still.stderr) == (1, True)
    assert cli.run("jobs", "erase", job).returncode == 2
    cli.run("jobs", "cancel", job)
    erased = cli.run("jobs", "erase", job, "--reason", "asked")
    assert erased.stdout == f"{job} cancelled, erased in an hour by the worker that leads\n"
    assert "exports, backups" in erased.stderr
    assert cli.run("jobs", "redrive", job).returncode == 1


def test_a_filter_dismisses_what_is_not_dismissed_yet(cli: Cli) -> None:
    ids = cli.publish("--type", "nobody.knows", "--max-attempts", "1", "--count", "2")
    cli.start("worker", JOBFLEET_NO_HANDLER_SECONDS="0")
    for job in ids:
        assert cli.run("jobs", "watch", job).returncode == 1
    cli.run("jobs", "dismiss", ids[0])
    rest = cli.run("jobs", "dismiss", "--type", "nobody.knows", "--expected", "1")
    assert rest.stdout == f"{ids[1]} failed\n"


def test_watch_prints_each_event_until_the_end(cli: Cli) -> None:
    [job] = cli.publish("--type", "demo.steps", "--payload", '{"steps": 2, "stepSeconds": 0.1}')
    cli.start("worker", JOBFLEET_NO_HANDLER_SECONDS="0")
    answer = cli.run("jobs", "watch", job, "--json")
    assert answer.returncode == 0
    statuses = [orjson.loads(line)["status"] for line in answer.stdout.splitlines()]
    assert statuses[0] == "Queued"
    assert statuses[-1] == "Completed"
