"""Errors as the trail keeps them."""

import json
import sys

from jobfleet_worker.handlers.described_error import describe_error


def test_a_traceback_names_files_as_imports_do_and_not_where_the_host_keeps_them() -> None:
    try:
        json.loads("{")
    except json.JSONDecodeError as error:
        told = describe_error(error).traceback
    assert 'File "json/decoder.py"' in told
    assert not any(f'File "{folder}/' in told for folder in sys.path if folder)
