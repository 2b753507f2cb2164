"""``jobfleet groups``: one call submits a whole group, again and again."""

from __future__ import annotations

import json
from typing import Any

from tests.cli.conftest import Cli


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
