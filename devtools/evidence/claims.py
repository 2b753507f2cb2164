"""What jobfleet promises, what would show it wrong, and the runs that try to."""

from __future__ import annotations

from dataclasses import dataclass

_PYTEST = ".venv/bin/pytest -q --timeout=0"
_CHAOS = f"{_PYTEST} tests/chaos -m chaos -k ten_minutes_of_faults_on"

COMMANDS = {
    "simulation": "make simulate",
    "deliberate-bugs": f"{_PYTEST} tests/simulation/test_deliberate_bugs.py",
    "chaos-job": f"env CHAOS_SCOPE=job {_CHAOS}_real_servers",
    "chaos-worker": f"env CHAOS_SCOPE=worker {_CHAOS}_real_servers",
    "chaos-fleet": f"env CHAOS_SCOPE=fleet {_CHAOS}_real_servers",
    "chaos-mixed": f"env CHAOS_SCOPE=mixed {_CHAOS}_real_servers",
    "chaos-postgres": f"env CHAOS_SCOPE=mixed {_CHAOS}_postgres",
    "conformance": f"{_PYTEST} tests/conformance",
    "every-nth-request": f"{_PYTEST} tests/system/test_every_nth_request.py "
    "tests/system/test_every_nth_answer_of_postgres.py",
    "second-checker": f"{_PYTEST} tests/protocol/test_second_checker.py",
    "transactions": f"{_PYTEST} tests/publisher/test_transactions.py",
    "power-loss": f"{_PYTEST} tests/system/test_power_loss.py -m chaos",
    "soak": "make soak",
    "compose": "make test-compose",
    "azure": ".venv/bin/python -m devtools.prove_azure --steps",
    "azurite-as-azure": ".venv/bin/python -m devtools.prove_azure --steps",
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


_ALL_CHAOS = ("chaos-job", "chaos-worker", "chaos-fleet", "chaos-mixed", "chaos-postgres")

CLAIMS = (
    Claim(
        promise="At most one execution of a job is recorded as its outcome.",
        falsified_by="Two endings in one incarnation, an event of an older epoch after a newer "
        "one, or two jobs beside each other under one lock.",
        runs=("simulation", "deliberate-bugs", *_ALL_CHAOS, "every-nth-request"),
        not_covered="A storage that breaks its own insert-if-absent, as after an asynchronous "
        "geo-failover.",
    ),
    Claim(
        promise="Every accepted job ends, as long as broker, storage and one worker work again.",
        falsified_by="A job that was answered as accepted and is open when everything is quiet.",
        runs=("simulation", "deliberate-bugs", *_ALL_CHAOS),
        not_covered="Handlers without a time limit of their own that ignore cancellation.",
    ),
    Claim(
        promise="A job's trail is complete, and no worker that lost its claim writes it.",
        falsified_by="A gap, an event in a claim that is not the writer's, or a hash that does "
        "not follow from its row.",
        runs=("simulation", "deliberate-bugs", *_ALL_CHAOS, "second-checker"),
        not_covered="Whoever may write to the storage directly: see tamper evidence.",
    ),
    Claim(
        promise="A job with an idempotency key exists once.",
        falsified_by="Two jobs of one key, or one whose request is another than the first.",
        runs=("simulation", "conformance"),
        not_covered="Effects outside: a handler that failed halfway runs again.",
    ),
    Claim(
        promise="A job submitted in a user's own transaction exists if, and only if, it commits.",
        falsified_by="A row of the user's without its job, or any row of a job without the user's, "
        "after a commit, a roll-back, a session lost before the commit or in it.",
        runs=("transactions",),
        not_covered="A server that loses what it has committed, as after an asynchronous failover.",
    ),
    Claim(
        promise="What holds on the emulator holds on Azure Storage.",
        falsified_by="A conformance test, a lost job or a violation on a real storage account.",
        runs=("azure", "azurite-as-azure"),
        not_covered="Until `azure` has run, all of it: the other run shows the path, not Azure. "
        "Anyone can run it on their account: `make prove-azure` names the bill first.",
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
    Claim(
        promise="An effect outside happens once for each idempotency key of an incarnation.",
        falsified_by="A key that the witness, a server outside of the fleet, cannot assign to an "
        "incarnation of a job, or a completed job without its effect.",
        runs=_ALL_CHAOS,
        not_covered="Receivers that do not heed the key: they see some calls more than once.",
    ),
    Claim(
        promise="Two releases that run side by side read, run and finish each other's jobs.",
        falsified_by="A worker of either release that refuses, misreads or overwrites what the "
        "other one wrote.",
        runs=("simulation", "deliberate-bugs"),
        not_covered="Two published releases: there is one.",
    ),
    Claim(
        promise="A fleet that works steadily needs no more memory, file handles or room over time.",
        falsified_by="A curve that ends more than a tenth above where it stood after the first "
        "quarter of the run. The tombstone that stays of each removed job is taken off.",
        runs=("soak",),
        not_covered="Days and weeks; handlers that leak by themselves.",
    ),
    Claim(
        promise="The documented containers build, run, take over, drain and keep their data.",
        falsified_by="A step of the documentation that fails on an engine.",
        runs=("compose",),
        not_covered="Kubernetes: its manifests are checked against schemas only.",
    ),
)
