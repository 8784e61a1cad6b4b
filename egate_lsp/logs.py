"""The log file. It never holds a document's text: pygls, which would log every message, is kept quiet."""

from __future__ import annotations

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

import platformdirs

MAX_BYTES = 2_000_000
KEPT_FILES = 2
_FIXED: list[str] = []  # the command line's level, if there was one
_FILE: list[str] = []  # what is written to, once logging has started


def default_file() -> Path:
    """`server.log` in the user's log directory."""
    return Path(platformdirs.user_log_dir("egate-lsp", appauthor=False)) / "server.log"


def start(path: Path | None, level: str | None) -> None:
    """Log to the file from now on; without a writable file, not at all (standard output is the protocol's).

    A `level` given here, on the command line, wins over the settings' later.
    """
    root = logging.getLogger()
    root.setLevel((level or "info").upper())
    if level is not None:
        _FIXED.append(level)
    target = path or default_file()
    handler: logging.Handler
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(target, maxBytes=MAX_BYTES, backupCount=KEPT_FILES, encoding="utf-8", delay=True)
        _FILE[:] = [str(target.absolute())]
    except OSError:
        handler = logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s"))
    root.addHandler(handler)
    for name in ("pygls", "asyncio", "websockets", "openai", "httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def current_file() -> str | None:
    """The log file's path; None where nothing is logged to a file."""
    return _FILE[0] if _FILE else None


def set_level(level: str) -> None:
    """What the settings want logged."""
    if not _FIXED:
        logging.getLogger().setLevel(level.upper())
