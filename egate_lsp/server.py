"""The language server: LSP on one side, `service` on the other. The only place that knows LSP's types and UTF-16."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import logging
import os
from collections import OrderedDict
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from lsprotocol import types
from pygls.lsp.server import LanguageServer
from pygls.protocol import default_converter

from egate_lsp import __version__, logs, pace_file
from egate_lsp.documents import Change, Document, PositionEncoding, word_before
from egate_lsp.errors import EgateError
from egate_lsp.explanation import as_json
from egate_lsp.menu import menu_entry
from egate_lsp.protocol import EgateProtocol

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from egate_lsp.config import Settings
    from egate_lsp.service import Service, Snapshot, Status
    from egate_lsp.values import Completion

log = logging.getLogger(__name__)

ACCEPTED, DISMISSED, EXPLAIN, RESTART, TOGGLE, PAUSE_TARGET, STATS = (
    "egate.accepted", "egate.dismissed", "egate.explain", "egate.restart", "egate.toggle", "egate.pauseTarget",
    "egate.stats",
)  # fmt: skip
REMEMBERED = 64  # completions that can still be explained or accepted
PARENT_POLL_S = 5.0
SECTIONS = ("egate", "egate-lsp", "egate_lsp")


class EgateServer(LanguageServer):
    """One client's server. `run` by a transport (`transport`)."""

    protocol: EgateProtocol

    def __init__(self, *, service_factory: Callable[..., Service] | None = None) -> None:
        super().__init__("egate-lsp", __version__, protocol_cls=EgateProtocol, converter_factory=default_converter)
        self._service_factory = service_factory
        self._service: Service | None = None
        self._starting: asyncio.Task[None] | None = None
        self._settings: Settings | None = None
        self._editor_options: dict[str, Any] = {}
        self._documents: dict[str, Document] = {}
        self._encoding = PositionEncoding.UTF16
        self._running: dict[str, asyncio.Task[Completion]] = {}
        self._made: OrderedDict[str, tuple[Completion, Snapshot]] = OrderedDict()
        self._ids = itertools.count(1)
        self._shown_problems: set[str] = set()
        self._enabled = True
        self._progress: _Progress | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._register()

    # ── life ────────────────────────────────────────────────────────────────────────────────────────────────

    def _register(self) -> None:
        features: dict[str, Callable[..., Any]] = {
            types.INITIALIZE: self._initialize,
            types.INITIALIZED: self._initialized,
            types.WORKSPACE_DID_CHANGE_CONFIGURATION: self._did_change_configuration,
            "egate/status": self._status_request,
            "egate/explain": self._explain_request,
            "egate/documentHash": self._document_hash,
            # What Copilot's clients tell of the user's doings; nothing is made of it yet.
            "textDocument/didFocus": _ignore,
            "textDocument/didShowCompletion": _ignore,
            "textDocument/didPartiallyAcceptCompletion": _ignore,
        }
        commands: dict[str, Callable[..., Any]] = {
            ACCEPTED: self._accepted,
            DISMISSED: self._dismissed,
            EXPLAIN: self._explain,
            RESTART: self._restart,
            TOGGLE: self._toggle,
            PAUSE_TARGET: self._pause_target,
            STATS: self._stats,
        }
        for name, handler in features.items():
            self.feature(name)(_function(handler))
        for name, handler in commands.items():
            self.command(name)(_function(handler))

    def _initialize(self, params: types.InitializeParams) -> None:
        if _shows_inline(self.protocol.initialize_params.get("capabilities")):
            options = types.InlineCompletionOptions()  # without it pygls does not advertise the feature
            self.feature(types.TEXT_DOCUMENT_INLINE_COMPLETION, options)(_function(self._inline_completion))
        else:
            self.feature(types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions())(_function(self._completion))
        self._encoding = _encoding(params.capabilities)
        self._editor_options = _unwrapped(self.protocol.initialize_params.get("initializationOptions"))
        client = params.client_info
        log.info("egate-lsp %s for %s, %s", __version__, client.name if client else "a client", self._encoding.value)
        if params.process_id is not None:
            self._spawn(self._watch_parent(params.process_id))

    def _initialized(self, _params: types.InitializedParams) -> None:
        self._configure()

    async def _watch_parent(self, process_id: int) -> None:
        """End when the editor has died without closing our input (it may have given it to another process)."""
        import psutil

        while psutil.pid_exists(process_id):  # noqa: ASYNC110  # no event tells of another process's end everywhere
            await asyncio.sleep(PARENT_POLL_S)
        log.warning("the editor's process is gone")
        self.protocol.on_exit(1)

    async def aclose(self) -> None:
        """End all work; no process stays behind."""
        for task in (*self._running.values(), *self._tasks):
            task.cancel()
        await asyncio.gather(*self._running.values(), *self._tasks, return_exceptions=True)
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        if self._service is not None:
            await self._service.aclose()
            self._service = None

    def report_server_error(self, error: Exception, source: Any) -> None:
        """No pop-up: requests have their replies, and a client's odd notification is no news to the user."""
        log.error("%s in %s", type(error).__name__, getattr(source, "__name__", source))

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # ── settings ────────────────────────────────────────────────────────────────────────────────────────────

    def _did_change_configuration(self, _params: types.DidChangeConfigurationParams) -> None:
        options = _unwrapped(self.protocol.last_configuration)
        if options:
            self._editor_options = options
            self._configure()

    def _configure(self) -> None:
        # Imported after the reply to `initialize`, which need not wait for pydantic.
        from egate_lsp.config import read_user_file, resolve, user_file

        table, problems = read_user_file()
        settings, found = resolve([(f"user file {user_file()}", table), ("editor", self._editor_options)])
        for problem in (*problems, *found):
            self._show_once(f"egate-lsp: {problem}. The default is used.")
        if settings == self._settings:
            return
        self._settings = settings
        logs.set_level(settings.log_level)
        former = self._starting
        self._starting = asyncio.get_running_loop().create_task(self._start_service(former), name="egate service")

    async def _start_service(self, former: asyncio.Task[None] | None) -> None:
        if former is not None:
            await asyncio.gather(former, return_exceptions=True)
        if self._service is not None:
            await self._service.aclose()
        factory = self._service_factory
        if factory is None:
            # Not on the event loop: the first import takes a moment, and the client has requests.
            module = await asyncio.to_thread(importlib.import_module, "egate_lsp.service")
            factory = module.Service
        self._service = factory(self._settings, on_status=self._status_changed, pace_path=pace_file.default_path())
        await self._service.start()

    def _status_changed(self, status: Status) -> None:
        if status.state == "error":
            self._show_once(f"egate-lsp: {status.reason}", types.MessageType.Error)
        capabilities = self.protocol.initialize_params.get("capabilities", {})
        experimental = capabilities.get("experimental") if isinstance(capabilities, dict) else None
        if isinstance(experimental, dict) and experimental.get("egateStatus"):
            self.protocol.notify("egate/statusChanged", asdict(status))
        if _can_show_progress(capabilities):
            if self._progress is None:
                self._progress = _Progress(self)
            self._progress.show(status)

    def _show_once(self, message: str, kind: types.MessageType = types.MessageType.Warning) -> None:
        log.warning("shown to the user: %s", message)
        if message not in self._shown_problems:
            self._shown_problems.add(message)
            self.window_show_message(types.ShowMessageParams(kind, message))

    # ── documents ───────────────────────────────────────────────────────────────────────────────────────────

    def did_open(self, params: types.DidOpenTextDocumentParams) -> None:
        item = params.text_document
        self._documents[item.uri] = Document(item.uri, item.version, item.language_id, item.text)

    def did_change(self, params: types.DidChangeTextDocumentParams) -> None:
        document = self._documents.get(params.text_document.uri)
        if document is None:
            log.warning("a change of a document that is not open was ignored")
            return
        for change in params.content_changes:
            document.apply(_change(change), self._encoding)
        document.version = params.text_document.version

    def did_close(self, params: types.DidCloseTextDocumentParams) -> None:
        self._documents.pop(params.text_document.uri, None)
        if (running := self._running.pop(params.text_document.uri, None)) is not None:
            running.cancel()

    def _document_hash(self, params: dict[str, Any]) -> dict[str, Any] | None:
        """For tests and bug reports: is the server's text the client's?"""
        import hashlib

        document = self._documents.get(_uri(params))
        if document is None:
            return None
        raw = document.text.encode("utf-8", "surrogatepass")
        return {"version": document.version, "sha256": hashlib.sha256(raw).hexdigest(), "length": len(document.text)}

    # ── completions ─────────────────────────────────────────────────────────────────────────────────────────

    async def _inline_completion(self, params: types.InlineCompletionParams) -> types.InlineCompletionList:
        nothing = types.InlineCompletionList(items=[])
        document = self._documents.get(params.text_document.uri)
        if document is None or not self._enabled:
            return nothing
        at = params.position
        offset = document.offset_at(at.line, at.character, self._encoding)
        text, spot = document.text, types.Range(at, at)
        typed = ""
        if (selected := params.context.selected_completion_info) is not None:
            # As if the entry of the completion menu had been taken already.
            start = document.offset_at(selected.range.start.line, selected.range.start.character, self._encoding)
            end = document.offset_at(selected.range.end.line, selected.range.end.character, self._encoding)
            text = text[:start] + selected.text + text[max(end, start) :]
            offset, spot, typed = start + len(selected.text), selected.range, selected.text
        invoked = params.context.trigger_kind == types.InlineCompletionTriggerKind.Invoked
        made = await self._complete(document, text, offset, invoked=invoked)
        if made is None:
            return nothing
        key, completion = made
        # Line breaks stay LF even in a CRLF document: editors with inline completion keep lines, not line ends, and
        # Neovim would show a carriage return as text.
        inserted = typed + completion.text
        command = types.Command("Accepted", ACCEPTED, arguments=[key])
        return types.InlineCompletionList([types.InlineCompletionItem(inserted, range=spot, command=command)])

    async def _completion(self, params: types.CompletionParams) -> types.CompletionList:
        """For clients without inline completion: the text as an item of the menu."""
        again = types.CompletionTriggerKind.TriggerForIncompleteCompletions
        asked_again = params.context is not None and params.context.trigger_kind == again
        nothing = types.CompletionList(
            is_incomplete=asked_again or not _opens_empty_menus(self.protocol.initialize_params), items=[]
        )
        document = self._documents.get(params.text_document.uri)
        if document is None or not self._enabled:
            return nothing
        at = params.position
        offset = document.offset_at(at.line, at.character, self._encoding)
        text = document.text
        word = word_before(text[max(offset - 200, 0) : offset])
        start = types.Position(*document.position_at(offset - len(word), self._encoding))
        made = await self._complete(document, text, offset, invoked=False)
        if made is None:
            return nothing
        key, completion = made
        entry = menu_entry(completion, word=word, language=document.language, line_break=document.line_break)
        item = types.CompletionItem(
            label=entry.label,
            kind=types.CompletionItemKind.Text,
            detail=entry.detail,
            documentation=types.MarkupContent(types.MarkupKind.Markdown, entry.documentation),
            preselect=True,
            sort_text="!",  # before letters and digits; Emacs refuses a whole message for a NUL in it
            filter_text=entry.filter_text,
            text_edit=types.TextEdit(types.Range(start, at), entry.new_text),
            command=types.Command("Accepted", ACCEPTED, arguments=[key]),
        )
        return types.CompletionList(is_incomplete=True, items=[item])

    async def _complete(
        self, document: Document, text: str, offset: int, *, invoked: bool
    ) -> tuple[str, Completion] | None:
        """The completion with its key; None if there is nothing to show or a newer request took this one's place."""
        # The service's module is heavy, so it is imported by `_start_service`, off the event loop.
        if self._starting is None:
            self._configure()
        uri = document.uri
        work = asyncio.get_running_loop().create_task(
            self._work(text, offset, _path(uri), document.language, invoked=invoked), name="egate completion"
        )
        if (older := self._running.get(uri)) is not None:
            older.cancel()
        self._running[uri] = work
        try:
            completion = await work
        except asyncio.CancelledError:
            work.cancel()
            own = asyncio.current_task()
            if own is not None and own.cancelling():
                raise  # the client cancelled; pygls answers -32800
            return None
        except EgateError as error:
            if not error.retryable:
                self._show_once(f"egate-lsp: {error.explanation}", types.MessageType.Error)
            log.warning("no completion: %s", type(error).__name__)
            return None
        finally:
            if self._running.get(uri) is work:
                del self._running[uri]
        key = str(next(self._ids))
        service = importlib.import_module("egate_lsp.service")
        snapshot = service.Snapshot(text, offset, _path(uri), document.language)
        self._made[key] = (completion, snapshot)
        while len(self._made) > REMEMBERED:
            self._made.popitem(last=False)
        return (key, completion) if completion.text else None

    async def _work(self, text: str, offset: int, path: str, language: str, *, invoked: bool) -> Completion:
        assert self._starting is not None
        await asyncio.shield(self._starting)
        assert self._service is not None
        service = importlib.import_module("egate_lsp.service")
        completion: Completion = await self._service.complete(
            service.Snapshot(text, offset, path, language), invoked=invoked
        )
        return completion

    # ── commands and our own requests ───────────────────────────────────────────────────────────────────────

    def _accepted(self, *arguments: Any) -> None:
        made = self._made.get(str(arguments[0])) if arguments else None
        if made is not None and self._service is not None:
            self._service.accepted(*made)

    def _dismissed(self, *arguments: Any) -> None:
        """Of a completion by its key; without one, of the newest."""
        made = self._made.get(str(arguments[0]) if arguments else next(reversed(self._made), ""))
        if made is not None and self._service is not None:
            self._service.dismissed(made[1])

    def _explain(self, *arguments: Any) -> dict[str, Any] | None:
        key = str(arguments[0]) if arguments else next(reversed(self._made), "")
        made = self._made.get(key)
        return as_json(made[0]) if made is not None else None

    def _explain_request(self, params: dict[str, Any]) -> dict[str, Any] | None:
        if "id" in params:
            return self._explain(params["id"])
        path = _path(_uri(params))
        for completion, snapshot in reversed(self._made.values()):
            if not path or snapshot.path == path:
                return as_json(completion)
        return None

    def _status_request(self, _params: dict[str, Any]) -> dict[str, Any]:
        if self._enabled and self._service is not None:
            return asdict(self._service.status)
        model = self._settings.draft.model if self._settings is not None else ""
        state = "starting" if self._enabled else "off"
        return {"state": state, "reason": "", "model": model, "target": None, "progress": None}

    async def _restart(self, *_arguments: Any) -> None:
        if self._service is not None:
            self._shown_problems.clear()
            await self._service.restart()

    def _toggle(self, *arguments: Any) -> bool:
        self._enabled = bool(arguments[0]) if arguments else not self._enabled
        return self._enabled

    def _pause_target(self, *arguments: Any) -> None:
        if self._service is not None:
            self._service.pause_target(bool(arguments[0]) if arguments else True)

    def _stats(self, *_arguments: Any) -> dict[str, float]:
        return self._service.stats() if self._service is not None else {}


class _Progress:
    """Work-done progress while a model is fetched or loaded. Its requests to the client are in a task of their own,
    never in one that may be cancelled: pygls would trip over the reply."""

    def __init__(self, server: EgateServer) -> None:
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


def _function(method: Callable[..., Any]) -> Callable[..., Any]:
    """A plain function that calls the method: pygls stamps attributes on its handlers, which a method does not take."""
    if asyncio.iscoroutinefunction(method):

        async def asynchronous(*arguments: Any) -> Any:
            return await method(*arguments)

        return asynchronous

    def synchronous(*arguments: Any) -> Any:
        return method(*arguments)

    return synchronous


def _ignore(_params: Any) -> None:
    """A notification that is welcome and without effect."""


def _encoding(capabilities: types.ClientCapabilities) -> PositionEncoding:
    """The client's first choice that we know, as pygls chooses it too; UTF-16 if it names none."""
    offered = capabilities.general.position_encodings if capabilities.general else None
    for name in offered or ():
        value = name.value if isinstance(name, types.PositionEncodingKind) else str(name)
        if value in set(PositionEncoding):
            return PositionEncoding(value)
    return PositionEncoding.UTF16


def _change(change: types.TextDocumentContentChangeEvent) -> Change:
    if isinstance(change, types.TextDocumentContentChangePartial):
        start, end = change.range.start, change.range.end
        return Change(change.text, (start.line, start.character), (end.line, end.character))
    return Change(change.text)


def _unwrapped(options: Any) -> dict[str, Any]:
    """The settings in what an editor sent: bare, or under our name."""
    if not isinstance(options, dict):
        return {}
    for section in SECTIONS:
        if isinstance(options.get(section), dict):
            return dict(options[section])
    return dict(options)


def _uri(params: dict[str, Any]) -> str:
    document = params.get("textDocument")
    return str(document.get("uri", "")) if isinstance(document, dict) else ""


def _path(uri: str) -> str:
    parts = urlsplit(uri)
    path = unquote(parts.path) if parts.scheme in {"file", "untitled", "vscode-notebook-cell"} else unquote(uri)
    # file:///C:/x on Windows
    return str(Path(path[1:])) if len(path) > 2 and path[0] == "/" and path[2] == ":" else path


def _shows_inline(capabilities: Any) -> bool:
    """Whether the client declares inline completion. lsp-mode declares it by the key alone, with null behind it."""
    text_document = capabilities.get("textDocument") if isinstance(capabilities, dict) else None
    return isinstance(text_document, dict) and "inlineCompletion" in text_document


def _opens_empty_menus(initialize_params: dict[str, Any]) -> bool:
    """Helix opens its menu with the first list that has entries or is incomplete, even an empty one, and then drops
    what a slower server answers. To other clients an empty list must say that it is worth asking again: lsp-mode
    keeps a complete one until the word ends."""
    client = initialize_params.get("clientInfo")
    return isinstance(client, dict) and client.get("name") == "helix"


def _can_show_progress(capabilities: Any) -> bool:
    window = capabilities.get("window") if isinstance(capabilities, dict) else None
    return isinstance(window, dict) and window.get("workDoneProgress") is True
