"""The seal of a fleet: who may rely on which look, and what its log may hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from jobfleet_contracts.control import ControlKind, ControlSubject
from jobfleet_contracts.control_ports import ControlLog
from jobfleet_contracts.errors import (
    ActionRefused,
    BackendForbidden,
    FleetSealed,
)
from jobfleet_protocol.audit.control_check import check_control_log
from jobfleet_protocol.control.fleet_seal import KNOWN_SECONDS, SETTLED_SECONDS, FleetSeal, Seal
from jobfleet_protocol.control.pauses import Pauses
from jobfleet_protocol.control.seals import Seals
from tests.protocol.bench import Bench, opened
from tests.protocol.faulty_port import FaultyPort


async def test_a_look_counts_for_less_than_a_mover_waits(tmp_path: Path) -> None:
    assert KNOWN_SECONDS < SETTLED_SECONDS
    async with opened(tmp_path) as bench:
        seal, seals = FleetSeal(log=bench.real.control_log, clock=bench.clock), _seals(bench)
        await seal.check()
        await seals.put("m", by="operator", reason="")
        await seal.check()
        bench.clock.advance(KNOWN_SECONDS + 0.1)
        with pytest.raises(FleetSealed, match="sealed by operator"):
            await seal.check()
        await seals.lift(by="operator", reason="")
        await seal.check()


async def test_a_look_waits_through_an_outage_and_names_a_missing_permission(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as bench:
        log = FaultyPort(bench.real.control_log)
        log.lose_request("newest")
        seal = FleetSeal(log=cast("ControlLog", log), clock=bench.clock)
        await seal.check()
        refusal = BackendForbidden("control.newest: needs a role")
        log.lose_request("newest", error=refusal)
        bench.clock.advance(KNOWN_SECONDS + 0.1)
        with pytest.raises(BackendForbidden, match="needs a role"):
            await seal.check()


async def test_the_control_log_of_a_sealed_fleet_refuses_entries(tmp_path: Path) -> None:
    async with opened(tmp_path) as bench:
        await _seals(bench).put("m", by="operator", reason="")
        pauses = Pauses(log=bench.real.control_log, control=bench.real.control, clock=bench.clock)
        with pytest.raises(FleetSealed):
            await pauses.pause(ControlSubject.QUEUE, "default", by="operator")
        assert await bench.real.control_log.newest(ControlSubject.QUEUE, "default") is None


async def test_a_seal_stands_until_it_is_lifted_and_only_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as bench:
        seals = _seals(bench)
        first = await seals.put("one", by="anna", reason="larger")
        assert await seals.put("two", by="bert", reason="") == first
        with pytest.raises(ActionRefused, match="another move has sealed the fleet"):
            await seals.lift(by="bert", reason="", move_id="two")
        await seals.lift(by="bert", reason="given up")
        with pytest.raises(ActionRefused, match="not sealed"):
            await seals.lift(by="bert", reason="")
        log = (await bench.real.control_log.history(ControlSubject.FLEET, "seal"))[::-1]
        assert [(entry.kind, entry.by) for entry in log] == [
            (ControlKind.SEALED, "anna"),
            (ControlKind.UNSEALED, "bert"),
        ]
        assert check_control_log(log) == []


async def test_a_log_of_seals_that_somebody_edited_is_found(tmp_path: Path) -> None:
    async with opened(tmp_path) as bench:
        await _seals(bench).put("one", by="anna", reason="")
        (entry,) = await bench.real.control_log.history(ControlSubject.FLEET, "seal")
        again = replace(entry, sequence=2, entry_id="another")
        other = replace(again, kind=ControlKind.PAUSED)
        lifted = replace(again, kind=ControlKind.UNSEALED)
        for log, message in (
            ([entry, again], "Sealed of a fleet that is sealed"),
            ([entry, other], "Paused is nothing that happens to the fleet"),
            ([entry, lifted], "Unsealed leaves the fleet sealed"),
        ):
            assert message in [found.message for found in check_control_log(log)]
        spoiled = replace(entry, state={"sealed": "yes"})
        found = Seal.of(spoiled)
        assert found is not None
        assert "its log cannot be read" in found.text


def _seals(bench: Bench) -> Seals:
    return Seals(log=bench.real.control_log, clock=bench.clock)
