"""One build for all tests of the folder."""

from __future__ import annotations

import pytest

from tests.packaging.installed import ROOT, Built, build


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("dist")
    for source in (ROOT, ROOT / "client"):
        build(source, folder, "sdist", "wheel")
    return Built(folder)
