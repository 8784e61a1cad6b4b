"""Notebooks: each cell is a document, and the cells above the cursor's are the beginning of one text."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from lsprotocol import types

if TYPE_CHECKING:
    from collections.abc import Callable

    from egate_lsp.documents import Document

log = logging.getLogger(__name__)

# Cells of all notebooks, of whatever kind; which of them are code is told by their language.
SYNC = types.NotebookDocumentSyncOptions([types.NotebookDocumentFilterWithNotebook(notebook="*")])
MOST_CHARS = 50_000  # of the cells above


class KeepsDocuments(Protocol):
    """Where the cells' texts are kept."""

    def did_open(self, params: types.DidOpenTextDocumentParams) -> None: ...

    def did_change(self, params: types.DidChangeTextDocumentParams) -> None: ...

    def did_close(self, params: types.DidCloseTextDocumentParams) -> None: ...


class Notebooks:
    """Which cells belong together, in which order."""

    def __init__(self, server: KeepsDocuments, document: Callable[[str], Document | None]) -> None:
        """`document`: an open one by its address."""
        self._server = server
        self._document = document
        self._cells: dict[str, list[str]] = {}

    def did_open(self, params: types.DidOpenNotebookDocumentParams) -> None:
        notebook = params.notebook_document
        self._cells[notebook.uri] = [cell.document for cell in notebook.cells]
        for item in params.cell_text_documents:
            self._server.did_open(types.DidOpenTextDocumentParams(item))

    def did_change(self, params: types.DidChangeNotebookDocumentParams) -> None:
        cells = self._cells.get(params.notebook_document.uri)
        change = params.change.cells
        if cells is None or change is None:
            if cells is None:
                log.warning("a change of a notebook that is not open was ignored")
            return
        if (structure := change.structure) is not None:
            at = max(structure.array.start, 0)
            cells[at : at + structure.array.delete_count] = [cell.document for cell in structure.array.cells or ()]
            for item in structure.did_open or ():
                self._server.did_open(types.DidOpenTextDocumentParams(item))
            for closed in structure.did_close or ():
                self._server.did_close(types.DidCloseTextDocumentParams(closed))
        for content in change.text_content or ():
            self._server.did_change(types.DidChangeTextDocumentParams(content.document, content.changes))

    def did_close(self, params: types.DidCloseNotebookDocumentParams) -> None:
        self._cells.pop(params.notebook_document.uri, None)
        for closed in params.cell_text_documents:
            self._server.did_close(types.DidCloseTextDocumentParams(closed))

    def above(self, document: Document) -> str:
        """The cells above a cell that are in its language, the first at the top, each with an empty line after it; ""
        for what is no cell. Of very many only the last."""
        cells = next((cells for cells in self._cells.values() if document.uri in cells), [])
        texts: list[str] = []
        room = MOST_CHARS
        for uri in reversed(cells[: cells.index(document.uri)] if cells else []):
            cell = self._document(uri)
            if cell is None or cell.language != document.language or not cell.text.strip():
                continue
            texts.append(cell.text.rstrip() + "\n\n")
            room -= len(texts[-1])
            if room < 0:
                texts.pop()
                break
        return "".join(reversed(texts))
