"""Where settings come from, and what a wrong one leads to."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from jobfleet_backends.settings import Settings, load_settings
from jobfleet_contracts.errors import SettingsError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of its own, so that no other ``.env`` is read."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_flag_wins_over_environment_wins_over_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".env").write_text("JOBFLEET_CONCURRENCY=1\nJOBFLEET_QUEUES=a\nJOBFLEET_HANDLERS=x\n")
    monkeypatch.setenv("JOBFLEET_CONCURRENCY", "2")
    monkeypatch.setenv("JOBFLEET_QUEUES", "b")
    settings = load_settings(concurrency=3)
    assert (settings.concurrency, settings.queues, settings.handlers) == (3, ("b",), ("x",))


def test_a_shorter_lease_in_the_file_is_renewed_in_thirds(folder: Path) -> None:
    (folder / ".env").write_text("JOBFLEET_LEASE_SECONDS=15\n")
    assert load_settings().lease_renew_seconds == 5


def test_the_file_may_name_the_pause_between_renewals(folder: Path) -> None:
    (folder / ".env").write_text("JOBFLEET_LEASE_RENEW_SECONDS=7\n")
    assert load_settings().lease_renew_seconds == 7


def test_an_unknown_name_in_the_file_is_refused(folder: Path) -> None:
    (folder / ".env").write_text("JOBFLEET_LEASSE_SECONDS=15\n")
    with pytest.raises(SettingsError, match="JOBFLEET_LEASSE_SECONDS: unknown setting"):
        load_settings()


def test_secrets_come_from_the_file_too_and_the_environment_wins(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".env").write_text("JOBFLEET_SECRET_A=file\nJOBFLEET_SECRET_B=file\n")
    monkeypatch.setenv("JOBFLEET_SECRET_B", "environment")
    assert load_settings().secrets == {"A": "file", "B": "environment"}


def test_a_secret_may_have_hosts_of_its_own(folder: Path) -> None:
    (folder / ".env").write_text(
        "JOBFLEET_SECRET_A=value\nJOBFLEET_SECRET_A_HOSTS=a.example, *.b.example\n"
    )
    settings = load_settings()
    assert settings.secrets == {"A": "value"}
    assert settings.secret_hosts == {"A": ("a.example", "*.b.example")}


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("JOBFLEET_SECRET_A_HOSTS=a.example", "JOBFLEET_SECRET_A is not set"),
        ("JOBFLEET_SECRET_A=v\nJOBFLEET_SECRET_A_HOSTS=", "names no host"),
        ("JOBFLEET_SECRET_A=v\nJOBFLEET_SECRET_A_HOSTS=https://a/", "is not a host"),
    ],
)
def test_hosts_of_a_secret_that_make_no_sense_are_refused(
    folder: Path, lines: str, reason: str
) -> None:
    (folder / ".env").write_text(lines)
    with pytest.raises(SettingsError, match=f"^JOBFLEET_SECRET_A_HOSTS: .*{reason}"):
        load_settings()


@pytest.mark.parametrize("name", ["ALLOWED_HOSTS", "SECRET_A_HOSTS"])
@pytest.mark.parametrize(
    "host", ["https://me:hunter22@a.example", "me:hunter22@a", "a/?sig=hunter22"]
)
def test_a_host_that_is_none_is_refused_without_the_credential_in_it(
    folder: Path, name: str, host: str
) -> None:
    (folder / ".env").write_text(f"JOBFLEET_SECRET_A=value\nJOBFLEET_{name}={host}\n")
    with pytest.raises(SettingsError, match=rf"JOBFLEET_{name}: .*is not a host") as caught:
        load_settings()
    assert "hunter22" not in str(caught.value)


@pytest.mark.parametrize("name", ["SESSION_SECRET", "CALLBACK_SECRETS"])
@pytest.mark.parametrize("secret", ["x", "fifteen bytes..", "whsec_c2hvcnQ="])
def test_a_secret_that_could_be_guessed_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, secret: str
) -> None:
    monkeypatch.setenv(f"JOBFLEET_{name}", secret)
    with pytest.raises(SettingsError, match=rf"JOBFLEET_{name}: .*at least 16") as caught:
        load_settings()
    assert len(secret) == 1 or secret not in str(caught.value)


def test_a_bad_value_is_one_line_that_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBFLEET_LEASE_RENEW_SECONDS", "31")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value) == (
        "JOBFLEET_LEASE_RENEW_SECONDS: must be at most half the lease (30 s), better a third"
    )


@pytest.mark.parametrize(
    "setting",
    [
        "JOB_TIMEOUT_SECONDS=inf",
        "RETRY_BASE_SECONDS=inf",
        "RETRY_MAX_SECONDS=1e300",
        "RESCUE_SECONDS=inf",
        "DRAIN_SECONDS=inf",
        "HTTP_TIMEOUT_SECONDS=inf",
        "BREAKER_OPEN_SECONDS=inf",
        "RETENTION_DAYS=inf",
        "RETENTION_DAYS=1e300",
        "CALLBACK_BASE_URL=jobs.example.org",
        "CALLBACK_BASE_URL=ftp://jobs.example.org",
        "CALLBACK_BASE_URL=http://jobs:port",
        "CALLBACK_BASE_URL=https://jobs.example.org/?a=1",
        "ALLOWED_HOSTS=https://api.example.org",
        "ALLOWED_HOSTS=api.example.org:443",
    ],
)
def test_a_value_that_could_only_fail_later_stops_the_start(
    setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, _, value = f"JOBFLEET_{setting}".partition("=")
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"^{name}: "):
        load_settings()


def test_hosts_are_names_wildcards_and_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBFLEET_ALLOWED_HOSTS", "api.example.org, *.example.net,10.0.0.1,::1")
    assert load_settings().allowed_hosts == ("api.example.org", "*.example.net", "10.0.0.1", "::1")


def test_a_log_level_may_be_written_in_capitals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBFLEET_LOG_LEVEL", "DEBUG")
    assert load_settings().log_level == "debug"


def test_a_third_party_may_have_callback_secrets_of_its_own(folder: Path) -> None:
    (folder / ".env").write_text(
        "JOBFLEET_CALLBACK_SECRET_BANK=0123456789abcdef,fedcba9876543210\n"
        "JOBFLEET_CALLBACK_SECRET_BANK_HOSTS=bank.example, *.bank.example\n"
        "JOBFLEET_CALLBACK_SECRET_SHOP=aaaaaaaaaaaaaaaaaaaa\n"
    )
    targets = load_settings().callback_targets
    assert set(targets) == {"BANK", "SHOP"}
    assert targets["BANK"].secrets == ("0123456789abcdef", "fedcba9876543210")
    assert targets["BANK"].hosts == ("bank.example", "*.bank.example")
    assert targets["SHOP"].hosts == ()
    assert "0123456789abcdef" not in repr(targets)


@pytest.mark.parametrize(
    ("lines", "name", "reason"),
    [
        ("CALLBACK_SECRET_A=short", "CALLBACK_SECRET_A", "secret 1"),
        ("CALLBACK_SECRET_A=,", "CALLBACK_SECRET_A", "names no secret"),
        ("CALLBACK_SECRET_A_HOSTS=a.example", "CALLBACK_SECRET_A_HOSTS", "is not set"),
        (
            "CALLBACK_SECRET_A=0123456789abcdef\nJOBFLEET_CALLBACK_SECRET_A_HOSTS=https://a/",
            "CALLBACK_SECRET_A_HOSTS",
            "is not a host",
        ),
    ],
)
def test_a_third_partys_secrets_that_make_no_sense_are_refused(
    folder: Path, lines: str, name: str, reason: str
) -> None:
    (folder / ".env").write_text(f"JOBFLEET_{lines}\n")
    with pytest.raises(SettingsError, match=f"^JOBFLEET_{name}: .*{reason}"):
        load_settings()


@pytest.mark.parametrize("source", ["file", "environment", "flag"])
def test_a_tilde_is_the_users_home_in_every_path(
    folder: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.setenv("HOME", str(folder / "home"))
    paths = [name for name, field in Settings.model_fields.items() if _is_path(field.annotation)]
    assert {"data_dir", "log_file"} <= set(paths)
    given = {f"JOBFLEET_{name.upper()}": f"~/{name}" for name in paths}
    if source == "file":
        (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in given.items()))
    elif source == "environment":
        for name, value in given.items():
            monkeypatch.setenv(name, value)
    flags = {name: f"~/{name}" for name in paths} if source == "flag" else {}
    settings = load_settings(**flags)
    for name in paths:
        assert getattr(settings, name) == folder / "home" / name


def test_a_home_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBFLEET_DATA_DIR", "~nobody-of-this-name/jobs")
    with pytest.raises(SettingsError, match=r"^JOBFLEET_DATA_DIR: ~nobody-of-this-name/jobs"):
        load_settings()


def _is_path(annotation: object) -> bool:
    return annotation is Path or any(_is_path(part) for part in get_args(annotation))
