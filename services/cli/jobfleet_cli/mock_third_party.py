"""``jobfleet mock-third-party``: the other side of ``external.call``, to try it with."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer

from jobfleet_backends.settings import Settings, load_settings
from jobfleet_cli.event_loop import run_async
from jobfleet_cli.logging import configure_logging
from jobfleet_cli.session import Session, in_session, who
from jobfleet_cli.stop_signals import StopSignals
from jobfleet_cli.third_party import HOST, Behaviour, ThirdParty
from jobfleet_contracts.errors import JobfleetError, SettingsError
from jobfleet_contracts.job import JobRequest
from jobfleet_protocol.actions.signing_keys import SigningKeys

LATE_TIMEOUT_SECONDS = 5.0

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def mock_third_party(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free one.")] = 8010,
    delay: Annotated[float, typer.Option(min=0, help="Seconds before it calls back.")] = 1.0,
    fail: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Make every N-th result a failure.")
    ] = None,
    late: Annotated[bool, typer.Option("--late", help="Call back after the deadline.")] = False,
    twice: Annotated[bool, typer.Option("--twice", help="Send each callback twice.")] = False,
    bad_signature: Annotated[
        bool, typer.Option("--bad-signature", help="Sign with another secret.")
    ] = False,
    submit: Annotated[
        int, typer.Option(min=0, max=100_000, metavar="N", help="Also submit N test jobs.")
    ] = 0,
) -> None:
    """Play a third party until Ctrl-C: take requests, call back, print the answers.

    Prints one line for each callback: the job's id and the answer's status. Workers need
    JOBFLEET_CALLBACK_BASE_URL, and JOBFLEET_ALLOW_PRIVATE_TARGETS=true to reach this machine.
    """
    settings = load_settings()
    configure_logging(settings, one_shot=True)
    behaviour = Behaviour(
        delay_seconds=delay, fail_every=fail, late=late, twice=twice, bad_signature=bad_signature
    )
    party = _party(settings, behaviour)
    if submit:
        in_session(lambda session: _run(party, port, session=session, jobs=submit, late=late))
    else:
        run_async(_run(party, port))


def _party(settings: Settings, behaviour: Behaviour) -> ThirdParty:
    if not settings.callback_secrets:
        raise SettingsError("JOBFLEET_CALLBACK_SECRETS: set the secret that signs callbacks")
    keys = SigningKeys([each.get_secret_value() for each in settings.callback_secrets])
    return ThirdParty(keys=keys, behaviour=behaviour, say=lambda line: print(line, flush=True))


async def _run(
    party: ThirdParty,
    port: int,
    *,
    session: Session | None = None,
    jobs: int = 0,
    late: bool = False,
) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    StopSignals(request=lambda: loop.call_soon_threadsafe(stop.set)).start()
    try:
        address = f"http://{HOST}:{await party.start(port)}/"
        print(f"Third party: {address}", file=sys.stderr, flush=True)
        if session is not None:
            await _submit(session, jobs, address, late=late)
        await stop.wait()
    finally:
        await party.stop()


async def _submit(session: Session, count: int, address: str, *, late: bool) -> None:
    requests = [_request(number, address, late=late) for number in range(1, count + 1)]
    answers = await session.writes.submitter.submit_many(requests, by=who())
    refused = [answer for answer in answers if isinstance(answer, JobfleetError)]
    if refused:
        raise refused[0]
    print(f"Submitted {count} jobs", file=sys.stderr, flush=True)


def _request(number: int, address: str, *, late: bool) -> JobRequest:
    job = {
        "type": "external.call",
        "jobName": f"third party {number}",
        "payload": {"targetUrl": address, "payload": {"number": number}},
    }
    return JobRequest.parse(job | ({"timeoutSeconds": LATE_TIMEOUT_SECONDS} if late else {}))
