"""A process that runs for long does not look for garbage in the program that it has loaded."""

from __future__ import annotations

import gc

from jobfleet_cli.garbage import YOUNG_OBJECTS, set_up_collector


def test_what_is_loaded_is_looked_at_no_more_and_later_cycles_are_removed() -> None:
    threshold = gc.get_threshold()
    loaded = len(gc.get_objects())
    try:
        set_up_collector()
        assert gc.isenabled()
        assert gc.get_threshold() == (YOUNG_OBJECTS, *threshold[1:])
        assert gc.get_freeze_count() > loaded / 2
        assert len(gc.get_objects()) < loaded / 2
        circle: list[object] = []
        circle.append(circle)
        del circle
        assert gc.collect() > 0
    finally:
        gc.unfreeze()
        gc.set_threshold(*threshold)
