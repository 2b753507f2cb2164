"""``jobfleet doctor`` says how wrong this machine's clock is."""

from __future__ import annotations

import pytest

from jobfleet_cli.doctor import clock_probes


@pytest.mark.parametrize(("seconds", "text"), [(3.04, "3.0 s ahead of"), (-60.0, "60.0 s behind")])
def test_a_wrong_clock_is_named_with_what_follows(seconds: float, text: str) -> None:
    (probe,) = clock_probes("azure", seconds)
    assert not probe.ok
    assert text in probe.detail
    assert "fire no schedule" in probe.detail
    assert "NTP" in probe.remedy


def test_a_right_clock_is_well_and_files_have_no_clock_of_their_own() -> None:
    assert list(clock_probes("embedded", 0.0)) == []
    (probe,) = clock_probes("azure", 0.0)
    assert probe.ok
