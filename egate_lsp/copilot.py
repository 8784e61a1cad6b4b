"""The dialect of GitHub Copilot's language server, so that clients written for it work unchanged with this one.

Two generations of it: the present one extends `textDocument/inlineCompletion`; the former has its own requests
(`getCompletions` and others), which copilot.lua still uses. No account is needed here: to whoever asks, the user is
signed in. Which methods, and what each answers: docs/protocol.md.
"""

from __future__ import annotations

import asyncio
import platform
from typing import TYPE_CHECKING, Any, Protocol

from egate_lsp import __version__
from egate_lsp.status import BUSY
from egate_lsp.values import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from egate_lsp.controls import Controls
    from egate_lsp.suggestions import Suggestion, Suggestions

ACCEPT_COMMAND = "github.copilot.didAcceptCompletionItem"
USER = "local"
PANEL = 6  # suggestions in a panel, at most
CYCLE = 3
_KINDS = {"error": "Error", "off": "Inactive"}


class Host(Protocol):
    """What the dialect needs of the server."""

    async def propose(
        self, uri: str, line: int, character: int, *, invoked: bool, count: int, whole_line: bool = False
    ) -> list[Suggestion]:
        """The suggestions at a position in the client's units; with `whole_line` their text begins with the line."""
        ...

    def notify(self, method: str, params: Any) -> None:
        """Send a notification."""
        ...

    def send_partial(self, token: str | int, value: Any) -> None:
        """Send a part of a result."""
        ...

    def focus(self, uri: str) -> None:
        """The user looks at this document now; "" at none."""
        ...

    def changed(self) -> None:
        """The status must be told anew."""
        ...


class Copilot:
    """One client's conversation in the dialect.

    Attributes:
        active: the client speaks it.
        legacy: it uses requests of the former generation.
    """

    def __init__(self, host: Host, suggestions: Suggestions, controls: Controls) -> None:
        self._host = host
        self._suggestions = suggestions
        self._controls = controls
        self.active = False
        self.legacy = False
        self._told: dict[str, Any] = {}

    def greet(self, options: Any) -> bool:
        """Does the client name itself as one of Copilot's, in its initializationOptions?"""
        if isinstance(options, dict) and ("editorInfo" in options or "editorPluginInfo" in options):
            self.active = True
        return self.active

    @property
    def features(self) -> dict[str, Callable[..., Any]]:
        """Handlers of requests and notifications by method; each takes the params as a dictionary."""
        return {
            "checkStatus": self._spoken(lambda _params: {"status": "OK", "user": USER}),
            "signIn": self._spoken(lambda _params: {"status": "AlreadySignedIn", "user": USER}),
            "signInInitiate": self._spoken(lambda _params: {"status": "AlreadySignedIn", "user": USER}),
            "signInConfirm": self._spoken(lambda _params: {"status": "OK", "user": USER}),
            "signOut": self._spoken(lambda _params: {"status": "NotSignedIn"}),
            "getVersion": self._spoken(lambda _params: _version()),
            "setEditorInfo": self._spoken(lambda _params: "OK"),
            "copilot/models": self._spoken(lambda _params: self._models()),
            "textDocument/didFocus": lambda params: self._host.focus(_uri(params)),
            "textDocument/didShowCompletion": lambda params: self._suggestions.shown(_item_key(params)),
            "textDocument/didPartiallyAcceptCompletion": self._partly,
            "textDocument/copilotPanelCompletion": self._panel,
            "textDocument/copilotInlineEdit": self._spoken(lambda _params: {"edits": []}),
            "textDocument/didShowInlineEdit": lambda _params: None,
            "getCompletions": self._get_completions,
            "getCompletionsCycling": self._get_completions_cycling,
            "getPanelCompletions": self._get_panel_completions,
            "notifyShown": self._notify_shown,
            "notifyAccepted": self._notify_accepted,
            "notifyRejected": self._notify_rejected,
        }

    @property
    def commands(self) -> dict[str, Callable[..., Any]]:
        """Handlers of commands; each takes the arguments one by one."""
        return {ACCEPT_COMMAND: self._controls.accepted}

    def publish(self, status: dict[str, Any]) -> None:
        """Tell the status, given as `egate/status` gives it."""
        if not self.active:
            return
        state = status["state"]
        message = f"{status['reason']} {status['hint']}".strip()
        kind = _KINDS.get(state, "Normal")
        news = {"busy": state in BUSY, "message": message, "kind": kind}
        if news | {"legacy": self.legacy} == self._told:
            return
        self._told = news | {"legacy": self.legacy}
        self._host.notify("didChangeStatus", news)
        if self.legacy:
            former = "InProgress" if state in BUSY else "Warning" if kind == "Error" else kind
            self._host.notify("statusNotification", {"status": former, "message": message})

    def _speaks(self, *, legacy: bool = False) -> None:
        news = not self.active or (legacy and not self.legacy)
        self.active, self.legacy = True, self.legacy or legacy
        if news:
            asyncio.get_running_loop().call_soon(self._host.changed)

    def _spoken(self, handler: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
        """A handler of a request by which a client shows that it speaks the dialect."""

        def handle(params: dict[str, Any]) -> Any:
            self._speaks()
            return handler(params)

        return handle

    def _models(self) -> list[dict[str, Any]]:
        settings = self._controls.settings
        name = settings.draft.model if settings is not None else ""
        return [{"id": name, "modelName": name, "modelFamily": name, "scopes": ["completion"], "preview": False}]

    # ── the present generation ──────────────────────────────────────────────────────────────────────────────

    def _partly(self, params: dict[str, Any]) -> None:
        length = params.get("acceptedLength")
        if isinstance(length, int | float):
            self._controls.partly(_item_key(params), length)

    async def _panel(self, params: dict[str, Any]) -> dict[str, Any]:
        """Several suggestions; to a client with a token each goes out as soon as it is there."""
        self._speaks()
        uri, (line, character), token = _uri(params), _position(params), params.get("partialResultToken")
        spot = {"line": line, "character": character}
        sent: set[str] = set()
        if not isinstance(token, str | int):
            made = await self._host.propose(uri, line, character, invoked=True, count=PANEL)
            return {"items": [_item(each, spot) for each in made]}
        for count in (1, PANEL):
            made = await self._host.propose(uri, line, character, invoked=count > 1, count=count)
            fresh = [_item(each, spot) for each in made if each.insert not in sent]
            sent |= {each.insert for each in made}
            if fresh:
                self._host.send_partial(token, {"items": fresh})
        return {"items": []}

    # ── the former generation ───────────────────────────────────────────────────────────────────────────────

    async def _get_completions(self, params: dict[str, Any]) -> dict[str, Any]:
        return await self._completions(params, invoked=False, count=1)

    async def _get_completions_cycling(self, params: dict[str, Any]) -> dict[str, Any]:
        return await self._completions(params, invoked=True, count=CYCLE)

    async def _completions(self, params: dict[str, Any], *, invoked: bool, count: int) -> dict[str, Any]:
        self._speaks(legacy=True)
        uri, (line, character) = _uri(params), _position(params)
        spot = {"line": line, "character": character}
        made = await self._host.propose(uri, line, character, invoked=invoked, count=count, whole_line=True)
        return {
            "completions": [
                {
                    "uuid": each.key,
                    "text": each.insert,
                    "displayText": each.completion.text,
                    "range": {"start": {"line": line, "character": 0}, "end": spot},
                    "position": spot,
                    "docVersion": _version_of(params),
                }
                for each in made
            ]
        }

    async def _get_panel_completions(self, params: dict[str, Any]) -> dict[str, Any]:
        """The number of suggestions; they follow as notifications."""
        self._speaks(legacy=True)
        uri, (line, character), panel = _uri(params), _position(params), params.get("panelId")
        spot = {"line": line, "character": character}
        made = await self._host.propose(uri, line, character, invoked=True, count=PANEL, whole_line=True)

        def send(_answered: object) -> None:
            for each in made:
                score = each.completion.lines[0].score or 0.0
                solution = {
                    "panelId": panel,
                    "solutionId": each.key,
                    "score": round(1.0 - score, 3),
                    "completionText": each.completion.text,
                    "displayText": each.insert,
                    "range": {"start": spot, "end": spot},
                }
                self._host.notify("PanelSolution", solution)
            self._host.notify("PanelSolutionsDone", {"panelId": panel, "status": "OK"})

        handling = asyncio.current_task()
        assert handling is not None
        handling.add_done_callback(send)  # after pygls' own, which sends the reply
        return {"solutionCountTarget": len(made)}

    def _notify_shown(self, params: dict[str, Any]) -> str:
        self._suggestions.shown(str(params.get("uuid")))
        return "OK"

    def _notify_accepted(self, params: dict[str, Any]) -> str:
        """With `acceptedLength`, from the beginning of the line, of a part."""
        key, length = str(params.get("uuid")), params.get("acceptedLength")
        if isinstance(length, int | float):
            self._controls.partly(key, length)  # of the whole: the same as an acceptance
        else:
            self._controls.accepted(key)
        return "OK"

    def _notify_rejected(self, params: dict[str, Any]) -> str:
        """Of all that was shown at one place. What was accepted or typed away meanwhile has had its outcome."""
        keys = params.get("uuids")
        for key in keys if isinstance(keys, list) else ():
            made = self._suggestions.get(str(key))
            if made is not None and made.outcome in {None, Outcome.PARTLY}:
                self._controls.dismissed(key)
        return "OK"


def _version() -> dict[str, str]:
    return {"version": __version__, "buildType": "release", "runtimeVersion": f"python/{platform.python_version()}"}


def _item(made: Suggestion, spot: dict[str, int]) -> dict[str, Any]:
    return {
        "insertText": made.insert,
        "range": {"start": spot, "end": spot},
        "command": {"title": "Accepted", "command": ACCEPT_COMMAND, "arguments": [made.key]},
    }


def _item_key(params: dict[str, Any]) -> str:
    """The id in the command of an item, of which some clients send nothing else; "" if there is none."""
    item = params.get("item")
    command = item.get("command") if isinstance(item, dict) else None
    arguments = command.get("arguments") if isinstance(command, dict) else None
    return str(arguments[0]) if isinstance(arguments, list) and arguments else ""


def _document(params: dict[str, Any]) -> dict[str, Any]:
    for key in ("textDocument", "doc"):
        if isinstance(document := params.get(key), dict) and "uri" in document:
            return document
    return {}


def _uri(params: dict[str, Any]) -> str:
    return str(_document(params).get("uri", ""))


def _version_of(params: dict[str, Any]) -> Any:
    return _document(params).get("version", 0)


def _position(params: dict[str, Any]) -> tuple[int, int]:
    position = params.get("position") or _dictionary(params.get("doc")).get("position")
    place = _dictionary(position)
    line, character = place.get("line"), place.get("character")
    return (line if isinstance(line, int) else 0, character if isinstance(character, int) else 0)


def _dictionary(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
