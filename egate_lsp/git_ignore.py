"""Does git ignore a file? By the .gitignore files from the repository's root down, without a git process.

Answers err on the side of "ignored": a .gitignore that cannot be read, or is no plain file, ignores all below it; and
where repositories stand in one another in a workspace, each may ignore the file, so that a `.git` put into a folder
frees nothing. Above the workspace only the innermost counts: people keep their home directory in git and ignore all.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pathspec

MAX_BYTES = 1_000_000
REMEMBERED = 512  # files of patterns

_Stamp = tuple[int, int, int]


class GitIgnore:
    """Reads files of patterns when they are first needed or have changed; for use by one thread at a time."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[_Stamp, pathspec.GitIgnoreSpec | None]] = {}
        # The user's file for all repositories.
        self._own = os.path.join(os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config"), "git", "ignore")

    def ignores(self, path: str, top: str = "", *, folder: bool = False) -> bool:
        """Is the file ignored by a repository that holds it, or by a .gitignore in the workspace folder `top` or below?

        `path` and `top` are absolute and without links; without a `top` every repository counts. `folder`: the path is
        that of a folder, and all below it is meant.
        """
        # What stands in a folder is ignored with it, whatever its name.
        parts = (*Path(path).parts, "") if folder else Path(path).parts
        if ".git" in parts[:-1]:
            return True
        folders = [str(Path(*parts[:count])) for count in range(1, len(parts))]
        roots = [index for index, folder in enumerate(folders) if os.path.lexists(os.path.join(folder, ".git"))]
        if top in folders:
            start = folders.index(top)
            above = [index for index in roots if index <= start]
            roots = sorted({*above[-1:], start, *(index for index in roots if index > start)})
        return any(self._ignored_below(folders, parts, root) for root in roots)

    def _ignored_below(self, folders: list[str], parts: tuple[str, ...], root: int) -> bool:
        sources: list[tuple[int, str]] = [(root, path) for path in self._outer_files(folders[root])]
        for depth in range(root, len(folders)):
            sources.append((depth, os.path.join(folders[depth], ".gitignore")))
            # parts[depth + 1] stands in folders[depth]; all but the last are folders themselves.
            slash = "/" if depth + 2 < len(parts) else ""
            if parts[depth + 1] and self._verdict(sources, parts[: depth + 2], slash):
                return True
        return False

    def _verdict(self, sources: list[tuple[int, str]], parts: tuple[str, ...], slash: str) -> bool:
        """The last pattern that matches decides, the innermost file's first."""
        for depth, file in reversed(sources):
            spec = self._spec(file)
            if spec is None:
                continue
            if isinstance(spec, bool):
                return spec
            matched = _last_match(spec, "/".join(parts[depth + 1 :]) + slash)
            if matched is not None:
                return matched
        return False

    def _outer_files(self, root: str) -> list[str]:
        """Of the lowest rank first: the user's own, then the repository's private one."""
        return [self._own, os.path.join(root, ".git", "info", "exclude")]

    def _spec(self, file: str) -> pathspec.GitIgnoreSpec | bool | None:
        """The file's patterns; None if there is no such file, True if it is there and cannot be used."""
        try:
            # git does not follow links to a .gitignore either. The user's own file is the user's affair.
            found = os.stat(file) if file == self._own else os.lstat(file)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            return True
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        if (kept := self._known.get(file)) is not None and kept[0] == stamp:
            return True if kept[1] is None else kept[1]
        spec = None
        if stat.S_ISREG(found.st_mode) and found.st_size <= MAX_BYTES:
            try:
                lines = Path(file).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
                spec = pathspec.GitIgnoreSpec.from_lines(lines)
            except (OSError, ValueError):
                spec = None
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[file] = (stamp, spec)
        return True if spec is None else spec


def _last_match(spec: pathspec.GitIgnoreSpec, path: str) -> bool | None:
    """Does the last pattern that matches this very path ignore it? None: none matches.

    pathspec's own answer is another where patterns contradict one another: with `!*` before `keys/` it does not ignore
    the folder. And it lets a pattern that matches a folder speak for what is in it, of which each level was asked
    about here already.
    """
    for pattern in reversed(spec.patterns):
        if pattern.include is None or pattern.regex is None:  # a comment, an empty line
            continue
        # The one group that a pattern may have is the slash after a folder that it matches.
        if any(match.lastindex is None or match.end() == len(path) for match in pattern.regex.finditer(path)):
            return bool(pattern.include)
    return None
