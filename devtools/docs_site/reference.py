"""Pages that the code writes: the commands' help, the REST API, the Python API, the exit codes."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from jobfleet_backends.settings import Settings
from jobfleet_backends.sqlite.backend import open_embedded
from jobfleet_backends.system_clock import SystemClock
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.main import app as jobfleet
from jobfleet_dashboard.app import create_app
from jobfleet_dashboard.options import DashboardOptions

_MODULES = {
    "Submit jobs": "jobfleet_publisher",
    "Submit jobs without an event loop": "jobfleet_publisher.sync",
    "Write handlers": "jobfleet_worker",
    "Test handlers": "jobfleet_worker.testing",
    "Errors": "jobfleet_contracts.errors",
}


def write(folder: Path) -> None:
    """Write the pages below ``folder``."""
    folder.mkdir(parents=True)
    (folder / "commands.md").write_text("\n".join(_commands()))
    (folder / "exit-codes.md").write_text("\n".join(_exit_codes()))
    (folder / "rest.md").write_text("\n".join(_rest(asyncio.run(_openapi()))))
    (folder / "python.md").write_text("\n".join(_python()))


def _commands() -> Iterator[str]:
    yield "# Commands\n\nEach command's `--help`. `jobfleet COMMAND --help` prints the same.\n"
    command = typer.main.get_command(jobfleet)
    context = command.make_context("jobfleet", [], resilient_parsing=True)
    yield from _help(command, context)


def _help(command: Any, context: Any) -> Iterator[str]:
    yield f"## {context.command_path}\n"
    yield f"```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, TyperGroup):
        for name in command.list_commands(context):
            child = command.resolve_command(context, [name])[1]
            yield from _help(child, type(context)(child, info_name=name, parent=context))


def _exit_codes() -> Iterator[str]:
    yield "# Exit codes\n\n| code | name | meaning |\n|---|---|---|"
    meanings = {
        ExitCode.DONE: "The command did what it was asked.",
        ExitCode.NO: "The answer is no: a job failed or is unknown, an action was refused, "
        "or violations were found.",
        ExitCode.USAGE: "Wrong usage, wrong configuration, or a missing permission.",
        ExitCode.UNREACHABLE: "A server cannot be reached.",
    }
    for code in ExitCode:
        yield f"| {code.value} | {code.name} | {meanings[code]} |"
    yield ""


async def _openapi() -> Mapping[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder))
        backend = await open_embedded(settings)
        try:
            options = DashboardOptions(defaults=settings.job_defaults, version=version("jobfleet"))
            app = create_app(backend=backend, clock=SystemClock(), options=options)
            return app.openapi()
        finally:
            await backend.close()


def _rest(description: Mapping[str, Any]) -> Iterator[str]:
    yield "# REST API\n"
    yield (
        "A running dashboard serves this description with all schemas at `/openapi.json`, and a "
        "page to try it at `/docs`.\n"
    )
    for path, operations in sorted(description["paths"].items()):
        for method, operation in operations.items():
            yield f"## {method.upper()} {path}\n"
            yield f"{operation.get('description') or operation.get('summary', '')}\n"
            yield from _parameters(operation.get("parameters", []))
            yield from _answers(operation["responses"])


def _parameters(parameters: list[Mapping[str, Any]]) -> Iterator[str]:
    if parameters:
        yield "| parameter | in | meaning |\n|---|---|---|"
        for parameter in parameters:
            meaning = _cell(parameter.get("description", ""))
            yield f"| `{parameter['name']}` | {parameter['in']} | {meaning} |"
        yield ""


def _answers(responses: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "| answer | meaning |\n|---|---|"
    for status, response in responses.items():
        yield f"| {status} | {_cell(response.get('description', ''))} |"
    yield ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _python() -> Iterator[str]:
    yield "# Python API\n"
    for title, module in _MODULES.items():
        yield f"## {title}: `{module}`\n"
        yield f"```{{eval-rst}}\n.. automodule:: {module}\n   :members:\n   :no-index:"
        if hasattr(import_module(module), "__all__"):
            yield "   :imported-members:"
        yield "```\n"
