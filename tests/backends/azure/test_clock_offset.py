"""The storage's ``Date`` tells how wrong this machine's clock is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from jobfleet_backends.azure.audit_trail import AzureAuditTrail
from jobfleet_backends.azure.http.clock_offset import KEPT_SECONDS, ClockOffset
from jobfleet_backends.azure.http.connection_string import StorageAddress
from jobfleet_backends.azure.http.storage_account import Access, StorageAccount
from jobfleet_backends.azure.lease_store import AzureLeaseStore
from jobfleet_contracts.request_counter import RequestCounter

BEGIN = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


class WrongClock:
    """Shows the true time and an error; the storage shows the true one."""

    def __init__(self, error: float) -> None:
        self.error = error
        self.passed = 0.0

    def now(self) -> datetime:
        return self.true() + timedelta(seconds=self.error)

    def boottime(self) -> float:
        return self.passed

    def true(self) -> datetime:
        return BEGIN + timedelta(seconds=self.passed)

    def ask(self, offset: ClockOffset, *, seconds: float = 0.05) -> None:
        sent_at = offset.now()
        self.passed += seconds / 2
        date = format_datetime(self.true().replace(microsecond=0), usegmt=True)
        self.passed += seconds / 2
        offset.note(date, sent_at=sent_at)


@pytest.mark.parametrize("error", [0.0, 0.4, -0.4, 1.9, -1.9, 2.5, -2.5, 30.0, -3600.0])
def test_many_answers_show_the_offset_and_never_more_than_it(error: float) -> None:
    clock = WrongClock(error)
    offset = ClockOffset(clock=clock)
    for _ in range(40):
        clock.ask(offset)
        clock.passed += 0.13
        assert abs(offset.seconds()) <= abs(error) + 1e-6
    assert offset.seconds() == pytest.approx(error, abs=0.2) or abs(error) < 0.5


def test_nothing_is_wrong_before_the_first_answer_and_after_one_without_a_date() -> None:
    offset = ClockOffset(clock=WrongClock(100))
    assert offset.seconds() == 0
    for date in (None, "", "yesterday", "Mon, 32 Foo 2026 25:00:00 GMT"):
        offset.note(date, sent_at=offset.now())
    assert offset.seconds() == 0


def test_a_slow_answer_accuses_no_clock() -> None:
    clock = WrongClock(0)
    offset = ClockOffset(clock=clock)
    clock.ask(offset, seconds=20)
    assert offset.seconds() == 0


def test_a_clock_that_is_set_right_is_right_with_the_next_answer() -> None:
    clock = WrongClock(10)
    offset = ClockOffset(clock=clock)
    clock.ask(offset)
    assert offset.seconds() > 2
    clock.error = 0
    clock.ask(offset)
    assert offset.seconds() == 0


def test_measurements_are_forgotten_after_a_minute() -> None:
    clock = WrongClock(0.9)
    offset = ClockOffset(clock=clock)
    for _ in range(20):
        clock.ask(offset)
        clock.passed += 0.13
    clock.error = 0.3
    clock.passed += KEPT_SECONDS
    clock.ask(offset)
    assert offset.seconds() <= 0.3


class AheadClock:
    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=60)

    def boottime(self) -> float:
        return 0.0


@pytest.mark.servers
async def test_an_account_measures_its_own_answers(
    address: StorageAddress, table_prefix: str
) -> None:
    offset = ClockOffset(clock=AheadClock())
    account = StorageAccount(access=Access(address), counter=RequestCounter(), offset=offset)
    try:
        await AzureAuditTrail(table=account.table(table_prefix)).newest("nobody")
        await AzureLeaseStore(container=account.container(f"{table_prefix.lower()}-l")).leased()
        assert offset.seconds() == pytest.approx(60, abs=1.5)
    finally:
        await account.close()
