"""Work-done progress in the editor while a model is fetched or loaded."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Any

from lsprotocol import types

if TYPE_CHECKING:
    from pygls.lsp.server import LanguageServer

    from egate_lsp.status import Status


def is_wanted(capabilities: Any) -> bool:
    """Can the client of these capabilities show it?"""
    window = capabilities.get("window") if isinstance(capabilities, dict) else None
    return isinstance(window, dict) and window.get("workDoneProgress") is True


class Progress:
    """Work-done progress while a model is fetched or loaded. Its requests to the client are in a task of their own,
    never in one that may be cancelled: pygls would trip over the reply."""

    def __init__(self, server: LanguageServer) -> None:
        self._server = server
        self._token: str | None = None
        self._count = itertools.count(1)

    def show(self, status: Status) -> None:
        active = status.state in {"fetching", "loading"}
        progress = self._server.work_done_progress
        title = "Fetching the model" if status.state == "fetching" else "Loading the model"
        percentage = None if status.progress is None else round(status.progress * 100)
        if active and self._token is None:
            self._token = f"egate-{os.getpid()}-{next(self._count)}"
            self._server.protocol.send_request(
                types.WINDOW_WORK_DONE_PROGRESS_CREATE, types.WorkDoneProgressCreateParams(self._token)
            )
            begin = types.WorkDoneProgressBegin(f"egate-lsp: {title}", message=status.reason, percentage=percentage)
            progress.begin(self._token, begin)
        elif active and self._token is not None:
            report = types.WorkDoneProgressReport(message=status.reason, percentage=percentage)
            progress.report(self._token, report)
        elif self._token is not None:
            progress.end(self._token, types.WorkDoneProgressEnd())
            self._token = None
