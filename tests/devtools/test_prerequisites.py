import pytest

from devtools import prerequisites


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prerequisites, "missing_debian_packages", lambda: ["rabbitmq-server"])
    monkeypatch.setattr(prerequisites, "npm_commands", lambda: [["npm", "ci"]])
    monkeypatch.setattr(prerequisites, "_may_install", lambda: False)


@pytest.mark.usefixtures("bare_machine")
def test_a_machine_where_we_may_not_install_gets_the_exact_commands(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert prerequisites.main() == 2
    output = capsys.readouterr().err
    assert "sudo apt-get update" in output
    assert "sudo apt-get install --yes --no-install-recommends rabbitmq-server" in output
    assert "  npm ci" in output


@pytest.mark.usefixtures("bare_machine")
def test_where_we_may_install_the_same_commands_are_run(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr(prerequisites, "_may_install", lambda: True)
    monkeypatch.setattr(
        "subprocess.run", lambda command, **_options: ran.append(" ".join(command[:2]))
    )
    assert prerequisites.main() == 0
    assert ran == ["apt-get update", "apt-get install", "npm ci"]
