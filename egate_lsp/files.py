"""Writing a file so that it is never seen half written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def replace(path: Path, text: str) -> None:
    """Put `text` into the file at once; its folder is made, a link is followed, and the mode of the file stays.

    Raises:
        OSError: it cannot be written; what was there is untouched.
    """
    target = path.resolve() if path.is_symlink() else path
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=target.parent, delete=False, encoding="utf-8") as file:
        file.write(text)
    if target.exists():
        Path(file.name).chmod(target.stat().st_mode & 0o777)
    os.replace(file.name, target)
