"""A process of ours hears the signals that stop it, whatever user code does to them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from functools import partial

import pytest
from structlog.testing import capture_logs

from jobfleet_cli.stop_signals import StopSignals

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture(autouse=True)
def signals_of_the_tests() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in STOPS}
    yield
    for number, action in before.items():
        signal.signal(number, action)


async def test_signals_that_user_code_took_over_are_taken_back_with_one_warning() -> None:
    loop = asyncio.get_running_loop()

    def ignore(number: int) -> None:
        signal.signal(number, signal.SIG_IGN)

    def block(number: int) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, [number])

    def take_by_the_loop(number: int) -> None:
        loop.add_signal_handler(number, print)

    for number in STOPS:
        for deafen in (ignore, block, take_by_the_loop, ignore):
            asked: list[bool] = []
            signal.signal(signal.SIGHUP, signal.SIG_DFL)  # as at the start of a process
            signals = StopSignals(request=partial(asked.append, True))
            signals.start()
            with capture_logs() as log:
                for _ in range(2):
                    deafen(number)
                    signals.restore()
            signal.raise_signal(number)
            assert asked == [True]
            assert [line["signal"] for line in log] == [number.name][: deafen is not block]


def test_the_second_signal_stays_the_end_of_the_process() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signals = StopSignals(request=lambda: None)
    signals.start()
    signal.raise_signal(signal.SIGTERM)
    signals.restore()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_nohup_keeps_its_effect() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signals = StopSignals(request=lambda: None)
    signals.start()
    signals.restore()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
