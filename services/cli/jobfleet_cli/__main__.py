"""``python -m jobfleet_cli`` is ``jobfleet``."""

from __future__ import annotations

from jobfleet_cli.main import main

main()
