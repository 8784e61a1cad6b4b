"""Results on disk, one JSON object a line, appended as they come: an interrupted measurement goes on where it was."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


class Journal:
    """A file of records. It need not exist."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def records(self) -> Iterator[Any]:
        """All that can be read, oldest first; the line that was being written when a run was ended is passed over."""
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            try:
                yield json.loads(line)
            except ValueError:
                continue

    def add(self, record: Mapping[str, Any]) -> None:
        """Append."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def delete(self) -> None:
        """Forget them all."""
        self._path.unlink(missing_ok=True)
