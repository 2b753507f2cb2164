"""A ``.env`` that cannot be read is named by file, line and remedy; every source counts alike."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobfleet_backends.env_file import read_env_file
from jobfleet_backends.settings import Settings, load_settings, variables_of
from jobfleet_contracts.errors import SettingsError

VALUES = {
    "backend": "azure",
    "data_dir": "other",
    "rabbitmq_url": "amqp://other/",
    "storage_connection_string": "AccountName=x",
    "storage_account": "account",
    "azure_client_id": "id",
    "azure_token_credentials": "dev",
    "namespace": "other",
    "lock_container": "other-locks",
    "audit_table": "OtherTrail",
    "lock_scope": "fleet",
    "lease_seconds": "30",
    "lease_renew_seconds": "4",
    "callback_base_url": "https://jobs.example.org",
    "url": "https://jobs.example.org",
    "root_path": "/jobs",
    "job_logs": "off",
    "trace_url": "https://traces.example.org/{traceId}",
    "rate_limit": "5/second",
    "log_level": "DEBUG",
    "log_format": "console",
    "log_file": "log",
    "session_secret": "0123456789abcdef0123456789abcdef",
    "callback_secrets": "0123456789abcdef,fedcba9876543210",
}
"""A value of each setting that is no plain number or list of names."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        for variable in variables_of(name):
            monkeypatch.delenv(variable, raising=False)
    return tmp_path


def _value(name: str) -> str:
    annotation = str(Settings.model_fields[name].annotation)
    if "bool" in annotation:
        return VALUES.get(name, "true")
    return VALUES.get(name) or ("7" if "int" in annotation or "float" in annotation else "some")


@pytest.mark.parametrize(
    ("name", "variable"),
    [(name, variable) for name in Settings.model_fields for variable in variables_of(name)],
)
def test_each_setting_means_the_same_from_every_source(
    name: str, variable: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = _value(name)
    by_flag = load_settings(**{name: value})
    (folder / ".env").write_text(f"{variable}={value}\n")
    by_file = load_settings()
    (folder / ".env").write_text(f"{variable}=\n")
    monkeypatch.setenv(variable, value)
    by_environment = load_settings()
    assert by_flag == by_file == by_environment
    assert by_flag.model_fields_set == by_file.model_fields_set == by_environment.model_fields_set
    assert getattr(by_flag, name) != Settings.model_fields[name].default


@pytest.mark.parametrize("name", Settings.model_fields)
def test_an_empty_variable_does_not_hide_what_the_file_says(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in variables_of(name):
        (folder / ".env").write_text(f"{variable}={_value(name)}\n")
        monkeypatch.setenv(variable, "")
        assert getattr(load_settings(), name) != Settings.model_fields[name].default


@pytest.mark.parametrize("name", Settings.model_fields)
def test_bytes_that_are_not_utf8_are_refused_by_name(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in variables_of(name):
        monkeypatch.setenv(variable, "caf\udce9")
        with pytest.raises(SettingsError, match=f"^{variable}: .*UTF-8"):
            load_settings()
        monkeypatch.delenv(variable)


BROKEN = {
    "UTF-16": ("JOBFLEET_CONCURRENCY=2\n".encode("utf-16"), 1, "UTF-16"),
    "UTF-16 without a mark": ("JOBFLEET_CONCURRENCY=2\n".encode("utf-16-le"), 1, "NAME=value"),
    "UTF-16, big end first": (b"\xfe\xff" + "A=2\n".encode("utf-16-be"), 1, "UTF-16"),
    "Latin-1": ("A=1\n# caf\xe9\n".encode("latin-1"), 2, "0xe9 is not UTF-8"),
    "colon": (b"A=1\n\nJOBFLEET_CONCURRENCY: 2\n", 3, "NAME=value"),
    "colon without a blank": (b"JOBFLEET_CONCURRENCY:2\n", 1, "NAME=value"),
    "blank": (b"# one\nJOBFLEET_CONCURRENCY 2\n", 2, "NAME=value"),
    "name alone": (b"A=1\nJOBFLEET_CONCURRENCY\n", 2, "NAME=value"),
    "JSON": (b'{"JOBFLEET_CONCURRENCY": 2}\n', 1, "NAME=value"),
    "shell": (b"if true; then\n", 1, "NAME=value"),
    "NUL": (b"A=1\nB='x\0y'\n", 2, "NUL"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_file_that_cannot_be_read_is_one_line_with_file_line_and_remedy(
    kind: str, folder: Path
) -> None:
    body, line, remedy = BROKEN[kind]
    (folder / ".env").write_bytes(body)
    with pytest.raises(SettingsError, match=rf"^\.env line {line}: ") as caught:
        load_settings()
    assert remedy in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbfJOBFLEET_CONCURRENCY=2\r\n",
        b"export JOBFLEET_CONCURRENCY=2",
        b"A\n'B'=3\n\n#x\nJOBFLEET_CONCURRENCY = '2' # two",
    ],
)
def test_marks_exports_quotes_and_line_ends_of_windows_are_read(folder: Path, body: bytes) -> None:
    (folder / ".env").write_bytes(body)
    assert load_settings().concurrency == 2


@pytest.mark.parametrize("kind", ["folder", "pipe", "dangling link", "link to a folder"])
def test_what_is_no_file_is_named_instead_of_left_out(folder: Path, kind: str) -> None:
    """Docker makes a folder of a missing file that is mounted."""
    path = folder / ".env"
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "dangling link":
            path.symlink_to(folder / "missing")
        case "link to a folder":
            path.symlink_to(folder)
    with pytest.raises(SettingsError, match=r"^\.env is (a|neither).*; make it a file"):
        load_settings()


def test_a_huge_file_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("A=1\n" * 200_000)
    with pytest.raises(SettingsError, match="larger than 256 KiB; keep settings only"):
        read_env_file(path)
