"""Templates can be read: no line is longer than a screen is wide."""

from __future__ import annotations

from jobfleet_dashboard.views.pages import HERE

WIDEST = 120


def test_no_line_of_a_template_is_wider_than_a_screen() -> None:
    wide = [
        f"{path.relative_to(HERE)}:{number}: {len(line)}"
        for path in sorted((HERE / "templates").rglob("*.html"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > WIDEST
    ]
    assert not wide, "\n".join(wide)
