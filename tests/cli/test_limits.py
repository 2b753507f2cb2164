"""``jobfleet limits`` as a user types them."""

from __future__ import annotations

import orjson

from tests.cli.conftest import Cli

REASON = "sla, see https://ops:hunter2@wiki.example"


def test_a_limit_is_set_listed_shown_and_removed(cli: Cli) -> None:
    done = cli.run(
        "limits", "set", "api", "--slots", "5", "--rate", "10/second", "--reason", REASON
    )
    assert done.returncode == 0, done.stderr
    (row,) = orjson.loads(cli.run("limits", "list", "--json").stdout)["items"]
    assert (row["name"], row["slots"], row["rate"], row["used"]) == ("api", 5, "10/second", 0)
    shown = cli.run("limits", "show", "api").stdout
    assert "sla" in shown
    assert "hunter2" not in shown
    assert "10/second" in shown
    assert cli.run("limits", "set", "api", "--slots", "7").returncode == 0
    newest, oldest = cli.run("limits", "show", "api").stdout.splitlines()[-2:]
    assert newest.split("\t")[2:6] == ["Set", "7", "-", "-"]
    assert oldest.split("\t")[2:6] == ["Set", "5", "10/second", "1"]
    assert cli.run("limits", "remove", "api").returncode == 0
    assert orjson.loads(cli.run("limits", "list", "--json").stdout)["items"] == []
    assert cli.run("audit", "verify").returncode == 0
    gone = cli.run("limits", "show", "api")
    assert (gone.returncode, gone.stderr) == (1, "error: no limit api\n")


def test_a_limit_that_does_not_fit_is_refused_with_its_remedy(cli: Cli) -> None:
    for options, remedy in (
        (["api"], "name slots, a rate or both"),
        (["api", "--slots", "0"], "a whole number from 1 to 1,000"),
        (["api", "--rate", "fast"], "10/second"),
        (["has space", "--slots", "1"], "is not allowed"),
    ):
        answer = cli.run("limits", "set", *options)
        assert answer.returncode == 2, answer.stderr
        assert remedy in answer.stderr
