"""What type checkers accept and refuse; each line with `type: ignore` is refused by both.

mypy refuses an ignore that it does not need; pyright is told to report the line nevertheless."""

from typing import assert_type

from jobfleet_publisher import Publisher
from jobfleet_worker import JobContext
from tests.worker.typed_handlers import (
    ImportPayload,
    ImportResult,
    Session,
    add,
    anything,
    import_rows,
    nothing,
    thrice,
    with_session,
)


async def accepted(context: JobContext) -> None:
    job = await import_rows.submit(ImportPayload(path="a"), delay=3, lock_key="k")
    assert_type(await job.wait(timeout=5), ImportResult)
    assert_type(await import_rows(ImportPayload(path="a"), context), ImportResult)
    for each in await add.submit_many([[1], [2]], priority=3):
        if not isinstance(each, Exception):
            assert_type(await each.wait(), int)
    assert_type(await (await nothing.submit()).wait(), str)
    await anything.submit({"any": ["thing"]})
    async with Publisher.from_env() as publisher, publisher.group("imports") as group:
        member = await import_rows.submit_to(group, ImportPayload(path="a"), priority=3)
        assert_type(await member.wait(timeout=5), ImportResult)
        assert_type(await (await nothing.submit_to(group)).wait(), str)
    assert_type(with_session(ImportPayload(path="a"), Session()), int)


def accepted_without_a_loop() -> None:
    assert_type(thrice.submit_sync(3, name="three").wait(timeout=5), int)
    assert_type(add([1]), int)


async def refused_by_both(context: JobContext) -> None:
    await import_rows.submit({"path": "a"})  # type: ignore[arg-type]
    await import_rows.submit(ImportPayload(path="a"), delai=3)  # type: ignore[call-arg]
    await import_rows.submit(ImportPayload(path="a"), priority="high")  # type: ignore[arg-type]
    await add.submit_many([1, 2])  # type: ignore[list-item]
    async with Publisher.from_env() as publisher, publisher.group("sums") as group:
        await add.submit_to(group, "a")  # type: ignore[arg-type]
        await add.submit_to(group, [1], job_id="a")  # type: ignore[call-arg]
        await add.submit_to("a group", [1])  # type: ignore[arg-type]
    text: str = add.submit_sync([1]).wait()  # type: ignore[assignment]
    await import_rows("a", context)  # type: ignore[arg-type]
    assert text
