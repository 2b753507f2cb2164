"""A run on a user's account asks first, and finds again all that it has made."""

from __future__ import annotations

from pathlib import Path

import pytest

from devtools.prove_azure import __main__ as command
from devtools.prove_azure import names
from devtools.prove_azure.bill import estimate
from devtools.prove_azure.cleaning import QUEUES
from devtools.prove_azure.target import BROKER, STORAGE, NotNamedError, Target, named_target
from devtools.servers.emulator_account import connection_string

EMULATOR = connection_string(blob=1, queue=2, table=3)
REAL = "DefaultEndpointsProtocol=https;AccountName=ours;AccountKey=c2VjcmV0"
URL = "amqp://guest:hidden@broker.example:5672/"


def test_both_servers_have_to_be_named() -> None:
    with pytest.raises(NotNamedError, match=f"{BROKER} not set"):
        named_target({STORAGE: EMULATOR})
    with pytest.raises(NotNamedError, match=f"{STORAGE} and {BROKER}"):
        named_target({})


def test_nothing_runs_and_no_secret_is_shown_before_the_bill_is_confirmed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "named_target", lambda: Target(REAL, URL))
    monkeypatch.setattr(command, "evidence", lambda _: pytest.fail("it ran"))
    assert command.main([]) == 2
    shown = capsys.readouterr()
    assert "account ours, broker broker.example: at most" in shown.out
    assert "USD" in shown.out
    assert "--yes" in shown.err
    assert not {"c2VjcmV0", "hidden"} & set((shown.out + shown.err).replace(":", " ").split())


@pytest.mark.parametrize(("storage", "run"), [(REAL, "azure"), (EMULATOR, "azurite-as-azure")])
def test_a_confirmed_run_is_recorded_under_the_name_of_what_it_ran_on(
    storage: str, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[list[str]] = []

    def record(arguments: list[str]) -> int:
        recorded.append(arguments)
        return 0

    monkeypatch.setattr(command, "named_target", lambda: Target(storage, URL))
    monkeypatch.setattr(command, "evidence", record)
    assert command.main(["--yes"]) == 0
    assert recorded == [["record", run]]


def test_a_longer_run_costs_more() -> None:
    short, long = (estimate(chaos_seconds=each, jobs=100) for each in (60, 600))
    assert 0 < short.usd < long.usd


def test_names_of_a_run_hold_its_mark_and_its_namespaces_are_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark, noted = names.new_mark(), tmp_path / "namespaces"
    for name, value in names.environment(mark, noted).items():
        monkeypatch.setenv(name, value)
    namespace = names.own_namespace("test")
    assert mark in namespace
    assert names.own_name().startswith(mark)
    assert noted.read_text().split() == [namespace]


def test_every_queue_of_the_conformance_suites_is_cleaned() -> None:
    folder = Path(__file__).parents[1] / "conformance"
    text = "".join(file.read_text() for file in folder.glob("test_job_*.py"))
    named = {part.partition('"')[0] for part in text.split('queue="')[1:]}
    assert named <= set(QUEUES)


def test_whatever_happens_the_run_is_cleaned(monkeypatch: pytest.MonkeyPatch) -> None:
    cleaned: list[str] = []

    def stopped(_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_passes", stopped)
    monkeypatch.setattr(command, "clean", lambda _target, mark, _noted: cleaned.append(mark))
    monkeypatch.setattr(command, "left_in_storage", lambda _target, _mark: [])
    monkeypatch.setattr("devtools.prove_azure.__main__.signal.signal", lambda *_: None)
    monkeypatch.setattr("devtools.prove_azure.__main__.os.environ", {})
    assert command.steps(Target(EMULATOR, URL)) == 130
    assert len(cleaned) == 1
