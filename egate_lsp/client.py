"""A minimal LSP client of the real server process: what the demo and `doctor` use in an editor's place."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lsprotocol import types
from pygls.lsp.client import LanguageClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

SHUTDOWN_PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class Proposal:
    """What an editor would show at a place.

    Attributes:
        text: to insert at the cursor; "" if there is nothing to show.
        explanation: see `explanation.as_json`.
    """

    text: str
    explanation: dict[str, Any]


class Session:
    """An initialised connection to `egate-lsp serve`."""

    def __init__(self, client: LanguageClient) -> None:
        self._client = client
        self._opened = 0

    async def propose(self, name: str, language: str, text: str, line: int, character: int) -> Proposal:
        """Open a document, ask by hand for the inline completion at a position (0-based, UTF-16), close it."""
        self._opened += 1
        uri = f"file:///egate-demo/{self._opened}/{name}"
        self._client.text_document_did_open(
            types.DidOpenTextDocumentParams(types.TextDocumentItem(uri, language, 0, text))
        )
        document = types.TextDocumentIdentifier(uri)
        result = await self._client.text_document_inline_completion_async(
            types.InlineCompletionParams(
                types.InlineCompletionContext(types.InlineCompletionTriggerKind.Invoked),
                document,
                types.Position(line, character),
            )
        )
        items = result.items if isinstance(result, types.InlineCompletionList) else tuple(result or ())
        explanation = await self._client.workspace_execute_command_async(
            types.ExecuteCommandParams(command="egate.explain", arguments=[])
        )
        self._client.text_document_did_close(types.DidCloseTextDocumentParams(document))
        insert = items[0].insert_text if items else ""
        return Proposal(insert if isinstance(insert, str) else insert.value, explanation or {})


@asynccontextmanager
async def session(options: dict[str, Any], *, arguments: Sequence[str] = ()) -> AsyncIterator[Session]:
    """Start the server as an editor does, with these initializationOptions; shut it down properly at the end."""
    client = LanguageClient("egate-lsp-client", "1")

    def shown(params: types.ShowMessageParams) -> None:
        sys.stderr.write(f"{params.message}\n")

    client.feature(types.WINDOW_SHOW_MESSAGE)(shown)
    await client.start_io(sys.executable, "-m", "egate_lsp", "serve", *arguments)
    try:
        await client.initialize_async(
            types.InitializeParams(
                capabilities=types.ClientCapabilities(
                    text_document=types.TextDocumentClientCapabilities(
                        inline_completion=types.InlineCompletionClientCapabilities()
                    )
                ),
                initialization_options=options,
                process_id=None,
            )
        )
        client.initialized(types.InitializedParams())
        yield Session(client)
    finally:
        async with asyncio.timeout(SHUTDOWN_PATIENCE_S):
            await client.shutdown_async(None)
            client.exit(None)
        await client.stop()  # type: ignore[no-untyped-call]
