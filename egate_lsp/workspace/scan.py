"""The files of a workspace that may be shown elsewhere in it: text in a known language, not ignored, no secrets.

Nobody follows links, so nothing from outside of the folder comes in. No git process is asked: a folder's own git
configuration can name programs to run, and `git_ignore` knows what git would say.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from egate_lsp import languages
from egate_lsp.git_ignore import GitIgnore
from egate_lsp.terms import matches, patterns_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Where dependencies and what was built stand, also in folders that are in no repository.
SKIPPED_FOLDERS = {"node_modules", "__pycache__", "venv", "env", "build", "dist", "target", "vendor", "site-packages"}
PROSE = {"markdown", "json", "yaml", "toml", "css"}  # not code that goes on in another file as it does here
LONGEST_LINE = 1000  # characters; minified code has longer ones


@dataclass(frozen=True, slots=True)
class Limits:
    """What is left out for its size.

    Attributes:
        file_bytes: of one file.
        files: of the workspace; what the walk comes to later is left out.
        total_bytes: of all files together.
    """

    file_bytes: int = 256_000
    files: int = 20_000
    total_bytes: int = 60_000_000


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells that a file has changed."""

    size: int
    mtime_ns: int


class Scan:
    """The rules for one workspace folder; for use by one thread at a time."""

    def __init__(self, root: str, never_send: Sequence[str], limits: Limits) -> None:
        """`root`: the folder, by any of its names."""
        self.root = os.path.realpath(root)
        self._secret = patterns_of(never_send)
        self._git = GitIgnore()
        self._limits = limits

    def files(self) -> Iterator[tuple[str, Stamp]]:
        """Paths with slashes, relative to the root, in the order of their names, a folder's files before its
        folders. A folder that cannot be read has none."""
        return (step for step in self.steps() if step is not None)

    def steps(self) -> Iterator[tuple[str, Stamp] | None]:
        """The same, with None for each folder and for each file that is left out: a pause for whoever must not be away
        for long, also where thousands of them are."""
        count = total = 0
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            names, inner = self._entries(folder)
            yield None
            for name in names:
                stamp = self.stamp(name)
                if stamp is None or total + stamp.size > self._limits.total_bytes:
                    yield None
                    continue
                count, total = count + 1, total + stamp.size
                yield name, stamp
                if count >= self._limits.files:
                    return
            waiting.extend(reversed(inner))

    def stamp(self, name: str) -> Stamp | None:
        """Of a file by its path relative to the root; None for what is not to be read."""
        language = languages.by_path(name)
        if language in {"", *PROSE} or matches(self._secret, name):
            return None
        path = os.path.join(self.root, name)
        try:
            found = os.lstat(path)
        except (OSError, ValueError):
            return None
        if not stat.S_ISREG(found.st_mode) or not 0 < found.st_size <= self._limits.file_bytes:
            return None
        if matches(self._secret, path) or self._git.ignores(path, self.root):
            return None
        return Stamp(found.st_size, found.st_mtime_ns)

    def admits(self, name: str) -> bool:
        """May a file of this path be read, by the folders in which it stands? For files that are told one by one."""
        parts = name.split("/")
        folders = ["/".join(parts[:count]) for count in range(1, len(parts))]
        return (
            all(part not in {"", ".", ".."} for part in parts)
            and not any(_is_skipped(part) for part in parts[:-1])
            and not any(os.path.islink(os.path.join(self.root, folder)) for folder in folders)
        )

    def text(self, name: str) -> str | None:
        """A file's text with LF line breaks; None for what is no text, or no longer there."""
        try:
            # Whatever it has become since it was looked at: no link is followed, and nothing can block.
            handle = os.open(os.path.join(self.root, name), os.O_RDONLY | _NO_FOLLOW)
            with open(handle, "rb") as file:
                data = file.read(self._limits.file_bytes + 1)
        except (OSError, ValueError):
            return None
        return None if len(data) > self._limits.file_bytes else decoded(data)

    def _entries(self, folder: str) -> tuple[list[str], list[str]]:
        """A folder's files and folders."""
        names, inner = [], []
        try:
            with os.scandir(os.path.join(self.root, folder)) as entries:
                for entry in entries:
                    name = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        if not _is_skipped(entry.name) and not self._git.ignores(entry.path, self.root, folder=True):
                            inner.append(name)
                    elif entry.is_file(follow_symlinks=False):
                        names.append(name)
        except OSError:
            pass
        return sorted(names), sorted(inner)


_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def decoded(data: bytes) -> str | None:
    """Text in UTF-8 or, with its mark, in UTF-16, with LF line breaks; None for anything else, and for text that
    nobody wrote by hand line by line."""
    encoding = "utf-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return None
    if "\0" in text:
        return None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return None if any(len(line) > LONGEST_LINE for line in text.split("\n")) else text


def _is_skipped(folder: str) -> bool:
    return folder.startswith(".") or folder in SKIPPED_FOLDERS
