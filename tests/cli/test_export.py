"""An export is masked unless asked otherwise; its linkage is checked without the storage."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from jobfleet_cli.output_file import Output, write_out
from jobfleet_contracts.errors import SettingsError
from tests.cli.conftest import Cli

SECRET = "planted-credential-1"


def _exported(cli: Cli, *options: str) -> Path:
    payload = orjson.dumps({"headers": {"X-Api-Key": SECRET}}).decode()
    for _ in range(2):
        [job] = cli.publish("--type", "demo.steps", "--payload", payload)
        assert cli.run("jobs", "cancel", job).returncode == 0
        assert cli.run("jobs", "redrive", job).returncode == 0
    assert cli.run("audit", "export", "--out", "trail.jsonl", *options).returncode == 0
    return cli.folder / "trail.jsonl"


@pytest.mark.parametrize("options", [[], ["--raw"]])
def test_an_export_is_linked_and_shows_which_row_was_changed_or_is_missing(
    cli: Cli, options: list[str]
) -> None:
    file = _exported(cli, *options)
    assert (SECRET in file.read_text()) == bool(options)
    assert cli.run("audit", "verify", "--export", file.name).stdout.endswith(
        " events, 0 violations\n"
    )

    lines = file.read_bytes().splitlines()
    second = orjson.loads(lines[1])
    changed = second | {"timestamp": "2020-01-01T00:00:00.000000Z"}
    file.write_bytes(b"\n".join([lines[0], orjson.dumps(changed), *lines[2:]]) + b"\n")
    answer = cli.run("audit", "verify", "--export", file.name, "--json")
    [found] = map(orjson.loads, answer.stdout.splitlines())
    assert answer.returncode == 1
    assert (found["rule"], found["jobId"], found["sequence"]) == (12, second["jobId"], 2)

    file.write_bytes(b"\n".join([lines[0], *lines[2:]]) + b"\n")
    answer = cli.run("audit", "verify", "--export", file.name)
    assert answer.returncode == 1
    assert "event 2 is missing" in answer.stdout


def test_a_file_that_is_no_export_is_named_with_its_line(cli: Cli) -> None:
    (cli.folder / "other.jsonl").write_text('{"jobId": 1}\n')
    answer = cli.run("audit", "verify", "--export", "other.jsonl")
    assert answer.returncode == 2
    assert "other.jsonl, line 1" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_an_export_of_a_search_holds_its_jobs_only(cli: Cli) -> None:
    [one] = cli.publish("--type", "crm.sync")
    cli.publish("--type", "mail.send")
    assert cli.run("audit", "export", "--q", "type:CRM.*", "--out", "some.jsonl").returncode == 0
    lines = map(orjson.loads, (cli.folder / "some.jsonl").read_bytes().splitlines())
    assert {line["jobId"] for line in lines} == {one}
    wrong = cli.run("audit", "export", "--q", "typ:a")
    assert (wrong.returncode, "there is no field typ:" in wrong.stderr) == (2, True)


async def test_a_link_in_the_place_of_the_partial_file_is_not_written_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user of the folder may put it there after the look at the place."""
    target = tmp_path / "of-another-user"
    target.write_text("")
    (tmp_path / "out.jsonl.part").symlink_to(target)
    monkeypatch.setattr(Path, "unlink", lambda _, **__: None)

    async def write(file: Output) -> None:
        file.write(b"secret")

    with pytest.raises(SettingsError, match="not writable"):
        await write_out(tmp_path / "out.jsonl", write)
    assert target.read_text() == ""
