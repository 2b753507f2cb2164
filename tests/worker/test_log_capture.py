"""Each line is captured once, however logging and structlog are configured."""

from __future__ import annotations

import io
import json
import logging
import logging.config
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from jobfleet_backends.settings import Settings
from jobfleet_cli.logging import configure_logging
from jobfleet_worker.handlers.log_capture import captured


@pytest.fixture(autouse=True)
def _configured_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before = (root.level, list(root.handlers)), structlog.get_config()
    yield
    (level, handlers), config = before
    root.setLevel(level)
    root.handlers[:] = handlers
    structlog.configure(**config)


def lines_of(say: Callable[[], Any]) -> list[dict[str, Any]]:
    """Return what is kept while something is said."""
    kept: list[bytes] = []

    def keep(line: bytes) -> bool:
        kept.append(line)
        return True

    with captured(keep, 3):
        say()
    return [json.loads(line) for line in kept]


def say_both() -> None:
    structlog.get_logger("shop").info("row read", row=3)
    logging.getLogger("shop.mail").info("sent to %s", "ada")


def as_the_worker_does() -> None:
    configure_logging(Settings(_env_file=None), stream=io.StringIO())


def as_structlog_does() -> None:
    structlog.reset_defaults()
    logging.getLogger().setLevel(logging.INFO)


def structlog_through_logging(*renderers: Any) -> Callable[[], None]:
    def configure() -> None:
        logging.getLogger().setLevel(logging.INFO)
        structlog.configure(
            processors=(structlog.stdlib.add_log_level, *renderers),
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
            cache_logger_on_first_use=False,
        )

    return configure


def by_dict_config() -> None:
    as_structlog_does()
    handlers = {"null": {"class": "logging.NullHandler"}}
    root = {"handlers": ["null"], "level": "INFO"}
    logging.config.dictConfig(
        {"version": 1, "disable_existing_loggers": False, "handlers": handlers, "root": root}
    )


@pytest.mark.parametrize(
    "configure",
    [
        as_the_worker_does,
        as_structlog_does,
        by_dict_config,
        structlog_through_logging(structlog.processors.JSONRenderer()),
        structlog_through_logging(structlog.stdlib.ProcessorFormatter.wrap_for_formatter),
        structlog_through_logging(structlog.stdlib.render_to_log_kwargs),
    ],
    ids=["worker", "plain", "dictConfig", "JSON", "formatter", "kwargs"],
)
def test_each_line_is_kept_once_with_its_fields(configure: Callable[[], None]) -> None:
    configure()
    entry, record = lines_of(say_both)
    assert (entry["message"], entry["level"], entry["fields"]["row"]) == ("row read", "info", 3)
    assert (record["message"], record["logger"]) == ("sent to ada", "shop.mail")
    assert {entry["attempt"], record["attempt"]} == {3}


def test_a_line_below_its_level_is_not_kept() -> None:
    as_the_worker_does()
    assert lines_of(lambda: structlog.get_logger().debug("x")) == []
    assert lines_of(lambda: logging.getLogger("shop").debug("x")) == []
    structlog_through_logging(structlog.processors.JSONRenderer())()
    assert lines_of(lambda: structlog.get_logger("shop").debug("x")) == []


def test_what_jobfleet_logs_in_a_handler_is_no_line_of_the_handler() -> None:
    """As about a job that the handler submits: it has said nothing itself."""
    as_the_worker_does()
    program = compile("log.info('job.submitted')", "submission.py", "exec")
    names = {"log": structlog.get_logger(), "__name__": "jobfleet_protocol.actions.submission"}
    assert lines_of(lambda: exec(program, names)) == []  # noqa: S102
    theirs = names | {"__name__": "shop.imports"}
    assert len(lines_of(lambda: exec(program, theirs))) == 1  # noqa: S102


def test_nothing_is_kept_outside_of_a_handler() -> None:
    kept = lines_of(lambda: None)
    say_both()
    assert kept == []


def test_a_text_that_logs_while_it_is_made_does_no_harm() -> None:
    class Talkative:
        def __str__(self) -> str:
            logging.getLogger("shop").warning("while it is made")
            return "made"

    as_structlog_does()
    lines = lines_of(lambda: logging.getLogger("shop").warning("%s", Talkative()))
    messages = [line["message"] for line in lines]
    assert messages.count("made") == 1
    # Each other handler of the process that makes the text may add the line that it logs.
    assert set(messages) <= {"made", "while it is made"}


def test_a_huge_line_is_cut_and_a_credential_at_the_cut_is_hidden() -> None:
    as_structlog_does()
    text = "x" * 15_990 + " password=correct-horse-battery " + "y" * 1_000_000
    [line] = lines_of(lambda: logging.getLogger("shop").warning(text))
    assert len(line["message"]) < 20_000
    assert "correct" not in line["message"]
    assert line["message"].endswith("[cut]")
    [line] = lines_of(lambda: structlog.get_logger().warning("fields", rows=["z" * 90] * 1000))
    assert list(line["fields"]) == ["shortened"]
