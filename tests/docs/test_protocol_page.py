"""docs/protocol.md lists what the code decides by."""

import re
from pathlib import Path

from jobfleet_worker.upkeep.rescuer import _PASSED_ON

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()


def test_the_page_lists_the_reasons_after_which_a_message_goes_from_delay_to_delay() -> None:
    (listed,) = re.findall(r"go from delay to delay \(reasons (.*?)\)", PAGE, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", listed)) == _PASSED_ON
