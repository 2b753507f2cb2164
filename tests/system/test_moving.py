"""A whole fleet goes from one backend to another, and goes on there as if nothing had been."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest.mock import patch

import orjson
import psycopg
import pytest
from pydantic import SecretStr

from devtools.servers import PostgresServer, RabbitMQServer, StorageServer
from jobfleet_backends.settings import Settings
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.move_export import MoveExport
from jobfleet_cli.move_import import MoveImport
from jobfleet_contracts.control import ControlSubject
from jobfleet_contracts.errors import ActionRefused, FleetSealed, SettingsError
from jobfleet_contracts.lease import limit_lock
from jobfleet_protocol.actions.final_result import callback_job_id
from jobfleet_protocol.actions.successors import successor_id
from jobfleet_protocol.control.fleet_seal import Seal
from jobfleet_protocol.control.seals import Seals
from jobfleet_protocol.moving import move_in, move_out
from jobfleet_protocol.reading.export_line import entry_of_line
from jobfleet_publisher import Publisher
from jobfleet_worker.run.give_back import GiveBack
from tests.protocol.bench import DEFAULTS, Bench
from tests.system.azure_workshop import azure_settings as settings_on_azure
from tests.system.moved_fleet import Fleet, key_lock_of_turns, opened, populate


@pytest.fixture(autouse=True)
def _nobody_else_is_there() -> Iterator[None]:
    """No other process has to see the seal, so nobody waits until it has."""
    with (
        patch.object(move_out, "SETTLED_SECONDS", 0.0),
        patch.object(move_in, "SETTLED_SECONDS", 0.0),
        patch.object(move_out, "LOOK_SECONDS", 0.01),
    ):
        yield


def embedded(folder: Path, name: str) -> Settings:
    return Settings(backend="embedded", data_dir=folder / name)


@pytest.fixture
def postgres_settings(postgres: PostgresServer, postgres_schema: str) -> Settings:
    return Settings(
        backend="postgres",
        postgres_url=SecretStr(postgres.url),
        postgres_schema=postgres_schema,
    )


@pytest.fixture
def azure_settings(rabbitmq: RabbitMQServer, azurite: StorageServer) -> Settings:
    return settings_on_azure(rabbitmq.url, azurite.connection_string)


async def export(fleet: Fleet, file: Path, *, wait_seconds: float = 30) -> ExitCode:
    move = MoveExport(out=file, reason="a larger house", wait_seconds=wait_seconds)
    return await move.run(fleet.session)


async def move(source: Fleet, target: Fleet, file: Path) -> None:
    """Move, and compare all that must be the same."""
    assert await export(source, file) is ExitCode.DONE
    assert await MoveImport(file=file).run(target.session) is ExitCode.DONE
    target.jobs = source.jobs
    there, here = await source.histories(), await target.histories()
    owed = {
        callback_job_id(source.jobs["owes a callback"], 1),
        successor_id(source.jobs["owes a successor"], 0, 1),
    }
    made = {job_id: here.pop(job_id) for job_id in here.keys() - there.keys()}
    assert owed == made.keys() or owed <= there.keys()
    assert {history[-1].status for history in made.values()} <= {"Queued"}
    assert here == there
    assert {k: h[-1].hash for k, h in here.items()} == {k: h[-1].hash for k, h in there.items()}
    assert await target.entries() == await source.entries()
    assert await target.failures() == await source.failures() != {}
    assert await target.log_of("completed") == b"it runs\n"
    for lock in (key_lock_of_turns(), limit_lock("crm", 1)):
        note = await target.bench.real.locks.read_note(lock)
        assert note == await source.bench.real.locks.read_note(lock)
    await target.bench.verify()


PUBLISHED = (
    *("queued", "large request", "redriven", "lost", "lost under a key", "waiting unsent"),
)
"""Due now, and no pause holds them."""
LATER = ("scheduled soon", "deferred", "retrying")


async def goes_on(fleet: Fleet, *, was_killed: bool = False) -> None:
    """What was open is published, what ran is taken over, turns go on above.

    Args:
        was_killed: an import that is killed between a message and its mark sends a second copy.
    """
    rows = {row.facts.job_id: row for row in await fleet.bench.open_rows()}
    sent = {job_id for job_id, row in rows.items() if row.published == row_sequence(row)}
    names = {job_id: name for name, job_id in fleet.jobs.items()}
    published = {names.get(job_id, "follower") for job_id in sent}
    assert published == {*PUBLISHED, *LATER, "follower"}
    messages = [message.request.job_id for message in await fleet.bench.messages()]
    assert {names.get(job_id, "follower") for job_id in messages} == {*PUBLISHED, "follower"}
    assert was_killed or len(messages) == len(set(messages)) == len(PUBLISHED) + 2
    assert await fleet.state("once") == "failed"
    assert (await fleet.bench.history(fleet.jobs["once"]))[-1].data["error"]["type"] == "WorkerLost"
    lost = await fleet.bench.head(fleet.jobs["lost"])
    assert (lost.status, lost.after.takeovers) == ("TakenOver", 1)
    request = await fleet.bench.submit(lock_key="customer-1")
    claimed = await fleet.bench.claimed(request, "w2")
    assert claimed.trail.head.after.lock_turn == 4
    await fleet.bench.end(claimed)
    await fleet.bench.verify()


def row_sequence(row: object) -> int:
    return max(getattr(row, "sequence", 0), 1)


async def test_an_embedded_fleet_goes_on_in_another_folder(tmp_path: Path) -> None:
    async with opened(embedded(tmp_path, "a")) as source, opened(embedded(tmp_path, "b")) as target:
        await populate(source)
        await move(source, target, tmp_path / "fleet.jsonl")
        await goes_on(target)


@pytest.mark.servers
@pytest.mark.parametrize("way", ["there", "back"])
async def test_a_fleet_goes_on_in_postgres_and_back_on_one_machine(
    way: str, tmp_path: Path, postgres_settings: Settings
) -> None:
    pair = (embedded(tmp_path, "a"), postgres_settings)
    first, second = pair if way == "there" else pair[::-1]
    async with opened(first) as source, opened(second) as target:
        await populate(source)
        await move(source, target, tmp_path / "fleet.jsonl")
        await goes_on(target)


@pytest.mark.servers
async def test_a_fleet_goes_on_in_azure_and_back_on_one_machine(
    tmp_path: Path, azure_settings: Settings
) -> None:
    async with opened(embedded(tmp_path, "a")) as source, opened(azure_settings) as azure:
        await populate(source)
        await move(source, azure, tmp_path / "there.jsonl")
        async with opened(embedded(tmp_path, "b")) as target:
            await move(azure, target, tmp_path / "back.jsonl")
            await goes_on(target)


async def test_an_import_that_is_killed_anywhere_goes_on_where_it_stopped(tmp_path: Path) -> None:
    file = tmp_path / "fleet.jsonl"
    async with opened(embedded(tmp_path, "a")) as source:
        await populate(source)
        assert await export(source, file) is ExitCode.DONE
        killed = 0
        for writes in range(0, 60, 4):
            async with opened(embedded(tmp_path, "b")) as target:
                importing = asyncio.create_task(_killed_after(target, file, writes=writes))
                await asyncio.wait([importing])
                if not importing.cancelled():
                    break
                killed += 1
                assert Seal.of(await _seals(target).newest()) is not None
        assert killed > 4
        assert importing.result() is ExitCode.DONE
        async with opened(embedded(tmp_path, "b")) as target:
            target.jobs = source.jobs
            await goes_on(target, was_killed=True)
            await target.bench.messages()
            assert await MoveImport(file=file).run(target.session) is ExitCode.DONE
            assert (await target.bench.messages()) == []


def _seals(fleet: Fleet) -> Seals:
    return Seals(log=fleet.bench.real.control_log, clock=fleet.bench.clock)


async def _killed_after(target: Fleet, file: Path, *, writes: int) -> ExitCode:
    """Import until so many writes were carried out, whatever they wrote."""
    left, real = writes, target.session.backend
    owner = asyncio.current_task()
    assert owner is not None

    def counting(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def carried_out(*values: Any, **options: Any) -> Any:
            nonlocal left
            answer = await method(*values, **options)
            left -= 1
            if left < 0:
                owner.cancel()
                raise asyncio.CancelledError
            return answer

        return carried_out

    with (
        patch.object(real.trail, "insert", counting(real.trail.insert)),
        patch.object(real.control_log, "insert", counting(real.control_log.insert)),
        patch.object(real.locks, "write_note", counting(real.locks.write_note)),
        patch.object(real.index, "open", counting(real.index.open)),
        patch.object(real.queue, "publish", counting(real.queue.publish)),
    ):
        return await MoveImport(file=file).run(target.session)


async def test_a_sealed_fleet_refuses_and_an_unsealed_one_goes_on(tmp_path: Path) -> None:
    async with opened(embedded(tmp_path, "a")) as source:
        bench = source.bench
        request = await bench.submit()
        assert await export(source, tmp_path / "fleet.jsonl") is ExitCode.DONE
        bench.clock.advance(10)
        with pytest.raises(FleetSealed, match=r"sealed by .* \(a larger house\).*unseal"):
            await bench.submit()
        with pytest.raises(FleetSealed):
            await bench.canceller.cancel(request.job_id, by="operator")
        with pytest.raises(FleetSealed):
            await bench.redriver.redrive(request.job_id, by="operator")
        with pytest.raises(FleetSealed):
            await bench.claimed(request)  # it slept between its look and its insert
        await _given_back(bench)
        assert await bench.statuses(request.job_id) == ["Queued", "Started", "Deferred"]
        assert (await bench.head(request.job_id)).message == "the fleet was sealed"
        seals = _seals(source)
        await seals.lift(by="operator", reason="given up")
        await bench.end(await bench.claimed(await bench.submit()))
        log = await bench.real.control_log.history(ControlSubject.FLEET, "seal")
        assert (log[0].kind, log[0].by, log[0].reason) == ("Unsealed", "operator", "given up")
        with pytest.raises(ActionRefused, match="not sealed"):
            await seals.lift(by="operator", reason="")


async def _given_back(bench: Bench) -> None:
    """See to the claims that were given up, as a worker does."""
    give_back = GiveBack(
        trail=bench.real.trail,
        writer=bench.writes.writer,
        clock=bench.clock,
        worker_id="w1",
        lease_seconds=15,
        retire=lambda _lock, _why: None,
    )
    for claim in bench.given_up:
        give_back.unclear(claim)
    await give_back.settle(30)


async def test_a_job_that_runs_is_waited_for_and_nothing_is_written_of_it_before_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "fleet.jsonl"
    async with opened(embedded(tmp_path, "a")) as source:
        bench = source.bench
        claimed = await bench.claimed(await bench.submit())
        with pytest.raises(ActionRefused, match=r"waited in vain for job .* which w1 runs"):
            await export(source, file, wait_seconds=0)
        assert not file.exists()
        exporting = asyncio.create_task(export(source, file))
        async with asyncio.timeout(30):
            while "waiting for job" not in capsys.readouterr().err:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await bench.end(claimed)
        assert await exporting is ExitCode.DONE
        assert b'"Completed"' in file.read_bytes()


@pytest.mark.servers
async def test_a_job_of_a_transaction_that_is_open_is_waited_for_and_moved(
    tmp_path: Path, postgres_settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "fleet.jsonl"
    assert postgres_settings.postgres_url is not None
    address = postgres_settings.postgres_url.get_secret_value()
    async with (
        opened(postgres_settings) as source,
        await psycopg.AsyncConnection.connect(address) as connection,
    ):
        publisher = Publisher(
            backend=source.bench.real, clock=source.bench.clock, defaults=DEFAULTS
        )
        job = await publisher.submit("x", connection=connection)
        exporting = asyncio.create_task(export(source, file))
        async with asyncio.timeout(30):
            while "waiting for a transaction" not in capsys.readouterr().err:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await connection.commit()
        assert await exporting is ExitCode.DONE
        assert job.job_id.encode() in file.read_bytes()


async def test_a_backend_that_holds_anything_is_refused_and_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "fleet.jsonl"
    async with opened(embedded(tmp_path, "a")) as source, opened(embedded(tmp_path, "b")) as other:
        await source.bench.submit()
        request = await other.bench.submit()
        assert await export(source, file) is ExitCode.DONE
        with pytest.raises(ActionRefused, match=f"job {request.job_id} is here"):
            await MoveImport(file=file).run(other.session)
        with pytest.raises(ActionRefused, match="the backend that the file comes from"):
            await MoveImport(file=file).run(source.session)
        await other.bench.end(await other.bench.claimed(request))


WRONG_ENTRY = {
    "subject": "limit",
    "name": "x",
    "sequence": 1,
    "entryId": "e",
    "kind": "Set",
    "by": "ops",
    "timestamp": "2026-03-01T12:00:00Z",
    "reason": "",
    "details": {},
    "state": {"slots": "two", "rate": None, "burst": 1, "removed": False},
}
"""An entry of the control log that no writer writes."""


async def test_a_file_that_is_cut_or_changed_or_foreign_is_named_and_nothing_is_written(
    tmp_path: Path,
) -> None:
    file, bad = tmp_path / "fleet.jsonl", tmp_path / "bad.jsonl"
    async with opened(embedded(tmp_path, "a")) as source, opened(embedded(tmp_path, "b")) as target:
        await source.bench.submit()
        await source.bench.submit()
        assert await export(source, file) is ExitCode.DONE
        whole = file.read_bytes()
        lines = whole.splitlines(keepends=True)
        for body, message in (
            (b"", "line 1: not a file that"),
            (b"hello\n", "line 1: not a file that"),
            (lines[1], "written without --move"),
            (b"".join(lines[:-1]), "line 4: the last line is missing, so the file was cut off"),
            (whole[:-300], "line 3: .*cut off there"),
            (whole.replace(b" submitted", b" Submitted"), "its checksum differs"),
            (lines[0] + lines[2] + lines[1] + lines[3], "its checksum differs"),
            (whole + b"\n", "line 5: there is more after the last line"),
            (lines[0] + orjson.dumps(WRONG_ENTRY) + b"\n", r"line 2: state\.slots: is not"),
            (whole.replace(b'"jobfleetMove":1', b'"jobfleetMove":9'), "another release"),
        ):
            bad.write_bytes(body)
            with pytest.raises(SettingsError, match=rf"FILE: .*bad.jsonl: .*{message}"):
                await MoveImport(file=bad).run(target.session)
        with pytest.raises(SettingsError, match=r"missing\.jsonl cannot be read: No such file"):
            await MoveImport(file=tmp_path / "missing.jsonl").run(target.session)
        assert await target.histories() == {}
        assert await _seals(target).newest() is None


@pytest.mark.parametrize("damage", [{"jobId": {}}, {"member": {"index": 1}}, -1, None])
async def test_a_request_that_nobody_can_read_keeps_no_other_job_from_going_on(
    tmp_path: Path, damage: dict[str, object] | int | None
) -> None:
    file = tmp_path / "fleet.jsonl"
    async with opened(embedded(tmp_path, "a")) as source, opened(embedded(tmp_path, "b")) as target:
        broken = await source.bench.submit()
        sound = await source.bench.submit()
        assert await export(source, file) is ExitCode.DONE
        lines = [orjson.loads(line) for line in file.read_bytes().splitlines()]
        [line] = [line for line in lines if line.get("jobId") == broken.job_id]
        if isinstance(damage, dict):
            damage = line["data"]["request"] | damage
        line["data"] = {} if damage is None else line["data"] | {"request": damage}
        body = b"".join(orjson.dumps(line) + b"\n" for line in lines[:-1])
        lines[-1]["end"]["sha256"] = sha256(body).hexdigest()
        file.write_bytes(body + orjson.dumps(lines[-1]) + b"\n")
        assert await MoveImport(file=file).run(target.session) is ExitCode.DONE
        messages = [message.request.job_id for message in await target.bench.messages()]
        assert messages == [sound.job_id]


async def test_what_somebody_edited_is_left_out_named_and_keeps_nothing_else_from_moving(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "fleet.jsonl"
    async with opened(embedded(tmp_path, "a")) as source, opened(embedded(tmp_path, "b")) as target:
        edited, sound = await source.bench.submit(), await source.bench.submit()
        level = {"subject": "limit", "kind": "Set", "state": {"slots": "two"}}
        entry = entry_of_line({**WRONG_ENTRY, **level})
        await source.bench.real.control_log.insert(entry)
        with closing(sqlite3.connect(tmp_path / "a" / "jobfleet.db")) as database, database:
            database.execute("DROP TRIGGER trail_is_never_rewritten")
            edit = "UPDATE trail SET queue = '../x' WHERE job_id = ?"
            database.execute(edit, (edited.job_id,))
        assert await export(source, file) is ExitCode.NO
        printed = capsys.readouterr().err
        assert f"job {edited.job_id}, for its event 1, is left out: queue: " in printed
        assert "entry 1 of limit x is left out: state." in printed
        assert await MoveImport(file=file).run(target.session) is ExitCode.DONE
        assert (await target.histories()).keys() == {sound.job_id}
