import os
import sys
from pathlib import Path

from devtools.servers.detached_process import DetachedProcess, is_alive
from devtools.servers.polling import wait_until

_PARENT = "import subprocess; subprocess.run(['sleep', '600'])"


def test_a_process_is_found_again_by_its_note(tmp_path: Path) -> None:
    DetachedProcess(name="sleeper", folder=tmp_path).start(["sleep", "600"], os.environ)
    again = DetachedProcess(name="sleeper", folder=tmp_path)
    assert again.is_running
    again.stop()
    assert not again.is_running


def test_a_kill_takes_the_children_along(tmp_path: Path) -> None:
    process = DetachedProcess(name="parent", folder=tmp_path)
    process.start([sys.executable, "-c", _PARENT], os.environ)
    wait_until("a child", lambda: len(process.members()) > 1, timeout_seconds=120)
    children = process.members()
    process.kill()
    assert not any(is_alive(child) for child in children)


def test_a_note_of_another_process_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "stranger.pid").write_text(f'{{"pid": {os.getpid()}, "created": 1.0}}')
    stranger = DetachedProcess(name="stranger", folder=tmp_path)
    stranger.kill()
    assert not stranger.is_running
