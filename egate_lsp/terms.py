"""The user's terms: may a document's text go to a model that is not on this machine?

They come from the user's settings and answers alone. Files of a workspace are looked at only to keep more here.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pathspec

from egate_lsp.git_ignore import GitIgnore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from egate_lsp.config import Mode, Settings
    from egate_lsp.consent import Consents

# Two letters at least: "C:" is a drive.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
STRICTEST_FIRST: tuple[Mode, ...] = ("off", "ask", "auto")


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether a document's text may leave.

    Attributes:
        reason: for the user, where it may not, or not yet.
        folder: for "ask", whom the question is about.
    """

    verdict: Literal["yes", "no", "ask"]
    reason: str = ""
    folder: str = ""


class Terms:
    """The terms of one session. Looks at the file system; for use by one thread at a time.

    Attributes:
        folders: the editor's workspace folders. None known: no file is outside of them.
    """

    def __init__(self, settings: Settings, consents: Consents) -> None:
        self._privacy, self._policy = settings.privacy, settings.policy
        self._consents = consents
        self._never_send = patterns_of(settings.privacy.never_send)
        self._globs = [(patterns_of([glob]), mode) for glob, mode in settings.policy.globs.items()]
        self._git = GitIgnore()
        self.folders: tuple[str, ...] = ()

    def names_a_secret(self, path: str) -> bool:
        """True if privacy.never_send matches the path, or the file that it leads to by links."""
        return bool(path) and any(matches(self._never_send, name) for name in {path, os.path.realpath(path)})

    def permission(self, path: str, language: str) -> Permission:
        """May the text of this document leave? `path` as the editor names it; "" for text without a file."""
        if self.names_a_secret(path):
            return Permission("no", "this file matches privacy.never_send")
        scheme = bool(_SCHEME.match(path))
        placed = bool(path) and os.path.isabs(path) and not scheme
        real = os.path.realpath(path) if placed else path
        folders = [os.path.realpath(folder) for folder in self.folders]
        home = next((folder for folder in sorted(folders, key=len, reverse=True) if _is_within(real, folder)), "")
        if folders and not home and (placed or scheme) and self._privacy.outside_workspace == "keep":
            return Permission("no", "this file is outside of the workspace (privacy.outside_workspace)")
        if placed and self._privacy.gitignored == "keep" and self._is_ignored(path, real, home):
            return Permission("no", "git ignores this file (privacy.gitignored)")
        mode, why = self._mode(path, real, language)
        if mode == "ask":
            folder = home or (os.path.dirname(real) if placed else "")
            known = self._consents.of(folder)
            if known is None:
                return Permission("ask", "you have not been asked yet whether lines of this folder may leave", folder)
            mode, why = ("auto", "") if known else ("off", "your answer for this folder")
        return Permission("no", f"the target is off here ({why})") if mode == "off" else Permission("yes")

    def _is_ignored(self, path: str, real: str, home: str) -> bool:
        # Also where the file stands by its own name: a link may lead out of the folder that ignores it.
        named = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        return any(self._git.ignores(name, home) for name in {real, named})

    def _mode(self, path: str, real: str, language: str) -> tuple[Mode, str]:
        policy = self._policy
        matching = {mode for spec, mode in self._globs if matches(spec, path) or matches(spec, real)}
        if matching:
            return next(mode for mode in STRICTEST_FIRST if mode in matching), "policy.globs"
        inside = [
            (len(folder), mode)
            for name, mode in policy.folders.items()
            if _is_within(real, folder := os.path.realpath(os.path.expanduser(name)))
        ]
        if inside:
            return max(inside)[1], "policy.folders"
        if language in policy.languages:
            return policy.languages[language], "policy.languages"
        return policy.target, "policy.target"


def patterns_of(lines: Sequence[str]) -> pathspec.GitIgnoreSpec:
    """Patterns as in a .gitignore."""
    return pathspec.GitIgnoreSpec.from_lines(lines)


def matches(patterns: pathspec.GitIgnoreSpec, path: str) -> bool:
    """Does a pattern match, as written or in lower case? On some systems `.ENV` is `.env`. A query behind
    the name is none of it."""
    name = path.replace("\\", "/")
    if _SCHEME.match(name):
        name = re.split(r"[?#]", name.partition(":")[2])[0]
    name = name.lstrip("/")
    return bool(name) and (patterns.match_file(name) or patterns.match_file(name.lower()))


def _is_within(path: str, folder: str) -> bool:
    return Path(path).is_relative_to(folder)
