from pathlib import Path

import pytest

from devtools import lock_check

_LOCK = """\
aio-pika==10.2.1 \\
    --hash=sha256:00
    # via jobfleet (pyproject.toml)
aiormq==7.0 \\
    --hash=sha256:00
    # via aio-pika
"""


@pytest.mark.parametrize(
    ("declared", "fault"),
    [
        (["aio-pika>=10.2", "rich"], "x.lock: rich is not locked"),
        (["aio-pika>=11"], "x.lock: aio-pika 10.2.1 does not fit aio-pika>=11"),
        ([], "x.lock: aio-pika is no longer asked for"),
    ],
)
def test_a_lock_that_lags_behind_is_found(
    declared: list[str], fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.lock").write_text(_LOCK)
    monkeypatch.setattr(lock_check, "_ROOT", tmp_path)
    assert lock_check.lock_faults("x.lock", declared) == [fault]


def test_the_locks_of_this_project_fit() -> None:
    assert lock_check.main() == 0
