"""``jobfleet groups``: one call submits a whole group, again and again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.cli.conftest import Cli

BOOM = """
from jobfleet_worker import Fail, handler

@handler("boom")
async def boom() -> None:
    raise Fail("it is broken")
"""


def test_a_group_is_submitted_by_one_call_and_shown(cli: Cli) -> None:
    members = cli.folder / "members.jsonl"
    members.write_text('{"type": "a"}\n{"type": "a", "payload": 2}\n')
    call: tuple[Any, ...] = ("groups", "submit", "--file", str(members), "--name", "imports")
    call += ("--idempotency-key", "imports/1", "--then", '[{"type": "report"}]', "--json")
    first, again = (json.loads(cli.run(*call).stdout) for _ in range(2))
    assert first == again
    assert (first["state"], first["members"]) == ("waiting", 2)
    shown = cli.run("groups", "show", first["groupId"])
    assert shown.returncode == 1
    assert "0 of 2 ended" in shown.stdout
    unknown = cli.run("groups", "show", "0192f0c1-0000-7000-8000-000000000000")
    assert "no group" in unknown.stderr


def test_members_are_listed_redriven_and_cancelled(cli: Cli, until: Callable[..., None]) -> None:
    (cli.folder / "mine.py").write_text(BOOM)
    (cli.folder / "members.jsonl").write_text('{"type": "boom"}\n{"type": "boom"}\n')
    submit: tuple[str, ...] = (
        "groups",
        "submit",
        "--file",
        str(cli.folder / "members.jsonl"),
        "--name",
        "n",
    )
    submit += ("--idempotency-key", "k", "--on-failure", "hold", "--json")
    group = json.loads(cli.run(*submit).stdout)["groupId"]
    cli.start("worker", "--handlers", "mine")

    def members(state: str) -> list[dict[str, Any]]:
        listed = cli.run("groups", "members", group, "--state", state, "--json").stdout
        found: list[dict[str, Any]] = json.loads(listed)["items"]
        return found

    until(lambda: len(members("failed")) == 2, "both members to fail")
    redriven = cli.run("groups", "redrive", group, "--reason", "the broken host is back")
    assert redriven.returncode == 0, redriven.stderr
    jobs = [member["jobId"] for member in members("failed")] or [group]
    until(
        lambda: (
            "the broken host is back" in cli.run("jobs", "show", jobs[0]).stdout
            or len(members("failed")) < 2
        ),
        "the redrive to be recorded",
    )
    cancelled = cli.run("groups", "cancel", group, "--reason", "no longer wanted")
    assert cancelled.returncode == 0, cancelled.stderr
    until(
        lambda: "cancelled" in cli.run("groups", "show", group).stdout.lower(),
        "the group to be cancelled",
    )
