"""What the controllers of the gate learnt, kept from one session to the next."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from egate_lsp import files
from egate_lsp.pace import Pace

if TYPE_CHECKING:
    from egate_lsp.calibration import Points

log = logging.getLogger(__name__)

SAVE_EVERY = 50  # lines
DAY_S = 86_400.0


def default_path() -> Path:
    """In the user's state directory."""
    return Path(platformdirs.user_state_dir("egate-lsp", appauthor=False)) / "pace.json"


class PaceFile:
    """One controller's place in the file. Of several servers the last to save wins: each holds its own rate meanwhile.

    Nothing here raises: what cannot be read is begun anew, what cannot be written is logged.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        self._saved = 0

    def start(self, wanted: float, points: Points) -> Pace:
        """The controller, where it was left."""
        known = self._read().get(self._name)
        known = known if isinstance(known, dict) else {}
        saved = known.get("saved")
        days = (time.time() - saved) / DAY_S if isinstance(saved, int | float) else 0.0
        return Pace.start(wanted, points, known, days=days)

    def keep(self, pace: Pace, *, now: bool = False) -> None:
        """Save the state if enough has been seen since the last time, or `now`."""
        if pace.lines == self._saved or (not now and pace.lines < self._saved + SAVE_EVERY):
            return
        self._saved = pace.lines
        table = self._read() | {self._name: {**pace.state(), "saved": round(time.time())}}
        try:
            files.replace(self._path, json.dumps(table))
        except OSError as error:
            log.warning("%s cannot be written: %s", self._path, error)

    def _read(self) -> dict[str, Any]:
        try:
            table = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return table if isinstance(table, dict) else {}
