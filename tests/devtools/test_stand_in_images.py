"""Every image that our files take from a registry can be made without one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from devtools import stand_in_images
from devtools.stand_in_images import base_images, stand_in_of

FOLDER = Path(stand_in_images.__file__).parent / "stand_ins"


def test_each_base_image_has_a_stand_in() -> None:
    images = base_images()
    assert len(images) == 4
    for image in images:
        assert stand_in_of(image).packages


def test_scripts_that_start_a_server_are_executable_and_valid() -> None:
    scripts = sorted(FOLDER.iterdir())
    assert scripts
    for script in scripts:
        assert os.access(script, os.X_OK)
        subprocess.run(["sh", "-n", str(script)], check=True)


def test_images_that_the_engine_holds_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stand_in_images, "_is_held", lambda _: True)
    monkeypatch.setattr(stand_in_images, "_make", lambda image: pytest.fail(f"made {image}"))
    assert stand_in_images.main() == 0
