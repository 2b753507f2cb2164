"""Faults all the while, and in the end nothing is lost and nothing has happened twice.

``CHAOS_SECONDS`` sets the length of the long run (600), ``CHAOS_SAMPLE_SECONDS`` that of the
samples (30, and 20 on the embedded backend), ``CHAOS_SEED`` the order of faults and jobs,
``CHAOS_SCOPE`` the scope of all workers.
"""

import sys

import pytest

from tests.chaos.chaos_run import ChaosResult, ChaosRun, seconds_from


@pytest.mark.chaos
async def test_ten_minutes_of_faults_on_real_servers_lose_nothing_and_repeat_nothing(
    azure_run: ChaosRun, capsys: pytest.CaptureFixture[str]
) -> None:
    check(await azure_run.run(seconds_from("CHAOS_SECONDS", 600)), capsys)


@pytest.mark.chaos
@pytest.mark.servers
async def test_ten_minutes_of_faults_on_postgres_lose_nothing_and_repeat_nothing(
    postgres_run: ChaosRun, capsys: pytest.CaptureFixture[str]
) -> None:
    check(await postgres_run.run(seconds_from("CHAOS_SECONDS", 600)), capsys)


@pytest.mark.servers
@pytest.mark.timeout(600)
async def test_half_a_minute_of_faults_on_real_servers_loses_nothing_and_repeats_nothing(
    azure_run: ChaosRun, capsys: pytest.CaptureFixture[str]
) -> None:
    check(await azure_run.run(seconds_from("CHAOS_SAMPLE_SECONDS", 30)), capsys)


@pytest.mark.timeout(400)
async def test_killed_stopped_and_terminated_workers_on_the_embedded_backend_lose_nothing(
    embedded_run: ChaosRun, capsys: pytest.CaptureFixture[str]
) -> None:
    check(await embedded_run.run(min(20, seconds_from("CHAOS_SAMPLE_SECONDS", 20))), capsys)


@pytest.mark.chaos
@pytest.mark.servers
async def test_harmed_processes_on_named_servers_lose_nothing_and_repeat_nothing(
    named_run: ChaosRun, capsys: pytest.CaptureFixture[str]
) -> None:
    check(await named_run.run(seconds_from("CHAOS_NAMED_SECONDS", 30)), capsys)


def check(result: ChaosResult, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{result.summary()}\n")
    result.assert_flawless()
