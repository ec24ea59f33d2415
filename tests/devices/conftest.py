"""Locks of the tests are in a folder of their own."""

import pytest


@pytest.fixture(autouse=True)
def _runtime_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
