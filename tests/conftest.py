"""Fixtures shared by all tests, and the small drawing language of the text tests: `║` is the cursor."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
import pytest
from hypothesis import settings

from egate_lsp.context import Budget, build

if TYPE_CHECKING:
    from egate_lsp.values import FimContext

CURSOR = "║"

settings.register_profile("steady", deadline=None)  # a busy machine is no failure
settings.load_profile("steady")


def drawn(text: str, language: str = "python", budget: Budget = Budget(100_000, 100_000)) -> FimContext:  # noqa: B008
    """The hole of a document drawn with its cursor."""
    offset = text.index(CURSOR)
    return build(text.replace(CURSOR, "", 1), offset, budget, path="drawn", language=language)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the developer's own reaches a test."""
    for name in list(os.environ):
        if name.startswith(("EGATE_", "OPENAI_")) and name != "EGATE_LSP_TEST_CACHE":
            monkeypatch.delenv(name)
    monkeypatch.setenv("EGATE_LSP_CONFIG", str(tmp_path / "no-such-config.toml"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


MODEL_CACHE = Path(
    os.environ.get("EGATE_LSP_TEST_CACHE") or Path(platformdirs.user_cache_dir("egate-lsp", appauthor=False)) / "models"
)


def model_file(name: str) -> Path:
    """A real model's file; skips the test where it has not been fetched."""
    path = MODEL_CACHE / name
    if not path.is_file():
        pytest.skip(f"{name} is not in {MODEL_CACHE}: egate-lsp models pull")
    return path


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite what the stories in tests/golden expect")
