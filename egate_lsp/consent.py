"""What the user answered when asked whether a folder's lines may go to a target; kept in the user's state directory,
never in a workspace."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Literal

import platformdirs

from egate_lsp import files

log = logging.getLogger(__name__)

Answer = Literal["session", "always", "never"]


def default_path() -> Path:
    """In the user's state directory."""
    return Path(platformdirs.user_state_dir("egate-lsp", appauthor=False)) / "consents.json"


class Consents:
    """Answers by folder, absolute and without links. Nothing here raises."""

    def __init__(self, path: Path | None) -> None:
        """`path`: None keeps answers for this session only."""
        self._path = path
        self._session: dict[str, bool] = {}
        self._kept: dict[str, bool] | None = None

    def of(self, folder: str) -> bool | None:
        """May this folder's lines leave? None: the user has not said."""
        if folder in self._session:
            return self._session[folder]
        if self._kept is None:
            self._kept = self._read()
        return self._kept.get(folder)

    def answer(self, folder: str, answer: Answer) -> None:
        """Keep the user's answer: for this session, or in the user's state."""
        self._session[folder] = answer != "never"
        if answer == "session" or self._path is None:
            return
        self._kept = self._read() | {folder: answer == "always"}
        try:
            files.replace(self._path, json.dumps(self._kept, indent=1))
        except OSError as error:
            log.warning("%s cannot be written: %s", self._path, error)

    def not_now(self, folder: str) -> None:
        """The user closed the question: local for this session, and not asked again in it."""
        self._session[folder] = False

    def _read(self) -> dict[str, bool]:
        if self._path is None:
            return {}
        try:
            table = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        known = table.items() if isinstance(table, dict) else ()
        return {key: value for key, value in known if isinstance(value, bool)}
