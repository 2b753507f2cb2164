"""What a page asks of a backend does not depend on how much is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from devtools.bench_dashboard.counted_ports import counted
from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_backends.sqlite.database import FILE_NAME
from jobfleet_contracts.backend import Backend
from jobfleet_protocol.reading import event_search
from tests.backends.sqlite.stored_jobs import (
    STORED_GROUP,
    store_jobs,
    store_waiters,
    stored_job_id,
)
from tests.dashboard.api.conftest import client_of
from tests.dashboard.costed_pages import (
    PAGES,
    Cost,
    costs_of_pages,
    declare,
    pages_without_cost,
)

FEW, MANY = 5_100, 20_000
"""Every tenth job is dead."""
TIME_STEPS = (60 + 24) * 4
"""Rows of an hour by minutes and a day by hours, of each terminal state."""
COUNTED = ("/", "/api/stats", "/events", "/events?window=24h")
LOOKED_AT = 50
"""Failures of one look; of the real 500 few are stored."""
MOST_QUESTIONS = {"/": 7, "/locks": 27, "/api/limits": 27}
"""Of each but those that ask up to ten; two look up the jobs that hold slots of a limit."""


async def _costs(backend: Backend, action_id: str) -> Mapping[str, Cost]:
    """Questions and rows of each page."""
    counting, counts = counted(backend)
    return await costs_of_pages(
        counting,
        counts,
        job_id=stored_job_id(7),
        group_id=STORED_GROUP,
        action_id=action_id,
    )


@pytest.fixture(scope="module")
def costs(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Mapping[str, Cost], Mapping[str, Cost]]:
    """Of all pages with few and with many jobs stored."""
    folder = tmp_path_factory.mktemp("stored")

    async def measure() -> tuple[Mapping[str, Cost], Mapping[str, Cost]]:
        backend = await open_backend(Settings(data_dir=folder, _env_file=None))
        store_jobs(folder / FILE_NAME, 10, steps="[1,2,3,4]")
        store_jobs(folder / FILE_NAME, FEW - 10, first=11, steps="[4]")
        store_waiters(folder / FILE_NAME, 60)
        action_id = await declare(backend, stored_job_id(7))
        few = await _costs(backend, action_id)
        store_jobs(folder / FILE_NAME, MANY - FEW, first=FEW + 1, steps="[4]")
        store_waiters(folder / FILE_NAME, 1_000, first=61)
        many = await _costs(backend, action_id)
        await backend.close()
        return few, many

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_search, "LOOKED_AT", LOOKED_AT)
        return asyncio.run(measure())


@pytest.mark.parametrize("path", PAGES)
def test_a_page_asks_for_the_same_rows_with_few_and_with_many_jobs_stored(
    costs: tuple[Mapping[str, Cost], Mapping[str, Cost]], path: str
) -> None:
    (questions, rows), (more_questions, more_rows) = costs[0][path], costs[1][path]
    assert more_questions == questions <= MOST_QUESTIONS.get(path, 10)
    assert more_rows <= rows + TIME_STEPS * (path in COUNTED)
    assert more_rows <= 600


async def test_the_cost_of_every_page_is_judged(backend: Backend) -> None:
    assert pages_without_cost(client_of(backend).app) == set()
