"""The third party of waiting jobs: posts results at once, late, twice or never.

Somebody who has recorded a signed result sends it again while a later incarnation waits.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from jobfleet_contracts.codec import encode
from jobfleet_contracts.errors import (
    ActionRefused,
    BackendError,
    BadSignature,
    JobfleetError,
    UnknownJob,
)
from jobfleet_protocol.actions.signing_keys import PLAIN_HEADER
from tests.simulation.fleet import CALLBACK_SECRET, KEYS, Api, Fleet
from tests.simulation.journal import Journal
from tests.simulation.scenario import Scenario
from tests.simulation.virtual_time import VirtualTime

PATIENCE_SECONDS = 20.0


@dataclass(slots=True, eq=False)
class Posting:
    """One result on its way.

    Attributes:
        token: of the address that it is posted to.
        is_replay: the body is the result of an earlier incarnation.
        granted: whether an API server has said that it is recorded.
        refusal: why one has said that it never will be.
    """

    job_id: str
    incarnation: int
    body: bytes
    token: str = ""
    is_replay: bool = False
    granted: bool = False
    refusal: JobfleetError | None = None
    tries: int = field(default=0)

    @property
    def is_done(self) -> bool:
        """Whether there is an answer."""
        return self.granted or self.refusal is not None


class ThirdParty:
    """Answers each request of a job once, whatever it is asked again.

    Attributes:
        postings: every result, for the judgement.
    """

    def __init__(
        self, *, scenario: Scenario, time: VirtualTime, fleet: Fleet, journal: Journal
    ) -> None:
        self.postings: list[Posting] = []
        self._time = time
        self._fleet = fleet
        self._journal = journal
        self._dice = Random(f"third party/{scenario.seed}")
        self._replays = Random(f"replays/{scenario.seed}")
        self._known: set[tuple[str, int]] = set()
        self._recorded: dict[str, tuple[bytes, str]] = {}

    def ask(self, job_id: str, incarnation: int, plan: dict[str, Any]) -> None:
        """Take a request."""
        if (job_id, incarnation) in self._known or plan["answer"] == "never":
            return
        self._known.add((job_id, incarnation))
        self._replay(job_id, incarnation)
        delay = self._dice.choice((0.0, 0.01, 1, 10, 40))
        result = {"jobId": job_id, "status": plan["answer"], "payload": incarnation}
        token = KEYS.address_token(job_id, incarnation)
        self._post_after(delay, Posting(job_id, incarnation, encode(result), token))
        self._recorded[job_id] = encode(result), token
        if self._dice.random() < 0.3:
            other = result | {"status": "failed", "message": "another result"}
            again = self._dice.choice((result, other))
            self._post_after(delay + 1, Posting(job_id, incarnation, encode(again), token))

    def _replay(self, job_id: str, incarnation: int) -> None:
        """Send the result of an earlier incarnation to the address of this one."""
        if job_id not in self._recorded:
            return
        body, token = self._recorded[job_id]
        token = self._replays.choice((token, ""))
        delay = self._replays.choice((0.0, 0.5, 5))
        self._post_after(delay, Posting(job_id, incarnation, body, token, is_replay=True))

    def _post_after(self, seconds: float, posting: Posting) -> None:
        self.postings.append(posting)
        self._time.after(seconds, self._next_try(posting))

    def _next_try(self, posting: Posting) -> Callable[[], None]:
        def post() -> None:
            if posting.is_done:
                return
            self._time.after(PATIENCE_SECONDS, post)
            awake = [api for api in self._fleet.apis.values() if api.process.is_awake]
            if awake:
                api = self._dice.choice(awake)
                api.process.loop.create_task(self._deliver(posting, api), name="callback")

        return post

    async def _deliver(self, posting: Posting, api: Api) -> None:
        posting.tries += 1
        callbacks, job_id, incarnation = api.callbacks, posting.job_id, posting.incarnation
        signature = hmac.digest(CALLBACK_SECRET.encode(), posting.body, "sha256").hex()
        try:
            callbacks.check_signature(posting.body, {PLAIN_HEADER: signature})
            callbacks.check_address(job_id, incarnation, posting.token or None)
            await callbacks.receive(job_id, incarnation, posting.body)
        except (ActionRefused, UnknownJob, BadSignature) as refusal:
            posting.refusal = refusal
            self._journal.note(api.process.name, "callback.refused", refusal)
        except BackendError as error:
            self._journal.note(api.process.name, "callback.unclear", error)
        else:
            posting.granted = True
            self._journal.note(api.process.name, "callback.taken", posting.job_id[-4:])
