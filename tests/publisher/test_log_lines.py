"""What the library logs in a program that has not configured structlog."""

import pytest
import structlog

from jobfleet_publisher.publisher import keep_quiet


def test_a_traceback_shows_no_values_of_variables_and_stays_off_the_standard_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    keep_quiet()
    password = "hunter-2"  # noqa: F841 - a local variable, as handlers have them
    try:
        raise ValueError("seen")
    except ValueError:
        structlog.get_logger().exception("it.failed")
    printed = capsys.readouterr()
    assert "ValueError: seen" in printed.err
    assert "locals" not in printed.err
    assert printed.err.count("hunter-2") <= 1  # the line of the code at most, not its variable
    assert printed.out == ""
