"""The language server: LSP on one side, `service` on the other. The only place that knows LSP's types and UTF-16."""

from __future__ import annotations

import asyncio
import importlib
import logging
from typing import TYPE_CHECKING, Any, cast

from lsprotocol import types
from pygls.lsp.server import LanguageServer
from pygls.protocol import default_converter

from egate_lsp import (
    __version__,
    asking,
    consent,
    editor_options,
    logs,
    lsp_values,
    pace_file,
    progress,
    workspace_paths,
)
from egate_lsp.chronicle import Chronicle
from egate_lsp.controls import ACCEPTED, PROTOCOL_VERSION, Controls
from egate_lsp.copilot import ACCEPT_COMMAND, Copilot
from egate_lsp.documents import Document, PositionEncoding, word_before
from egate_lsp.errors import EgateError
from egate_lsp.lsp_values import Ask
from egate_lsp.menu import menu_entry
from egate_lsp.notebooks import SYNC, Notebooks
from egate_lsp.protocol import EgateProtocol
from egate_lsp.recent_edits import RecentEdits
from egate_lsp.recent_places import RecentPlaces
from egate_lsp.suggestions import Suggestion, Suggestions
from egate_lsp.values import Completion, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from egate_lsp.config import Settings
    from egate_lsp.ledger import Ledger
    from egate_lsp.service import Service
    from egate_lsp.status import Status

log = logging.getLogger(__name__)

# States of a target that do not pass by themselves: told once, besides the status.
LASTING = frozenset({"misconfigured", "refused", "not-found", "untrusted", "unreadable", "changed"})
PARENT_POLL_S = 5.0
BY_HAND = 3  # items for a request made by hand


class EgateServer(LanguageServer):
    """One client's server. `run` by a transport (`transport`)."""

    protocol: EgateProtocol

    def __init__(self, *, service_factory: Callable[..., Service] | None = None) -> None:
        super().__init__(
            "egate-lsp",
            __version__,
            protocol_cls=EgateProtocol,
            converter_factory=default_converter,
            notebook_document_sync=SYNC,
        )
        self._service_factory = service_factory
        self._starting: asyncio.Task[None] | None = None
        self._settings: Settings | None = None
        self._editor_options: dict[str, Any] = {}
        self._overrides: dict[str, Any] = {}
        self._documents: dict[str, Document] = {}
        self._encoding = PositionEncoding.UTF16
        self._folders: list[str] = []
        self._asked: set[str] = set()
        self._running: dict[str, asyncio.Task[tuple[Completion, ...]]] = {}
        self.notebooks = Notebooks(self, self._documents.get)
        self._recent_edits, self._recent_places = RecentEdits(self._shown_path), RecentPlaces(self._shown_path)
        self._suggestions = Suggestions()
        self._controls = Controls(self, self._suggestions)
        self._chronicle = Chronicle(self._ledger, self._documents.get, self._later)
        self._controls.on_events = self._chronicle.happened
        self._copilot = Copilot(self, self._suggestions, self._controls)
        self._shown_problems: set[str] = set()
        self._told: dict[str, Any] = {}
        self._progress: progress.Progress | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._register()

    @property
    def _service(self) -> Service | None:
        return self._controls.service

    # ── life ────────────────────────────────────────────────────────────────────────────────────────────────

    def _register(self) -> None:
        features: dict[str, Callable[..., Any]] = {
            types.INITIALIZE: self._initialize,
            types.INITIALIZED: self._initialized,
            types.WORKSPACE_DID_CHANGE_CONFIGURATION: self._did_change_configuration,
            types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS: self._did_change_folders,
            types.TEXT_DOCUMENT_DID_SAVE: self._did_save,
            "egate/documentHash": self._document_hash,
            **self._controls.requests,
            **self._copilot.features,
        }
        for name, handler in features.items():
            self.feature(name)(_function(handler))
        for name, handler in (self._controls.commands | self._copilot.commands).items():
            self.command(name)(_function(handler))

    def _initialize(self, params: types.InitializeParams) -> None:
        options = self.protocol.initialize_params.get("initializationOptions")
        if self._copilot.greet(options) or lsp_values.shows_inline(self.protocol.initialize_params.get("capabilities")):
            described = types.InlineCompletionOptions()  # without it pygls does not advertise the feature
            self.feature(types.TEXT_DOCUMENT_INLINE_COMPLETION, described)(_function(self._inline_completion))
        else:
            self.feature(types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions())(_function(self._completion))
        if not self._copilot.active:
            # Commands are global names in some editors, where Copilot's own extension may have these.
            self.protocol.unlisted_commands = set(self._copilot.commands)
        self.protocol.experimental = {"egate": {"version": PROTOCOL_VERSION}}
        self._encoding = lsp_values.encoding(params.capabilities)
        # What else Copilot's clients send bare is for Copilot.
        self._editor_options = editor_options.initial(options, bare=not self._copilot.active)
        self._folders = asking.folders_of(params)
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
        self._chronicle.close()
        if self._service is not None:
            await self._service.aclose()
            self._controls.service = None

    def report_server_error(self, error: Exception, source: Any) -> None:
        """No pop-up: requests have their replies, and a client's odd notification is no news to the user."""
        log.error("%s in %s", type(error).__name__, getattr(source, "__name__", source))

    def _ledger(self) -> Ledger | None:
        return self._service.accounts.ledger if self._service is not None else None

    def _later(self, delay: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(delay, callback)

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # ── settings ────────────────────────────────────────────────────────────────────────────────────────────

    def _did_change_configuration(self, _params: types.DidChangeConfigurationParams) -> None:
        from egate_lsp.config import Settings

        sent, bare = self.protocol.last_configuration, not self._copilot.active
        options = editor_options.changed(sent, self._editor_options, Settings.model_fields, bare=bare)
        if options is not None:
            self._editor_options = options
            self._configure()

    def _configure(self) -> None:
        # Imported after the reply to `initialize`, which need not wait for pydantic.
        from egate_lsp.config import read_user_file, resolve, user_file

        table, problems = read_user_file()
        sources = [(f"user file {user_file()}", table), ("editor", self._editor_options), ("session", self._overrides)]
        settings, found = resolve(sources)
        for problem in (*problems, *found):
            self._show_once(f"egate-lsp: {problem}. The default is used.")
        if settings == self._settings:
            return
        self._settings = self._controls.settings = settings
        logs.set_level(settings.log_level)
        self.cancel_completions()  # they would find their service closed
        former = self._starting
        self._starting = asyncio.get_running_loop().create_task(self._start_service(former), name="egate service")

    async def _start_service(self, former: asyncio.Task[None] | None) -> None:
        if former is not None:
            await asyncio.gather(former, return_exceptions=True)
        if (old := self._service) is not None:
            self._controls.service = None
            await old.aclose()
        factory = self._service_factory
        if factory is None:
            # Not on the event loop: the first import takes a moment, and the client has requests.
            module = await asyncio.to_thread(importlib.import_module, "egate_lsp.service")
            factory = module.Service
        service = factory(
            self._settings,
            on_status=self._status_changed,
            pace_path=pace_file.default_path(),
            ledger_path=await asyncio.to_thread(_ledger_path),
            consents_path=consent.default_path(),
            gatherers=(self._recent_places, self._recent_edits),
        )
        service.on_usage = self.changed
        service.accounts.on_news = lambda text: self._show_once(f"egate-lsp: {text}")
        service.work_in(self._folders)
        service.ask_with(self._ask_about)
        service.pause_target(self._controls.target_paused)
        self._controls.service = service
        self.changed()
        await service.start()

    def _did_change_folders(self, params: types.DidChangeWorkspaceFoldersParams) -> None:
        self._folders = asking.folders_after(self._folders, params.event)
        if self._service is not None:
            self._service.work_in(self._folders)

    def _ask_about(self, folder: str) -> None:
        """The user is asked once about a folder."""
        if folder not in self._asked and self._service is not None and self._settings is not None:
            self._asked.add(folder)
            where = " or ".join(self._settings.addresses())
            self._spawn(asking.question(self.window_show_message_request_async, self._service, folder, where))

    def override(self, table: dict[str, Any]) -> None:
        """Lay these settings over all others until the server ends."""
        self._overrides = {**self._overrides, **table}
        self._configure()

    def _status_changed(self, status: Status) -> None:
        if status.state == "error":
            self._show_once(f"egate-lsp: {status.explanation}", types.MessageType.Error)
        if status.target_state in LASTING:
            self._show_once(f"egate-lsp: {status.target_reason} Completions go on from the draft model.")
        self.changed()
        if progress.is_wanted(self.protocol.initialize_params.get("capabilities")):
            if self._progress is None:
                self._progress = progress.Progress(self)
            self._progress.show(status)

    def changed(self) -> None:
        """Tell the client the status, if it is news and if it wants to know."""
        if not (self._declares("egateStatus") or self._copilot.active):
            return
        status = self._controls.status()
        if self._declares("egateStatus") and status != self._told:
            self._told = status
            self.notify("egate/statusChanged", status)
        self._copilot.publish(status)

    def _declares(self, ability: str) -> bool:
        """Did the client declare this experimental capability?"""
        capabilities = self.protocol.initialize_params.get("capabilities", {})
        experimental = capabilities.get("experimental") if isinstance(capabilities, dict) else None
        return isinstance(experimental, dict) and bool(experimental.get(ability))

    def notify(self, method: str, params: Any) -> None:
        """Send a notification."""
        self.protocol.notify(method, params)

    def send_partial(self, token: str | int, value: Any) -> None:
        """Send a part of a request's result."""
        self.protocol.notify(types.PROGRESS, types.ProgressParams(token, value))

    def cancel_completions(self) -> None:
        """End those under way; they are answered with nothing."""
        for work in self._running.values():
            work.cancel()

    def forget_problems(self) -> None:
        """What was shown to the user may be shown again."""
        self._shown_problems.clear()

    def show_error(self, error: EgateError) -> None:
        """Tell the user, also if it was told before: the user has asked again."""
        log.warning("shown to the user: %s", error.explanation)
        self.window_show_message(types.ShowMessageParams(types.MessageType.Error, f"egate-lsp: {error.explanation}"))

    def confirm(self, words: str) -> None:
        """Tell the user that a switch was turned. Helix and coc.nvim show no result of a command; whoever follows our
        status shows it."""
        if not self._declares("egateStatus"):
            self.window_show_message(types.ShowMessageParams(types.MessageType.Info, f"egate-lsp: {words}"))

    def _show_once(self, message: str, kind: types.MessageType = types.MessageType.Warning) -> None:
        log.warning("shown to the user: %s", message)
        if message not in self._shown_problems:
            self._shown_problems.add(message)
            self.window_show_message(types.ShowMessageParams(kind, message))

    # ── documents ───────────────────────────────────────────────────────────────────────────────────────────

    def did_open(self, params: types.DidOpenTextDocumentParams) -> None:
        item = params.text_document
        self._documents[item.uri] = Document(item.uri, item.version, item.language_id, item.text)
        if self._service is not None:
            self._service.opened()

    def did_change(self, params: types.DidChangeTextDocumentParams) -> None:
        document = self._documents.get(params.text_document.uri)
        if document is None:
            log.warning("a change of a document that is not open was ignored")
            return
        uri = params.text_document.uri
        edits = []
        for change in params.content_changes:
            edits.append(document.apply(lsp_values.change(change), self._encoding))
            self._recent_edits.edited(document, lsp_values.path(uri), edits[-1])
        if len(edits) == 1:  # more at once are a tool's, and tell nothing of where the user is
            self._recent_places.looked(document, lsp_values.path(uri), edits[0].start[0])
        document.version = params.text_document.version
        self._chronicle.edited(uri, edits)
        self._controls.tell(self._suggestions.edited(uri, edits))

    def _did_save(self, params: types.DidSaveTextDocumentParams) -> None:
        if self._service is not None:
            self._service.saved(lsp_values.path(params.text_document.uri))

    def did_close(self, params: types.DidCloseTextDocumentParams) -> None:
        uri = params.text_document.uri
        if (document := self._documents.pop(uri, None)) is not None:
            self._recent_edits.closed(document)
            self._recent_places.closed(document)
        self._suggestions.close(uri)
        self._chronicle.closed(uri)
        if (running := self._running.pop(uri, None)) is not None:
            running.cancel()
        if self._service is not None:
            self._service.closed(lsp_values.path(uri))

    def _shown_path(self, file: str) -> str:
        return workspace_paths.shown(file, self._folders)

    def focus(self, uri: str) -> None:
        """The user looks at this document now: what is under way for others is not wanted any more."""
        for other, running in self._running.items():
            if other != uri:
                running.cancel()
        if self._service is not None:
            self._service.opened()

    def _document_hash(self, params: dict[str, Any]) -> dict[str, Any] | None:
        """For tests and bug reports: is the server's text the client's?"""
        import hashlib

        named = params.get("textDocument")
        document = self._documents.get(str(named.get("uri"))) if isinstance(named, dict) else None
        if document is None:
            return None
        raw = document.text.encode("utf-8", "surrogatepass")
        return {"version": document.version, "sha256": hashlib.sha256(raw).hexdigest(), "length": len(document.text)}

    # ── completions ─────────────────────────────────────────────────────────────────────────────────────────

    async def _inline_completion(self, params: types.InlineCompletionParams) -> types.InlineCompletionList:
        nothing = types.InlineCompletionList(items=[])
        document = self._documents.get(params.text_document.uri)
        if document is None:
            return nothing
        at, selected = params.position, params.context.selected_completion_info
        invoked = params.context.trigger_kind == types.InlineCompletionTriggerKind.Invoked
        spot, ask = types.Range(at, at), Ask.at(document, at, self._encoding)
        if selected is not None:
            # As if the entry of the completion menu had been taken already.
            spot, ask = selected.range, ask.with_entry(selected.range, selected.text, self._encoding)
        made = await self._suggest(ask, at, invoked=invoked, count=BY_HAND if invoked else 1)
        # Line breaks stay LF even in a CRLF document: editors with inline completion keep lines, not line ends, and
        # Neovim would show a carriage return as text.
        name = ACCEPT_COMMAND if self._copilot.active else ACCEPTED
        return types.InlineCompletionList(
            [
                types.InlineCompletionItem(
                    each.insert, range=spot, command=types.Command("Accepted", name, arguments=[each.key])
                )
                for each in made
            ]
        )

    async def _completion(self, params: types.CompletionParams) -> types.CompletionList:
        """For clients without inline completion: the text as an item of the menu."""
        again = types.CompletionTriggerKind.TriggerForIncompleteCompletions
        asked_again = params.context is not None and params.context.trigger_kind == again
        nothing = types.CompletionList(
            is_incomplete=asked_again or not lsp_values.opens_empty_menus(self.protocol.initialize_params), items=[]
        )
        document = self._documents.get(params.text_document.uri)
        if document is None:
            return nothing
        at = params.position
        ask = Ask.at(document, at, self._encoding)
        word = word_before(ask.text[max(ask.offset - 200, 0) : ask.offset])
        start = types.Position(*document.position_at(ask.offset - len(word), self._encoding))
        made = await self._suggest(ask.from_word(word), at, invoked=False)
        if not made:
            return nothing
        (each,) = made
        entry = menu_entry(each.completion, word=word, language=document.language, line_break=document.line_break)
        item = types.CompletionItem(
            label=entry.label,
            kind=types.CompletionItemKind.Text,
            detail=entry.detail,
            documentation=types.MarkupContent(types.MarkupKind.Markdown, entry.documentation),
            preselect=True,
            sort_text="!",  # before letters and digits; Emacs refuses a whole message for a NUL in it
            filter_text=entry.filter_text,
            text_edit=types.TextEdit(types.Range(start, at), entry.new_text),
            command=types.Command("Accepted", ACCEPTED, arguments=[each.key]),
        )
        return types.CompletionList(is_incomplete=True, items=[item])

    async def propose(
        self, uri: str, line: int, character: int, *, invoked: bool, count: int, whole_line: bool = False
    ) -> list[Suggestion]:
        """The suggestions at a position in the client's units; with `whole_line` their text begins with the line."""
        document = self._documents.get(uri)
        if document is None:
            return []
        at = types.Position(line, character)
        ask = Ask.at(document, at, self._encoding)
        if whole_line:
            row, column = ask.start
            ask = ask.from_word(document.between((row, 0), (row, column)))
        return await self._suggest(ask, at, invoked=invoked, count=count)

    async def _suggest(self, ask: Ask, position: types.Position, *, invoked: bool, count: int = 1) -> list[Suggestion]:
        """The suggestions to send, remembered: at most `count`; none if there is nothing to show or a newer request
        took this one's place."""
        document, uri = ask.document, ask.document.uri
        if not self._controls.wants(document.language):
            return []
        if (watched := self._suggestions.place(uri)) is not None:
            self._controls.tell(self._suggestions.looked(uri, ask.cursor, document.between(watched, ask.cursor)))
        above = self.notebooks.above(document)
        snapshot = Snapshot(above + ask.text, len(above) + ask.offset, lsp_values.path(uri), document.language)
        self._recent_places.looked(document, snapshot.path, ask.cursor[0])
        completions = await self._complete(uri, snapshot, invoked=invoked, count=count)
        if not completions:
            return []
        made = [
            self._suggestions.add(
                uri, completion, snapshot, start=ask.start, insert=ask.lead + completion.text, replaced=ask.replaced
            )
            for completion in reversed(completions)  # the newest is the first
        ]
        shown = [each for each in reversed(made) if each.completion.text]
        self._suggestions.show(uri, shown)
        if (service := self._service) is not None:
            self._chronicle.made(made[::-1], service.wanted_share)
            self.changed()  # the day's counts
        if completions[0].pending and self._declares("egateUpgrade"):
            reply = asyncio.current_task()
            assert reply is not None
            self._spawn(self._announce(reply, made[-1], position))
        return shown

    async def _announce(self, reply: asyncio.Task[Any], made: Suggestion, position: types.Position) -> None:
        """Tell the client when the answer that a suggestion still awaits is there, if it is of use then."""
        await asyncio.wait({reply})  # the client learns of the suggestion first
        service = self._service
        if service is None or not await service.landed(made.snapshot.path, made.completion):
            return
        newest = self._suggestions.newest(made.uri)
        if newest is made and made.uri in self._documents and made.uri not in self._running:
            place = {"line": position.line, "character": position.character}
            self.notify("egate/upgraded", {"textDocument": {"uri": made.uri}, "position": place, "id": made.key})

    async def _complete(self, uri: str, snapshot: Snapshot, *, invoked: bool, count: int) -> tuple[Completion, ...]:
        """The completion and its alternatives; empty if there is none or a newer request took this one's place."""
        # The service's module is heavy, so it is imported by `_start_service`, off the event loop.
        if self._starting is None:
            self._configure()
        work = asyncio.get_running_loop().create_task(
            self._work(snapshot, invoked=invoked, count=count), name="egate completion"
        )
        if (older := self._running.get(uri)) is not None:
            older.cancel()
        self._running[uri] = work
        try:
            return await work
        except asyncio.CancelledError:
            work.cancel()
            own = asyncio.current_task()
            if own is not None and own.cancelling():
                raise  # the client cancelled; pygls answers -32800
            return ()
        except EgateError as error:
            if not error.retryable:
                self._show_once(f"egate-lsp: {error.explanation}", types.MessageType.Error)
            log.warning("no completion: %s", type(error).__name__)
            return ()
        finally:
            if self._running.get(uri) is work:
                del self._running[uri]

    async def _work(self, snapshot: Snapshot, *, invoked: bool, count: int) -> tuple[Completion, ...]:
        assert self._starting is not None
        await asyncio.shield(self._starting)
        service = self._service
        assert service is not None
        completion = await service.complete(snapshot, invoked=invoked, told_later=self._declares("egateUpgrade"))
        if count < 2 or not completion.text:
            return (completion,)
        return (completion, *await service.alternatives(snapshot, completion, count - 1))


def _ledger_path() -> Path:
    return cast("Path", importlib.import_module("egate_lsp.ledger_file").default_path())


def _function(method: Callable[..., Any]) -> Callable[..., Any]:
    """A plain function that calls the method: pygls stamps attributes on its handlers, which a method does not take."""
    if asyncio.iscoroutinefunction(method):

        async def asynchronous(*arguments: Any) -> Any:
            return await method(*arguments)

        return asynchronous

    def synchronous(*arguments: Any) -> Any:
        return method(*arguments)

    return synchronous
