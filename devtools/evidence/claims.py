"""What jobfleet promises, what would show it wrong, and the runs that try to."""

from __future__ import annotations

from dataclasses import dataclass

COMMANDS = {
    "simulation": "make simulate",
    "deliberate-bugs": ".venv/bin/pytest -q tests/simulation/test_deliberate_bugs.py",
    "chaos-azure": ".venv/bin/pytest -q tests/chaos -m chaos -k ten_minutes --timeout=0",
    "conformance": ".venv/bin/pytest -q tests/conformance",
    "every-nth-request": ".venv/bin/pytest -q tests/system/test_every_nth_request.py --timeout=0",
    "second-checker": ".venv/bin/pytest -q tests/protocol/test_second_checker.py",
    "power-loss": ".venv/bin/pytest -q tests/system/test_power_loss.py -m chaos --timeout=0",
}
"""How each run is made again."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One promise.

    Attributes:
        falsified_by: what somebody would have to see.
        runs: names of ``COMMANDS``.
        not_covered: what these runs cannot show.
    """

    promise: str
    falsified_by: str
    runs: tuple[str, ...]
    not_covered: str


CLAIMS = (
    Claim(
        promise="At most one execution of a job is recorded as its outcome.",
        falsified_by="Two endings in one incarnation, an event of an older epoch after a newer "
        "one, or two jobs beside each other under one lock.",
        runs=("simulation", "deliberate-bugs", "chaos-azure", "every-nth-request"),
        not_covered="A storage that breaks its own insert-if-absent, as after an asynchronous "
        "geo-failover.",
    ),
    Claim(
        promise="Every accepted job ends, as long as broker, storage and one worker work again.",
        falsified_by="A job that was answered as accepted and is open when everything is quiet.",
        runs=("simulation", "deliberate-bugs", "chaos-azure"),
        not_covered="Handlers without a time limit of their own that ignore cancellation.",
    ),
    Claim(
        promise="A job's trail is complete, and no worker that lost its claim writes it.",
        falsified_by="A gap, an event in a claim that is not the writer's, or a hash that does "
        "not follow from its row.",
        runs=("simulation", "deliberate-bugs", "chaos-azure", "second-checker"),
        not_covered="Whoever may write to the storage directly: see tamper evidence.",
    ),
    Claim(
        promise="A job with an idempotency key exists once.",
        falsified_by="Two jobs of one key, or one whose request is another than the first.",
        runs=("simulation", "conformance"),
        not_covered="Effects outside: a handler that failed halfway runs again.",
    ),
    Claim(
        promise="The backends behave alike.",
        falsified_by="A test of the conformance suites that passes on one and fails on another.",
        runs=("conformance",),
        not_covered="Real Azure: the suites run against Azurite, an emulator.",
    ),
    Claim(
        promise="The embedded backend keeps what it confirmed when the power goes.",
        falsified_by="A confirmed event that is missing once all unsynced writes are taken back.",
        runs=("power-loss",),
        not_covered="Disks that report a sync before it is done: the run shows what they cost.",
    ),
)
