"""pygls' protocol, hardened: every request gets exactly one reply, whatever the client sends.

pygls 2.1 answers a request whose params do not fit with a pop-up and no reply, keeps documents by rules other than
LSP's, and logs what it sends. Here messages are checked before they reach it, documents are ours (`documents`), and
nothing of a message is logged.
"""

from __future__ import annotations

import json
import logging
import traceback
from typing import TYPE_CHECKING, Any, Protocol

from lsprotocol import types
from pygls.protocol import LanguageServerProtocol, lsp_method
from pygls.protocol.json_rpc import JsonRPCNotification, JsonRPCRequestMessage

from egate_lsp.notebooks import KeepsDocuments

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from egate_lsp.notebooks import Notebooks

log = logging.getLogger(__name__)

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602
INTERNAL_ERROR = -32603
NOT_INITIALIZED = -32002


class InvalidMessage(Exception):
    """A message that cannot be handled.

    Attributes:
        code: of the error reply.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Keeps(KeepsDocuments, Protocol):
    """What the protocol needs of its server."""

    notebooks: Notebooks


class EgateProtocol(LanguageServerProtocol):
    """One client's connection.

    Attributes:
        initialize_params: the initialize request's params as they came.
        last_configuration: the settings of the last didChangeConfiguration as they came.
        unlisted_commands: they work, but the reply to initialize does not name them.
        experimental: the server's experimental capabilities, sent in the reply to initialize.
        on_exit: called once, with the exit code, when the client says so.
    """

    _server: Keeps  # type: ignore[assignment]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initialize_params: dict[str, Any] = {}
        self.last_configuration: Any = None
        self.unlisted_commands: set[str] = set()
        self.experimental: dict[str, Any] = {}
        self.on_exit: Callable[[int], None] = lambda _code: None
        self._initialized = False

    def receive(self, body: bytes) -> None:
        """Handle one message's body."""
        try:
            message = json.loads(body)
        except (ValueError, RecursionError):
            self._reply_error(None, PARSE_ERROR, "the message is not valid JSON")
            return
        if not isinstance(message, dict):
            self._reply_error(None, INVALID_REQUEST, "a message is a JSON object; batches are not part of LSP")
            return
        if "method" in message:
            self._receive_call(message)
        elif "id" in message and ("result" in message or "error" in message):
            self._receive_response(message)
        else:
            self._reply_error(_usable_id(message), INVALID_REQUEST, "neither a request nor a response")

    def _receive_call(self, message: dict[str, Any]) -> None:
        is_request = "id" in message
        message_id = _usable_id(message)
        try:
            structured = self._structured(message, is_request=is_request)
        except InvalidMessage as problem:
            if is_request:
                self._reply_error(message_id, problem.code, str(problem))
            else:
                log.debug("notification ignored: %s", problem)
            return
        if message["method"] == types.EXIT:
            self.on_exit(0 if self._shutdown else 1)
            return
        if structured is None:
            return
        try:
            self.handle_message(structured)
        except Exception as error:
            # Not one message may end the server, nor go without its reply.
            # (The error's text is not logged: it may quote the message.)
            where = traceback.extract_tb(error.__traceback__)[-1]
            log.error("%s at %s:%s for a message", type(error).__name__, where.name, where.lineno)
            if is_request:
                self._reply_error(message_id, INTERNAL_ERROR, type(error).__name__)

    def _structured(self, message: dict[str, Any], *, is_request: bool) -> Any:
        """The typed message; None for a notification to be passed over.

        Raises:
            InvalidMessage: it is not one.
        """
        method, params = message["method"], message.get("params")
        if message.get("jsonrpc") != "2.0":
            raise InvalidMessage(INVALID_REQUEST, 'jsonrpc must be "2.0"')
        if not isinstance(method, str):
            raise InvalidMessage(INVALID_REQUEST, "method must be a string")
        if is_request and _usable_id(message) is None:
            raise InvalidMessage(INVALID_REQUEST, "id must be a string or an integer")
        if params is not None and not isinstance(params, dict | list):
            raise InvalidMessage(INVALID_PARAMS, "params must be an object or an array")
        if not self._in_order(method, is_request=is_request):
            return None
        if is_request and self._is_unknown(method):
            raise InvalidMessage(METHOD_NOT_FOUND, f"there is no method {method[:80]!r}")
        kind = self.get_message_type(method)
        clean: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": _tolerant(method, params)}
        if is_request:
            clean["id"] = message["id"]
        if kind is None:
            # Our own methods take their params as a plain dictionary.
            body = clean["params"] if isinstance(clean["params"], dict) else {}
            if is_request:
                return JsonRPCRequestMessage(id=message["id"], method=method, jsonrpc="2.0", params=body)
            return JsonRPCNotification(method=method, jsonrpc="2.0", params=body)
        try:
            structured = self._converter.structure(clean, kind)
        except Exception as error:  # cattrs raises whatever the wrong value provokes
            raise InvalidMessage(INVALID_PARAMS, f"the params do not fit {method} ({type(error).__name__})") from None
        if method == types.INITIALIZE:
            self._initialized = True
            self.initialize_params = clean["params"] or {}
        elif method == types.WORKSPACE_DID_CHANGE_CONFIGURATION:
            self.last_configuration = clean["params"].get("settings")
        return structured

    def _in_order(self, method: str, *, is_request: bool) -> bool:
        """The life cycle: initialize first and once, after shutdown only exit. False: pass over."""
        if method == types.EXIT:
            return True
        if method == types.INITIALIZE and not self._initialized:
            return True
        if self._initialized and not self._shutdown and method != types.INITIALIZE:
            return True
        if not is_request:
            return False
        if not self._initialized:
            raise InvalidMessage(NOT_INITIALIZED, "the first request must be initialize")
        raise InvalidMessage(INVALID_REQUEST, "the server was shut down" if self._shutdown else "initialize came twice")

    def _is_unknown(self, method: str) -> bool:
        """No handler, or the method is a notification and has no answer."""
        if method in types.METHOD_TO_TYPES and self.get_result_type(method) is None:
            return True
        return method not in self.fm.builtin_features and method not in self.fm.features

    def _receive_response(self, message: dict[str, Any]) -> None:
        future = self._request_futures.get(_usable_id(message) or "")
        if future is None or future.done():
            # Unknown, or the one who asked has gone: no reason to complain to anybody.
            self._request_futures.pop(_usable_id(message) or "", None)
            return
        error = message.get("error")
        if error is not None:
            code, text = (error.get("code"), error.get("message")) if isinstance(error, dict) else (None, None)
            shaped = types.ResponseError(
                code=code if isinstance(code, int) else INVALID_REQUEST, message=text if isinstance(text, str) else ""
            )
            self._handle_response(message["id"], error=shaped)
        else:
            self._handle_response(message["id"], message.get("result"))

    def _handle_cancel_notification(self, msg_id: Any) -> None:
        # Unlike pygls', silent for a request that is answered already: that is what happens at every keystroke.
        if isinstance(msg_id, str | int) and (future := self._request_futures.pop(msg_id, None)) is not None:
            future.cancel()

    def _reply_error(self, message_id: str | int | None, code: int, text: str) -> None:
        self._send_data({"jsonrpc": "2.0", "id": message_id, "error": {"code": code, "message": text}})

    @lsp_method(types.INITIALIZE)
    def lsp_initialize(self, params: types.InitializeParams) -> Generator[Any, Any, types.InitializeResult]:
        result = yield from super().lsp_initialize(params)
        result.capabilities.experimental = self.experimental
        if (commands := result.capabilities.execute_command_provider) is not None:
            commands.commands = [name for name in commands.commands if name not in self.unlisted_commands]
        return result

    # Documents are the server's (`documents.Document`), not pygls'.

    @lsp_method(types.TEXT_DOCUMENT_DID_OPEN)
    def lsp_text_document__did_open(self, params: types.DidOpenTextDocumentParams) -> None:
        self._server.did_open(params)

    @lsp_method(types.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: types.DidChangeTextDocumentParams) -> None:
        self._server.did_change(params)

    @lsp_method(types.NOTEBOOK_DOCUMENT_DID_OPEN)
    def lsp_notebook_document__did_open(self, params: types.DidOpenNotebookDocumentParams) -> None:
        self._server.notebooks.did_open(params)

    @lsp_method(types.NOTEBOOK_DOCUMENT_DID_CHANGE)
    def lsp_notebook_document__did_change(self, params: types.DidChangeNotebookDocumentParams) -> None:
        self._server.notebooks.did_change(params)

    @lsp_method(types.NOTEBOOK_DOCUMENT_DID_CLOSE)
    def lsp_notebook_document__did_close(self, params: types.DidCloseNotebookDocumentParams) -> None:
        self._server.notebooks.did_close(params)

    @lsp_method(types.TEXT_DOCUMENT_DID_CLOSE)
    def lsp_text_document__did_close(self, params: types.DidCloseTextDocumentParams) -> None:
        self._server.did_close(params)


def _usable_id(message: dict[str, Any]) -> str | int | None:
    value = message.get("id")
    return value if isinstance(value, str | int) and not isinstance(value, bool) else None


def _tolerant(method: str, params: Any) -> Any:
    """Params with what real clients get wrong put right."""
    if params is None and method in {types.INITIALIZED, types.INITIALIZE}:
        return {}
    if method == types.INITIALIZE and isinstance(params, dict) and _counts_utf16(params):
        capabilities = params["capabilities"]
        general = {key: value for key, value in capabilities["general"].items() if key != "positionEncodings"}
        return {**params, "capabilities": {**capabilities, "general": general}}
    if method == types.TEXT_DOCUMENT_INLINE_COMPLETION and isinstance(params, dict):
        context = params.get("context")
        # Protocol types from before December 2023 count from 0, where 0 is a request by hand.
        if isinstance(context, dict) and context.get("triggerKind") == 0:
            return {**params, "context": {**context, "triggerKind": 1}}
    return params


def _counts_utf16(params: dict[str, Any]) -> bool:
    """A client of Copilot's server, whatever encodings its editor offers. That server knows only UTF-16, and
    copilot.lua asks in it without looking at what was agreed on."""
    options, capabilities = params.get("initializationOptions"), params.get("capabilities")
    return (
        isinstance(options, dict)
        and "editorInfo" in options
        and isinstance(capabilities, dict)
        and isinstance(capabilities.get("general"), dict)
    )
