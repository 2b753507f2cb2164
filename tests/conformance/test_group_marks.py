"""GroupMarks: rows that are inserted once, and reads that see every confirmed insert."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.job_id import new_id
from tests.conformance.conftest import WITH_FAKES

pytestmark = WITH_FAKES


async def test_a_row_is_inserted_once_and_never_changed(backend: Backend, other: Backend) -> None:
    part = f"{new_id()}~0"
    assert await backend.marks.read(part) == {}
    assert await backend.marks.insert(part, "7~1", "failed")
    assert not await other.marks.insert(part, "7~1", "completed")
    assert await other.marks.insert(part, "7~2", "completed")
    assert await backend.marks.read(part) == {"7~1": "failed", "7~2": "completed"}


async def test_the_last_of_many_writers_at_once_sees_all_rows(
    backend: Backend, other: Backend
) -> None:
    """Of all answers after an insert one at least is whole, and they contain each other."""
    part = f"{new_id()}~0"

    async def insert(number: int) -> set[str]:
        marks = (backend, other)[number % 2].marks
        assert await marks.insert(part, f"{number}~1", "completed")
        return set(await marks.read(part))

    seen = sorted(await asyncio.gather(*map(insert, range(40))), key=len)
    assert len(seen[-1]) == 40
    assert all(one <= next_ for one, next_ in pairwise(seen))


async def test_rows_of_a_group_are_removed_with_it_and_no_others(backend: Backend) -> None:
    """Also where another id begins like the group's, or follows it in the order of keys."""
    group = new_id()
    near = [group[:-1] + ("0" if group[-1] != "0" else "1"), f"{group}0", f"{group}-1"]
    for name in (group, *near):
        for place in ("root", "0", "99"):
            await backend.marks.insert(f"{name}~{place}", "0~1", "x" * 8000)
    for _ in range(2):
        await backend.marks.remove(group)
        assert await backend.marks.read(f"{group}~root") == {}
        assert await backend.marks.read(f"{group}~99") == {}
    for name in near:
        assert list(await backend.marks.read(f"{name}~99")) == ["0~1"]


async def test_a_partition_of_more_rows_than_a_page_is_read_whole(backend: Backend) -> None:
    part = f"{new_id()}~root"
    for first in range(0, 1100, 50):
        rows = range(first, first + 50)
        await asyncio.gather(*(backend.marks.insert(part, f"{n}~100", "") for n in rows))
    assert len(await backend.marks.read(part)) == 1100
