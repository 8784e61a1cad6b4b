"""Files as models are told them: by their path below the workspace folder."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def home(file: str, folders: Sequence[str]) -> str:
    """The innermost folder that holds the file; "" if none does."""
    holding = [folder for folder in folders if file and PurePath(file).is_relative_to(folder)]
    return max(holding, key=len, default="")


def shown(file: str, folders: Sequence[str]) -> str:
    """The path below that folder, with slashes; the name alone where no folder holds the file."""
    folder = home(file, folders)
    return PurePath(file).relative_to(folder).as_posix() if folder else PurePath(file).name
