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


class OpenDocument:
    """A document that the session holds open."""

    def __init__(self, client: LanguageClient, uri: str) -> None:
        self._client = client
        self._uri = uri
        self._version = 0

    def insert(self, line: int, character: int, text: str) -> None:
        """Type at a position (0-based, UTF-16)."""
        self._version += 1
        at = types.Position(line, character)
        change = types.TextDocumentContentChangePartial(types.Range(at, at), text)
        document = types.VersionedTextDocumentIdentifier(self._version, self._uri)
        self._client.text_document_did_change(types.DidChangeTextDocumentParams(document, [change]))

    async def propose(self, line: int, character: int, *, explain: bool = True) -> Proposal:
        """Ask, as while typing, for the inline completion at a position (0-based, UTF-16)."""
        context = types.InlineCompletionContext(types.InlineCompletionTriggerKind.Automatic)
        document = types.TextDocumentIdentifier(self._uri)
        result = await self._client.text_document_inline_completion_async(
            types.InlineCompletionParams(context, document, types.Position(line, character))
        )
        items = result.items if isinstance(result, types.InlineCompletionList) else tuple(result or ())
        insert = items[0].insert_text if items else ""
        explanation = None
        if explain:
            command = types.ExecuteCommandParams(command="egate.explain", arguments=[])
            explanation = await self._client.workspace_execute_command_async(command)
        return Proposal(insert if isinstance(insert, str) else insert.value, explanation or {})

    def close(self) -> None:
        """Tell the server that it is closed."""
        document = types.TextDocumentIdentifier(self._uri)
        self._client.text_document_did_close(types.DidCloseTextDocumentParams(document))


class Session:
    """An initialised connection to `egate-lsp serve`."""

    def __init__(self, client: LanguageClient) -> None:
        self._client = client
        self._opened = 0

    def open(self, name: str, language: str, text: str) -> OpenDocument:
        """Open a document under a name of its own."""
        self._opened += 1
        uri = f"file:///egate-session/{self._opened}/{name}"
        item = types.TextDocumentItem(uri, language, 0, text)
        self._client.text_document_did_open(types.DidOpenTextDocumentParams(item))
        return OpenDocument(self._client, uri)

    async def propose(self, name: str, language: str, text: str, line: int, character: int) -> Proposal:
        """Open a document, ask once, close it."""
        document = self.open(name, language, text)
        try:
            return await document.propose(line, character)
        finally:
            document.close()


@asynccontextmanager
async def session(options: dict[str, Any], *, arguments: Sequence[str] = ()) -> AsyncIterator[Session]:
    """Start the server as an editor does, with these initializationOptions; shut it down properly at the end. What is
    tried here is no work of the user's, so the ledger does not have it, unless the options say otherwise."""
    options = {"ledger": {"enabled": False}, **options}
    client = LanguageClient("egate-lsp-client", "1")

    def shown(params: types.ShowMessageParams) -> None:
        sys.stderr.write(f"{params.message}\n")

    client.feature(types.WINDOW_SHOW_MESSAGE)(shown)
    await client.start_io(sys.executable, "-P", "-m", "egate_lsp", "serve", *arguments)
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
