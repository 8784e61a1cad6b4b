"""LSP's values as ours: positions, changes, addresses, and what a completion is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from lsprotocol import types

from egate_lsp.documents import Change, Document, PositionEncoding


@dataclass(frozen=True, slots=True)
class Ask:
    """What a completion is asked for.

    Attributes:
        text, offset: the document as the models see it, with the cursor.
        cursor: `(row, column)` in code points in the document as it is.
        start: where the suggestion's text is to begin.
        lead: what the suggestion's text begins with, before the completion's.
        replaced: what stands from `start` to the cursor.
    """

    document: Document
    text: str
    offset: int
    cursor: tuple[int, int]
    start: tuple[int, int]
    lead: str = ""
    replaced: str = ""

    @classmethod
    def at(cls, document: Document, position: types.Position, encoding: PositionEncoding) -> Ask:
        """At a client's position."""
        offset = document.offset_at(position.line, position.character, encoding)
        place = document.place_at(position.line, position.character, encoding)
        return cls(document, document.text, offset, place, place)

    def with_entry(self, spot: types.Range, entry: str, encoding: PositionEncoding) -> Ask:
        """As if an entry of the completion menu had taken the place of what stands at `spot`."""
        start = self.document.offset_at(spot.start.line, spot.start.character, encoding)
        end = max(self.document.offset_at(spot.end.line, spot.end.character, encoding), start)
        return replace(
            self,
            text=self.text[:start] + entry + self.text[end:],
            offset=start + len(entry),
            start=self.document.place_at(spot.start.line, spot.start.character, encoding),
            lead=entry,
            replaced=self.text[start:end],
        )

    def from_word(self, word: str) -> Ask:
        """With a suggestion that begins with the text of the cursor's line directly before it."""
        row, column = self.start
        return replace(self, start=(row, column - len(word)), lead=word, replaced=word)


def encoding(capabilities: types.ClientCapabilities) -> PositionEncoding:
    """The client's first choice that we know, as pygls chooses it too; UTF-16 if it names none."""
    offered = capabilities.general.position_encodings if capabilities.general else None
    for name in offered or ():
        value = name.value if isinstance(name, types.PositionEncodingKind) else str(name)
        if value in set(PositionEncoding):
            return PositionEncoding(value)
    return PositionEncoding.UTF16


def shows_inline(capabilities: Any) -> bool:
    """Whether the client declares inline completion. lsp-mode declares it by the key alone, with null behind it."""
    text_document = capabilities.get("textDocument") if isinstance(capabilities, dict) else None
    return isinstance(text_document, dict) and "inlineCompletion" in text_document


def opens_empty_menus(initialize_params: dict[str, Any]) -> bool:
    """Helix opens its menu with the first list that has entries or is incomplete, even an empty one, and then drops
    what a slower server answers. To other clients an empty list must say that it is worth asking again: lsp-mode
    keeps a complete one until the word ends."""
    client = initialize_params.get("clientInfo")
    return isinstance(client, dict) and client.get("name") == "helix"


def change(event: types.TextDocumentContentChangeEvent) -> Change:
    """One event of a didChange."""
    if isinstance(event, types.TextDocumentContentChangePartial):
        start, end = event.range.start, event.range.end
        return Change(event.text, (start.line, start.character), (end.line, end.character))
    return Change(event.text)


def path(uri: str) -> str:
    """The file path that a document's address names; for an address of another kind, that."""
    parts = urlsplit(uri)
    name = unquote(parts.path) if parts.scheme in {"file", "untitled", "vscode-notebook-cell"} else unquote(uri)
    # file:///C:/x on Windows
    return str(Path(name[1:])) if len(name) > 2 and name[0] == "/" and name[2] == ":" else name
