"""What jobfleet promises, what would show it wrong, and the runs that try to."""

from __future__ import annotations

from dataclasses import dataclass

from devtools.evidence.bug_class import BugClass

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
    "fleet-on-postgres": f"{_PYTEST} tests/system tests/browser tests/examples "
    "-k '(postgres or open_transaction) and not every_nth'",
    "every-nth-request": f"{_PYTEST} tests/system/test_every_nth_request.py "
    "tests/system/test_every_nth_answer_of_postgres.py",
    "second-checker": f"{_PYTEST} tests/protocol/test_second_checker.py",
    "transactions": f"{_PYTEST} tests/publisher/test_transactions.py",
    "power-loss": f"{_PYTEST} tests/system/test_power_loss.py -m chaos",
    "soak": "make soak",
    "rabbitmq4": "make test-rabbitmq4",
    "rabbitmq-cluster": f"{_PYTEST} tests/backends/rabbitmq/test_cluster.py",
    "postgres-versions": "make test-postgres-versions",
    "pythons": "make test-pythons",
    "test-full": "make test-full",
    "compose": "make test-compose",
    "azure": ".venv/bin/python -m devtools.prove_azure --steps",
    "azurite-as-azure": ".venv/bin/python -m devtools.prove_azure --steps",
}
"""How each run is made again."""

SEEDS = {"simulation": 100_000}
"""How many seeds a run has. It goes on after a stop; every other run begins anew."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One promise.

    Attributes:
        falsified_by: what a reader would have to see.
        runs: names of ``COMMANDS``.
        not_covered: what these runs cannot show.
        bugs: the deliberate bugs that break it; one of the runs finds them.
        no_bugs: why there are none.
    """

    promise: str
    falsified_by: str
    runs: tuple[str, ...]
    not_covered: str
    bugs: BugClass | None = None
    no_bugs: str = ""


_SIMULATED = ("simulation", "deliberate-bugs")
_ALL_CHAOS = ("chaos-job", "chaos-worker", "chaos-fleet", "chaos-mixed", "chaos-postgres")

CLAIMS = (
    Claim(
        promise="At most one execution of a job is recorded as its outcome.",
        falsified_by="Two endings in one incarnation, an event of an older epoch after a newer "
        "one, or two jobs beside each other under one lock.",
        runs=(*_SIMULATED, *_ALL_CHAOS, "every-nth-request"),
        not_covered="A storage that breaks its own insert-if-absent, as after an asynchronous "
        "geo-failover.",
        bugs=BugClass.ONE_OUTCOME,
    ),
    Claim(
        promise="Every accepted job ends, as long as broker, storage and one worker work again.",
        falsified_by="A job that was answered as accepted and is open when everything is quiet.",
        runs=(*_SIMULATED, *_ALL_CHAOS),
        not_covered="Handlers without a time limit of their own that ignore cancellation.",
        bugs=BugClass.EVERY_JOB_ENDS,
    ),
    Claim(
        promise="A job's trail is complete, and no worker that lost its claim writes it.",
        falsified_by="A gap, an event in a claim that is not the writer's, or a hash that does "
        "not follow from its row.",
        runs=(*_SIMULATED, *_ALL_CHAOS, "second-checker"),
        not_covered="Users who may write to the storage directly: see tamper evidence.",
        bugs=BugClass.WHOLE_TRAIL,
    ),
    Claim(
        promise="A job that ends its workers is itself ended at its limit of lost workers.",
        falsified_by="A job that starts after its limit, one that is ended before it, one that is "
        "blamed for a neighbour, or a suspect that waits without an end.",
        runs=(*_SIMULATED, *_ALL_CHAOS),
        not_covered="Workers that are lost faster than a lost one is noticed.",
        bugs=BugClass.LOST_WORKERS,
    ),
    Claim(
        promise="No more jobs run at once, or start in a time, than a limit allows.",
        falsified_by="Jobs beside each other above a limit, more starts than a rate, or a slot "
        "that stays empty for good.",
        runs=_SIMULATED,
        not_covered="Handlers that go on after their worker lost the claim: see the protocol.",
        bugs=BugClass.LIMITS,
    ),
    Claim(
        promise="A pause holds until an operator resumes it, and then every job goes on.",
        falsified_by="A job that starts in a pause that every worker has seen, or one that stays "
        "after the pause has ended.",
        runs=_SIMULATED,
        not_covered="Starts in the seconds before a worker sees a new pause.",
        bugs=BugClass.PAUSES,
    ),
    Claim(
        promise="Each tick of a schedule makes one job.",
        falsified_by="A tick without its job, with two, or on top of a pause.",
        runs=_SIMULATED,
        not_covered="Ticks that were due while no worker led: the schedule says what becomes of "
        "them.",
        bugs=BugClass.SCHEDULES,
    ),
    Claim(
        promise="What follows a job is submitted: its callback, its successors, its group's end.",
        falsified_by="A job that ended and lacks what follows it, a group that waits for ever, "
        "completes twice, or is cancelled in part.",
        runs=_SIMULATED,
        not_covered="Whether the receiver of a callback answers.",
        bugs=BugClass.FLOWS,
    ),
    Claim(
        promise="What is erased or removed is gone, and its job does not come back.",
        falsified_by="A value that is left behind, a job that never ends for want of its values, "
        "or an event behind a tombstone.",
        runs=_SIMULATED,
        not_covered="Copies outside of the fleet: exports, backups, handlers' own logs.",
        bugs=BugClass.REMOVALS,
    ),
    Claim(
        promise="A copy of a fleet has all that was acknowledged before it moved.",
        falsified_by="An event that was acknowledged and is not in the copy, or a job that is "
        "copied while it runs.",
        runs=_SIMULATED,
        not_covered="A process that stands still for longer than the seal waits.",
        bugs=BugClass.MOVES,
    ),
    Claim(
        promise="A job with an idempotency key exists once.",
        falsified_by="Two jobs of one key, or one whose request is another than the first.",
        runs=(*_SIMULATED, "conformance"),
        not_covered="Effects outside: a handler that failed halfway runs again.",
        bugs=BugClass.ONE_JOB_A_KEY,
    ),
    Claim(
        promise="A job submitted in a user's own transaction exists if, and only if, it commits.",
        falsified_by="A row of the user's without its job, or any row of a job without the user's, "
        "after a commit, a roll-back, a session lost before the commit or in it.",
        runs=("transactions",),
        not_covered="A server that loses what it has committed, as after an asynchronous failover.",
        bugs=BugClass.OWN_TRANSACTION,
    ),
    Claim(
        promise="What holds on the emulator holds on Azure Storage.",
        falsified_by="A conformance test, a lost job or a violation on a real storage account.",
        runs=("azure", "azurite-as-azure"),
        not_covered="Until `azure` has run, all of it: the other run shows the path, not Azure. "
        "Anyone can run it on their account: `make prove-azure` names the bill first.",
        no_bugs="what would have to break is Azure, which no test can change",
    ),
    Claim(
        promise="The backends behave alike.",
        falsified_by="A test of the conformance suites that passes on one and fails on another; a "
        "fleet, a page or an example that works on Azurite or SQLite and not on PostgreSQL.",
        runs=("conformance", "fleet-on-postgres"),
        not_covered="Real Azure: the suites run against Azurite, an emulator.",
        bugs=BugClass.ALIKE_BACKENDS,
    ),
    Claim(
        promise="The embedded backend keeps what it confirmed when the power goes.",
        falsified_by="A confirmed event that is missing once all unsynced writes are taken back.",
        runs=("power-loss",),
        not_covered="Disks that report a sync before it is done: the run shows what they cost.",
        bugs=BugClass.POWER_LOSS,
    ),
    Claim(
        promise="An effect outside happens once for each idempotency key of an incarnation.",
        falsified_by="A key that the witness, a server outside of the fleet, cannot assign to an "
        "incarnation of a job, or a completed job without its effect.",
        runs=(*_SIMULATED, *_ALL_CHAOS),
        not_covered="Receivers that do not heed the key: they see some calls more than once.",
        bugs=BugClass.ONE_EFFECT_A_KEY,
    ),
    Claim(
        promise="Two releases that run side by side read, run and finish each other's jobs.",
        falsified_by="A worker of either release that refuses, misreads or overwrites what the "
        "other one wrote, or fails a job whose type only the other has.",
        runs=_SIMULATED,
        not_covered="Two published releases: there is one.",
        bugs=BugClass.TWO_RELEASES,
    ),
    Claim(
        promise="A fleet that works steadily needs no more memory, file handles or room over time.",
        falsified_by="A curve that ends more than a tenth above where it stood after the first "
        "quarter of the run. The tombstone that stays of each removed job is taken off.",
        runs=("soak",),
        not_covered="Days and weeks; handlers that leak by themselves.",
        no_bugs="a leak would need this hour each. `tests/soak/test_flatness.py` shows that "
        "curves which rise are found",
    ),
    Claim(
        promise="The loss of one of three RabbitMQ nodes loses no message.",
        falsified_by="A confirmed job that does not arrive, or a consumer that stands still, after "
        "a node was killed.",
        runs=("rabbitmq-cluster",),
        not_covered="Two nodes lost at once; a cluster that is split by its network.",
        no_bugs="none is planted yet; a queue that stands on one node would be one",
    ),
    Claim(
        promise="The servers and Pythons that are named as supported work alike.",
        falsified_by="A test that fails with RabbitMQ 4, with PostgreSQL 13, 14, 16, 17 or 18, or "
        "with Python 3.11, 3.12, 3.13 or 3.14.",
        runs=("rabbitmq4", "postgres-versions", "pythons"),
        not_covered="Hosted variants of these servers.",
        no_bugs="the runs repeat the tests of other claims on other versions",
    ),
    Claim(
        promise="Every test passes, those included that take too long for each change.",
        falsified_by="A test that fails.",
        runs=("test-full",),
        not_covered="Long faults and long simulations: other runs on this page.",
        no_bugs="the other claims have theirs",
    ),
    Claim(
        promise="The documented containers build, run, take over, drain and keep their data.",
        falsified_by="A step of the documentation that fails on an engine.",
        runs=("compose",),
        not_covered="Kubernetes: its manifests are checked against schemas only.",
        no_bugs="the run repeats what the documentation says, step by step",
    ),
)
