"""Whether a completion is right, remembered on disk: a text is tested once."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from egate_lsp.evaluation import sandbox

if TYPE_CHECKING:
    from pathlib import Path

    from egate_lsp.evaluation.problems import Problem


class Verdicts:
    """By its problem's tests where it has some, else by equality with the author's text."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._known: dict[str, bool] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._known = {}
        self._unsaved = 0

    def right(self, problem: Problem, completion: str) -> bool:
        """Is this completion right?"""
        if problem.tests is None:
            return problem.is_exact(completion)
        text = json.dumps([problem.program(completion), problem.tests])
        key = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
        if key not in self._known:
            self._known[key] = bool(sandbox.passes(problem, completion))
            self._unsaved += 1
            if self._unsaved >= 20:
                self.save()
        return self._known[key]

    def save(self) -> None:
        """Write what is known."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(self._known), encoding="utf-8")
        self._unsaved = 0
