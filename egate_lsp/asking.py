"""The editor's workspace folders, and the question whether lines of one may go to the target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException

from egate_lsp import lsp_values

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from egate_lsp import consent
    from egate_lsp.service import Service

ANSWERS: dict[str, consent.Answer] = {
    "Allow for this session": "session",
    "Always for this folder": "always",
    "Never": "never",
}


def folders_of(params: types.InitializeParams) -> list[str]:
    """Paths of the client's workspace folders."""
    if params.workspace_folders:
        return [lsp_values.path(folder.uri) for folder in params.workspace_folders]
    if params.root_uri:
        return [lsp_values.path(params.root_uri)]
    return [params.root_path] if params.root_path else []


def folders_after(folders: list[str], change: types.WorkspaceFoldersChangeEvent) -> list[str]:
    """The folders after the client has told of a change."""
    removed = {lsp_values.path(folder.uri) for folder in change.removed}
    return [*(folder for folder in folders if folder not in removed), *(lsp_values.path(f.uri) for f in change.added)]


async def question(
    show: Callable[[types.ShowMessageRequestParams], Awaitable[types.MessageActionItem | None]],
    service: Service,
    folder: str,
    where: str,
) -> None:
    """Ask the user about a folder and keep the answer; until then its lines stay here."""
    what = f"unsure lines of {folder or 'unnamed files'}, with the code around them,"
    actions = [types.MessageActionItem(title) for title in ANSWERS]
    message = f"egate-lsp: may {what} go to {where}?"
    try:
        chosen: Any = await show(types.ShowMessageRequestParams(types.MessageType.Info, message, actions))
    except JsonRpcException:  # a client that cannot ask
        chosen = None
    # Our protocol hands replies on as they came.
    title = chosen.get("title") if isinstance(chosen, dict) else getattr(chosen, "title", None)
    service.answered(folder, ANSWERS.get(str(title)))
