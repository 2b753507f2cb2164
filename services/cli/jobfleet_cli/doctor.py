"""``jobfleet doctor``: what can be reached and what is allowed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_cli.answer import print_json
from jobfleet_cli.event_loop import run_async
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.logging import configure_logging
from jobfleet_cli.session import ask_probes, storage_settings
from jobfleet_cli.terminal_text import visible
from jobfleet_contracts.backend import MOST_CLOCK_OFFSET, Probe
from jobfleet_contracts.codec import format_time
from jobfleet_contracts.control_ports import ControlLog
from jobfleet_contracts.errors import BackendError, SettingsError
from jobfleet_dashboard.security.api_keys import ApiKeys
from jobfleet_protocol.actions.signing_keys import SigningKeys
from jobfleet_protocol.control.fleet_seal import EFFECT, REMEDY, Seal
from jobfleet_protocol.control.seals import Seals
from jobfleet_worker.handlers.hooks import NO_HOOKS, Hooks
from jobfleet_worker.handlers.registry import (
    HandlerImportError,
    Handlers,
    handlers_in,
    hooks_at,
    schedules_at,
)

SETTINGS = "settings"
HANDLERS = "handlers"
CLOCK = "clock"
SEAL = "seal"
SEAL_SECONDS = 10.0

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line per check.")] = False,
) -> None:
    """Check settings, servers, permissions and handler modules; one line each, with the remedy.

    Exit 0 if all is well, 2 if the configuration is wrong or the fleet is sealed, 3 if a server
    cannot be used.
    """
    settings = storage_settings()
    configure_logging(settings, one_shot=True)
    servers = run_async(_servers(settings))
    probes = [*_keys(settings), *servers, *_modules(settings.handlers)]
    for probe in probes:
        print_json(asdict(probe)) if as_json else print(_line(probe))
    raise typer.Exit(_exit_code(probes))


async def _servers(settings: Settings) -> Sequence[Probe]:
    try:
        backend = await open_backend(settings)
    except SettingsError as error:
        return [Probe(SETTINGS, _address(settings), ok=False, detail=str(error))]
    except BackendError as error:
        return [Probe(settings.backend, _address(settings), ok=False, detail=str(error))]
    try:
        probes = await ask_probes(backend.probe, backend.name)
        clocks = clock_probes(backend.name, backend.clock_offset())
        if not all(probe.ok for probe in probes):
            return [*probes, *clocks]
        return [*probes, *clocks, *await seal_probes(backend.control_log, probes[0].address)]
    finally:
        await backend.close()


def clock_probes(backend_name: str, offset: float) -> Sequence[Probe]:
    """Say how wrong this machine's clock is, after the storage has answered.

    Nothing if the storage is not a server, and has no clock of its own.

    Args:
        offset: seconds by which this machine's clock is ahead of the storage's.
    """
    if backend_name == "embedded":
        return []
    if abs(offset) <= MOST_CLOCK_OFFSET:
        return [Probe(CLOCK, "this machine", ok=True, detail="agrees with the storage's")]
    side = "ahead of" if offset > 0 else "behind"
    return [
        Probe(
            CLOCK,
            "this machine",
            ok=False,
            detail=f"{abs(offset):.1f} s {side} the storage's; workers here fire no schedule",
            remedy="synchronise the machine's clock (NTP)",
        )
    ]


async def seal_probes(log: ControlLog, address: str) -> Sequence[Probe]:
    """Say since when the fleet is sealed, and by whom; nothing if it is not."""
    try:
        async with asyncio.timeout(SEAL_SECONDS):
            seal = Seal.of(await Seals(log=log, clock=SystemClock()).newest())
    except (BackendError, TimeoutError) as error:
        return [Probe(SEAL, address, ok=False, detail=str(error) or "no answer")]
    if seal is None:
        return []
    why = f" ({seal.why})" if seal.why else ""
    detail = f"sealed by {seal.by} since {format_time(seal.since)}{why}: {EFFECT}"
    return [Probe(SEAL, address, ok=False, detail=detail, remedy=REMEDY)]


def _keys(settings: Settings) -> Sequence[Probe]:
    """What is wrong with the keys; a dashboard or worker would end at its start."""
    secrets = [secret.get_secret_value() for secret in settings.callback_secrets]
    try:
        ApiKeys(settings.api_keys)
        SigningKeys(secrets)
    except SettingsError as error:
        return [Probe(SETTINGS, "keys", ok=False, detail=str(error))]
    return []


def _address(settings: Settings) -> str:
    return str(settings.data_dir) if settings.backend == "embedded" else "servers"


def _modules(names: Sequence[str]) -> list[Probe]:
    """Load them as a worker does: a handler may ask for what another module provides."""
    try:
        hooks = hooks_at(names)
    except HandlerImportError:  # shown beside its module, as far as it is that module's own
        hooks = NO_HOOKS
    return [_module(name, hooks) for name in names]


def _module(name: str, hooks: Hooks) -> Probe:
    try:
        types = Handlers(handlers_in(name, hooks), schedules_at(name), hooks).types
    except HandlerImportError as error:
        last = str(error).strip().splitlines()[-1]
        remedy = "JOBFLEET_HANDLERS: name modules that `python -c 'import NAME'` can import"
        return Probe(HANDLERS, name, ok=False, detail=last, remedy=remedy)
    return Probe(HANDLERS, name, ok=True, detail=", ".join(types))


def _line(probe: Probe) -> str:
    mark = "ok  " if probe.ok else "FAIL"
    detail = f"  {visible(probe.detail)}" if probe.detail else ""
    remedy = f"  -> {visible(probe.remedy)}" if probe.remedy and not probe.ok else ""
    return f"{mark}  {probe.part}  {visible(probe.address)}{detail}{remedy}"


def _exit_code(probes: Sequence[Probe]) -> ExitCode:
    failed = {probe.part for probe in probes if not probe.ok}
    if not failed:
        return ExitCode.DONE
    return ExitCode.USAGE if failed <= {SETTINGS, HANDLERS, CLOCK, SEAL} else ExitCode.UNREACHABLE
