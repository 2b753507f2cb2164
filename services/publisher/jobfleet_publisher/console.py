"""The publisher console: any key submits one random test job, ``q`` quits."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from prompt_toolkit.input import Input
from prompt_toolkit.keys import Keys

from jobfleet_contracts.errors import JobfleetError
from jobfleet_contracts.job import JobRequest
from jobfleet_publisher.publisher import Publisher
from jobfleet_publisher.random_job import random_job

WELCOME = "Any key submits a random test job, q quits."
_QUIT = frozenset({"q", "Q", Keys.ControlC, Keys.ControlD})
_NOISE = frozenset({Keys.CPRResponse, Keys.Vt100MouseEvent})


class Console:
    """Reads keys from a terminal and submits a job for each, several at once if need be."""

    def __init__(
        self,
        *,
        publisher: Publisher,
        keys: Input,
        say: Callable[[str], None],
        by: str | None = None,
        dice: random.Random | None = None,
    ) -> None:
        """Use an open publisher.

        Args:
            keys: the terminal, as ``prompt_toolkit.input.create_input()`` gives it.
            say: prints one line.
            by: who submits, for the trail.
        """
        self._publisher = publisher
        self._keys = keys
        self._say = say
        self._by = by
        self._dice = dice or random.Random()
        self._quit = asyncio.Event()
        self._submits: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Submit until ``q``, Ctrl-C, Ctrl-D or the terminal's end; submits begun are finished."""
        self._say(WELCOME)
        with self._keys.raw_mode(), self._keys.attach(self._take):
            await self._quit.wait()
        await asyncio.gather(*self._submits)

    def _take(self) -> None:
        for press in self._keys.read_keys():
            if press.key in _QUIT:
                self._quit.set()
            elif press.key not in _NOISE and not self._quit.is_set():
                self._begin_submit()
        if self._keys.closed:
            self._quit.set()

    def _begin_submit(self) -> None:
        task = asyncio.create_task(self._submit(), name="console-submit")
        self._submits.add(task)
        task.add_done_callback(self._submits.discard)

    async def _submit(self) -> None:
        request = JobRequest.parse(random_job(self._dice))
        try:
            job = await self._publisher.submit_request(request, by=self._by)
        except JobfleetError as error:
            self._say(f"{request.job_id}  not submitted: {error}")
        else:
            self._say(f"{job.job_id}  {job.submitted.value}  {request.name}")
