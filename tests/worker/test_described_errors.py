"""Errors as the trail keeps them."""

import json
import sys

from jobfleet_worker.handlers.described_error import describe_error


def test_a_traceback_names_files_as_imports_do_and_not_where_the_host_keeps_them() -> None:
    try:
        json.loads("{")
    except json.JSONDecodeError as error:
        traceback = describe_error(error).traceback
    assert 'File "json/decoder.py"' in traceback
    assert not any(f'File "{folder}/' in traceback for folder in sys.path if folder)


def test_the_place_of_an_error_is_the_innermost_frame_of_the_users_code() -> None:
    def fetch() -> None:
        json.loads("not JSON")  # raises within the standard library

    try:
        fetch()
    except ValueError as error:
        described = describe_error(error)
    assert described.place.endswith(
        "test_described_errors.test_the_place_of_an_error_is_the_"
        "innermost_frame_of_the_users_code.<locals>.fetch"
    )
    assert describe_error(ValueError("never raised")).place == ""
