#!/bin/sh
# install.sh VENV LOCK: puts the locked packages and this project into VENV.
# With uv it takes seconds; where uv cannot be had or cannot reach the packages, pip does it.
# A lock is complete, so nothing is resolved again: pip knows nothing of pyproject's overrides.
set -eu
venv=$1
lock=$2
uv=$(sed -n 's/^\(uv==[0-9.]*\).*/\1/p' requirements-dev.lock)
export PIP_DISABLE_PIP_VERSION_CHECK=1
# Makefile output goes to stderr: stdout belongs to the command that runs afterwards.
exec >&2

with_uv() {
    "$venv/bin/python" -m pip install --quiet "$uv" &&
        VIRTUAL_ENV=$venv "$venv/bin/uv" pip install --no-deps --require-hashes -r "$lock"
}

with_pip() {
    "$venv/bin/python" -m pip install --no-deps --require-hashes -r "$lock"
}

echo "Installing the packages of $lock into $venv"
with_uv || with_pip
"$venv/bin/python" -m pip install --quiet --no-deps --editable ./client --editable .
