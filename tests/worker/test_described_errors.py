"""Errors as the trail keeps them."""

import json
import sys

from jobfleet_worker.run.attempt import describe


def test_a_traceback_names_files_as_imports_do_and_not_where_the_host_keeps_them() -> None:
    try:
        json.loads("{")
    except json.JSONDecodeError as error:
        told = describe(error).traceback
    assert 'File "json/decoder.py"' in told
    assert not any(f'File "{folder}/' in told for folder in sys.path if folder)
