"""A failing seed is worth something only if it fails again, in the same way."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.simulation.simulation import Simulation

ROUGH = 894


def _fingerprint(seed: int) -> str:
    simulation = Simulation(seed=seed, talkative=True)
    simulation.run()
    return simulation.journal.fingerprint()


@pytest.mark.parametrize("seed", [3, 17, ROUGH])
def test_a_seed_does_the_same_each_time(seed: int) -> None:
    assert _fingerprint(seed) == _fingerprint(seed)


def test_another_process_with_another_hash_seed_does_the_same() -> None:
    code = (
        "from tests.simulation.test_replay import _fingerprint;"
        f"print(_fingerprint({ROUGH}), end='')"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": "."},
            capture_output=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert found[0] == found[1] == _fingerprint(ROUGH).encode()


def test_a_replay_prints_all_that_happened() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation.replay", "3"],
        capture_output=True,
        check=True,
        text=True,
    )
    assert "job.started" in done.stdout
    assert "Completed" in done.stdout


def test_a_replay_without_a_seed_tells_how_to_call_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation.replay"],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 2
    assert "SEED" in done.stderr
