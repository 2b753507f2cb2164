"""The publisher of a Django project: one for all threads of a process."""

from __future__ import annotations

from functools import cache

from django.conf import settings

from jobfleet_publisher.sync import Publisher


def get_publisher() -> Publisher:
    """Return the project's publisher, which the first call in a process opens.

    ``settings.JOBFLEET``, if it is set, stands above the environment:
    ``JOBFLEET = {"data_dir": BASE_DIR / "jobs"}``.

    Raises:
        SettingsError: a setting is unknown or has a bad value; the message names it.
    """
    publisher = _publisher()
    publisher.start()
    return publisher


@cache
def _publisher() -> Publisher:
    return Publisher(**getattr(settings, "JOBFLEET", {}))
