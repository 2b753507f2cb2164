"""What each of our two distributions installs, and that it works where it is all there is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.packaging.installed import ROOT, Built, Environment, build, metadata
from tests.yardstick import slowness

NAMES = ("jobfleet", "jobfleet-client")
MOST_PACKAGES = 20
"""Of a program that submits to the embedded backend, the client included."""
MOST_CPU_SECONDS = 0.25
FORBIDDEN = frozenset(
    {"aio_pika", "aiohttp", "aiormq", "azure", "fastapi", "jinja2", "prompt_toolkit", "pycares"}
    | {"rich", "starlette", "typer", "uvicorn", "uvloop", "yarl"}
    | {"jobfleet_cli", "jobfleet_dashboard", "jobfleet_worker"}
)
EXTRAS = {
    "JOBFLEET_BACKEND=azure": "azure,rabbitmq",
    "JOBFLEET_BACKEND=postgres": "postgres",
    "AsyncEndpoints": "fastapi",
    "the console": "console",
}
OFFLINE = """
import sys

def refuse(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if host not in (None, "", "localhost", "127.0.0.1", "0.0.0.0", "::1"):
        raise ConnectionRefusedError(f"offline: {host}")

sys.addaudithook(refuse)
"""


@pytest.fixture(scope="module")
def client(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp("client") / "venv"
    return Environment(folder, [built.wheel("jobfleet-client")], extras=frozenset())


@pytest.fixture(scope="module")
def whole(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp("whole") / "venv"
    wheels = [built.wheel(name) for name in NAMES]
    return Environment(folder, wheels, extras=frozenset({"azure", "rabbitmq"}))


def _run(
    environment: Environment, *arguments: str, cwd: Path, variables: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [environment.python, *arguments],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), **(variables or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_file_is_in_both_distributions_and_none_is_missing(built: Built) -> None:
    held = [_code(built.wheel(name)) for name in NAMES]
    assert not held[0] & held[1]
    packages = [*ROOT.glob("shared/*/jobfleet_*"), *ROOT.glob("services/*/jobfleet_*")]
    wanted = {
        str(file.relative_to(package.parent))
        for package in packages
        for file in package.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert held[0] | held[1] == wanted


def _code(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as held:
        return {name for name in held.namelist() if ".dist-info/" not in name}


def test_the_whole_requires_the_client_of_its_own_version(built: Built) -> None:
    version = metadata(built.wheel("jobfleet-client"))["Version"]
    assert metadata(built.wheel("jobfleet"))["Version"] == version
    required = metadata(built.wheel("jobfleet")).get_all("Requires-Dist", [])
    assert f"jobfleet-client[azure,rabbitmq]=={version}" in required
    label = f'org.opencontainers.image.version="{version}"'
    assert label in (ROOT / "Dockerfile").read_text()


def test_both_name_the_same_versions_of_a_package() -> None:
    ours, clients = (
        tomllib.loads((ROOT / name).read_text())
        for name in ("pyproject.toml", "client/pyproject.toml")
    )
    services = ours["tool"]["hatch"]["metadata"]["hooks"]["custom"]["dependencies"]
    extras = clients["project"]["optional-dependencies"].values()
    publisher = {*clients["project"]["dependencies"], *(need for extra in extras for need in extra)}
    both = {_name(need) for need in services} & {_name(need) for need in publisher}
    assert both
    assert {n for n in services if _name(n) in both} == {n for n in publisher if _name(n) in both}


def _name(need: str) -> str:
    return need.partition(">")[0]


def test_the_client_carries_the_licence_of_the_repository() -> None:
    assert (ROOT / "client/LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_a_wheel_built_from_the_source_distribution_is_the_same(
    built: Built, name: str, tmp_path: Path
) -> None:
    with tarfile.open(built.sdist(name)) as archive:
        archive.extractall(tmp_path, filter="data")
    [source] = tmp_path.iterdir()
    build(source, tmp_path / "dist", "wheel")
    wheel = Built(tmp_path / "dist").wheel(name)
    assert _code(wheel) == _code(built.wheel(name))
    required = metadata(wheel).get_all("Requires-Dist", [])
    assert required == metadata(built.wheel(name)).get_all("Requires-Dist", [])


def test_an_index_accepts_the_files(built: Built) -> None:
    files = [str(file) for name in NAMES for file in (built.wheel(name), built.sdist(name))]
    checked = subprocess.run(
        [sys.executable, "-m", "twine", "--no-color", "check", "--strict", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.count("PASSED") == len(files)


def test_a_program_that_submits_installs_few_packages(client: Environment) -> None:
    assert len(client.packages | {"jobfleet-client"}) <= MOST_PACKAGES, sorted(client.packages)


def test_the_client_submits_on_the_embedded_backend(client: Environment, tmp_path: Path) -> None:
    program = (
        "from jobfleet_publisher.sync import Publisher\n"
        "with Publisher.from_env() as publisher:\n"
        "    print(publisher.submit('import', {'path': 'rows.csv'}).state())\n"
    )
    ended = _run(client, "-c", program, cwd=tmp_path)
    assert ended.stdout == "queued\n", ended.stderr
    assert _run(client, "-m", "jobfleet_publisher", "--check", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("module", ["jobfleet_publisher", "jobfleet_publisher.sync"])
def test_the_import_loads_nothing_of_servers_web_or_terminal(
    whole: Environment, module: str, tmp_path: Path
) -> None:
    program = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    ended = _run(whole, "-c", program, cwd=tmp_path)
    loaded = {name.partition(".")[0] for name in json.loads(ended.stdout)}
    assert loaded & FORBIDDEN - {"rich"} == set()  # structlog imports rich where it is installed
    assert "pydantic" not in loaded  # more than half of the import's CPU; open_backend loads it


def test_the_client_alone_has_nothing_of_servers_web_or_terminal(client: Environment) -> None:
    names = {each.name.partition(".")[0] for each in client.site_packages.iterdir()}
    assert names & FORBIDDEN == set()


def test_the_import_costs_little_cpu(client: Environment, tmp_path: Path) -> None:
    program = "import time, jobfleet_publisher; print(time.process_time())"
    spent = [float(_run(client, "-c", program, cwd=tmp_path).stdout) for _ in range(10)]
    assert min(spent) <= MOST_CPU_SECONDS * slowness()


@pytest.mark.parametrize(
    ("arguments", "variables", "part"),
    [
        (["-m", "jobfleet_publisher", "--check"], {"JOBFLEET_BACKEND": "azure"}, "azure"),
        (["-m", "jobfleet_publisher", "--check"], {"JOBFLEET_BACKEND": "postgres"}, "postgres"),
        (["-c", "import jobfleet_publisher.async_endpoints"], {}, "AsyncEndpoints"),
    ],
)
def test_a_missing_extra_is_one_line_with_the_command(
    client: Environment, tmp_path: Path, arguments: list[str], variables: dict[str, str], part: str
) -> None:
    ended = _run(client, *arguments, cwd=tmp_path, variables=variables)
    assert ended.returncode != 0
    last = ended.stderr.splitlines()[-1]
    [(named, extras)] = [each for each in EXTRAS.items() if part in each[0]]
    assert named in last
    assert last.endswith(f"run: pip install 'jobfleet-client[{extras}]'")


def test_jobfleet_demo_runs_offline_in_an_empty_folder(whole: Environment, tmp_path: Path) -> None:
    (whole.site_packages / "offline_test.py").write_text(OFFLINE)
    (whole.site_packages / "offline_test.pth").write_text("import offline_test\n")
    demo: list[str | Path] = [
        whole.folder / "bin" / "jobfleet",
        "demo",
        "--jobs",
        "4",
        "--exit-when-done",
    ]
    ended = subprocess.run(
        [*demo, "--port", "0"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "4 completed, 0 failed"
