"""What a user can see and switch from an editor: status, statistics, models, "why", and the switches.

These are the requests and commands of docs/protocol.md that are not completions, for one client. Nothing here knows
LSP's types: parameters come as plain dictionaries or lists, results go out as JSON values.
"""

from __future__ import annotations

import asyncio
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from egate_lsp import logs
from egate_lsp.errors import EgateError
from egate_lsp.explanation import as_json
from egate_lsp.status import Status
from egate_lsp.status import as_json as status_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from egate_lsp.config import Settings
    from egate_lsp.service import Service
    from egate_lsp.suggestions import Event, Suggestion, Suggestions

PROTOCOL_VERSION = 1
ACCEPTED = "egate.accepted"


class Host(Protocol):
    """What the controls need of the server."""

    def changed(self) -> None:
        """The status is another one now."""
        ...

    def show_error(self, error: EgateError) -> None:
        """Tell the user."""
        ...

    def cancel_completions(self) -> None:
        """End those under way; they are answered with nothing."""
        ...

    def forget_problems(self) -> None:
        """What was shown to the user may be shown again."""
        ...

    def confirm(self, words: str) -> None:
        """Tell the user that a switch was turned, where the editor does not show it by itself."""
        ...

    def override(self, table: dict[str, Any]) -> None:
        """Lay these settings over all others until the server ends, and start again with them."""
        ...


class Controls:
    """One client's switches and views.

    Attributes:
        enabled: False: no completions at all.
        languages_off: LSP identifiers of languages without completions.
        service, settings: None until the client is initialized.
        on_events: told what the user did with suggestions.
    """

    def __init__(self, host: Host, suggestions: Suggestions) -> None:
        self._host = host
        self._suggestions = suggestions
        self.enabled = True
        self.languages_off: set[str] = set()
        self.target_paused = False
        self.service: Service | None = None
        self.on_events: Callable[[Sequence[Event]], None] = lambda _events: None
        self.settings: Settings | None = None

    @property
    def requests(self) -> dict[str, Callable[..., Any]]:
        """Handlers by method; each takes the params as a dictionary."""
        return {
            "egate/status": lambda _params: self.status(),
            "egate/statistics": lambda _params: self.statistics(),
            "egate/models": self._models,
            "egate/explain": self._explain_request,
        }

    @property
    def commands(self) -> dict[str, Callable[..., Any]]:
        """Handlers by command; each takes the arguments one by one, and any number of them."""
        return {
            ACCEPTED: self.accepted,
            "egate.partiallyAccepted": self.partly,
            "egate.dismissed": self.dismissed,
            "egate.explain": self._explain_command,
            "egate.toggle": self._toggle,
            "egate.toggleLanguage": self._toggle_language,
            "egate.pauseTarget": self._pause_target,
            "egate.restart": self._restart,
            "egate.stats": lambda *_arguments: self._counters(),
            "egate.setModel": self._set_model,
        }

    # ── views ───────────────────────────────────────────────────────────────────────────────────────────────

    def status(self) -> dict[str, Any]:
        """The status object of docs/protocol.md."""
        service, settings = self.service, self.settings
        if service is not None:
            status = service.status
        else:
            target = settings.target.model if settings is not None and settings.target.base_url else None
            status = Status("starting", model=settings.draft.model if settings is not None else "", target=target)
        shown = status_json(status)
        if not self.enabled:
            shown |= {"state": "off", "reason": "", "hint": "", "progress": None}
        return shown | {
            "enabled": self.enabled,
            "targetPaused": self.target_paused,
            "languagesOff": sorted(self.languages_off),
            "logFile": logs.current_file(),
            "today": None if service is None else status_json(service.today()),
        }

    def statistics(self) -> dict[str, Any]:
        """Counters since the start, and what was used today."""
        return {
            "session": self._counters(),
            "today": None if self.service is None else status_json(self.service.today()),
        }

    def _counters(self) -> dict[str, float]:
        return self.service.stats() if self.service is not None else {}

    async def _models(self, _params: dict[str, Any]) -> list[dict[str, Any]]:
        if self.settings is None:
            return []
        store = importlib.import_module("egate_lsp.models.store")
        active = self.settings.draft.model
        # In a thread: a model put there by hand is hashed once, which takes a while.
        held = await asyncio.to_thread(store.held, self.settings.models)
        models = [
            {
                "name": each.entry.name,
                "installed": each.path is not None,
                "active": each.entry.name == active,
                "bytes": each.entry.size or None,
                "license": each.entry.licence or None,
            }
            for each in held
        ]
        if not any(model["active"] for model in models):  # a file of the user's own, by its path
            size = await asyncio.to_thread(_size, Path(active.removeprefix("scripted:")).expanduser())
            found = size is not None
            models.append({"name": active, "installed": found, "active": True, "bytes": size, "license": None})
        return models

    def _explain_request(self, params: dict[str, Any]) -> Any:
        document = params.get("textDocument")
        uri = str(document.get("uri", "")) if isinstance(document, dict) else ""
        key = params.get("id")
        made = self._suggestions.newest(uri) if key is None else self._suggestions.get(str(key))
        return None if made is None else self.explained(made, str(params.get("format") or "json"))

    def _explain_command(self, *arguments: Any) -> Any:
        made = self._named(arguments)
        return None if made is None else self.explained(made, "json")

    def explained(self, made: Suggestion, form: str) -> dict[str, Any]:
        """Why this suggestion is as it is: as data, or `{"html": ...}`, or `{"text": ...}`."""
        if form not in {"html", "text"}:
            return as_json(made.completion)
        views = importlib.import_module("egate_lsp.explain_view")
        place = views.Place(made.snapshot.path, made.snapshot.text, made.snapshot.offset)
        view = views.view(made.completion, place, self._gate())
        if form == "html":
            return {"html": importlib.import_module("egate_lsp.explain_html").page(view)}
        return {"text": importlib.import_module("egate_lsp.explain_text").text(view)}

    def _gate(self) -> Any:
        rule = self.service.rule if self.service is not None else None
        if rule is None:
            return None
        return importlib.import_module("egate_lsp.explain_view").Gate(rule.name, rule.tau)

    def _named(self, arguments: Sequence[Any]) -> Suggestion | None:
        """The suggestion that a command's first argument names; without one, the newest."""
        if not arguments or arguments[0] is None:
            return self._suggestions.newest()
        return self._suggestions.get(str(arguments[0]))

    # ── what became of a suggestion ─────────────────────────────────────────────────────────────────────────

    def tell(self, events: Sequence[Event]) -> None:
        """Hand on what the user did."""
        if self.service is None:
            return
        self.on_events(events)
        for event in events:
            self.service.happened(event.outcome, event.suggestion.snapshot.path, event.instead_of)

    def accepted(self, *arguments: Any) -> None:
        """Of a suggestion by its id."""
        if arguments:
            self.tell(self._suggestions.accepted(str(arguments[0])))

    def partly(self, *arguments: Any) -> None:
        """Of a suggestion by its id, so many UTF-16 units of its text."""
        if len(arguments) > 1 and isinstance(arguments[1], int | float):
            self.tell(self._suggestions.partly(str(arguments[0]), int(arguments[1])))

    def dismissed(self, *arguments: Any) -> None:
        """Of a suggestion by its id; without one, of the newest."""
        self.tell(self._suggestions.dismissed("" if not arguments or arguments[0] is None else str(arguments[0])))

    # ── switches ────────────────────────────────────────────────────────────────────────────────────────────

    def wants(self, language: str) -> bool:
        """Are there completions in this language?"""
        return self.enabled and language not in self.languages_off

    def _toggle(self, *arguments: Any) -> bool:
        self.enabled = _switched(arguments, self.enabled)
        self._host.changed()
        self._host.confirm("on" if self.enabled else "off")
        return self.enabled

    def _toggle_language(self, *arguments: Any) -> bool:
        if not arguments or not isinstance(arguments[0], str):
            return self.enabled
        language = arguments[0]
        on = _switched(arguments[1:], language not in self.languages_off)
        (self.languages_off.discard if on else self.languages_off.add)(language)
        self._host.changed()
        self._host.confirm(f"{language} {'on' if on else 'off'}")
        return on

    def _pause_target(self, *arguments: Any) -> bool:
        self.target_paused = _switched(arguments, self.target_paused)
        if self.target_paused:
            self._host.cancel_completions()  # from now on not one may ask the target
        if self.service is not None:
            self.service.pause_target(self.target_paused)
        self._host.changed()
        self._host.confirm("target paused, all stays on this machine" if self.target_paused else "target in use")
        return self.target_paused

    async def _restart(self, *_arguments: Any) -> None:
        if self.service is not None:
            self._host.forget_problems()
            await self.service.restart()

    async def _set_model(self, *arguments: Any) -> bool:
        """Draft with another model until the server ends. False: it cannot be used, and the user was told why."""
        if not arguments or not isinstance(arguments[0], str) or self.settings is None:
            return False
        name = arguments[0]
        store = importlib.import_module("egate_lsp.models.store")
        if not name.startswith("scripted:"):
            try:
                await asyncio.to_thread(store.locate, name, self.settings.models)
            except EgateError as error:
                self._host.show_error(error)
                return False
        self._host.override({"draft": {"model": name}})
        return True


def _size(file: Path) -> int | None:
    """Bytes; None if there is no such file."""
    try:
        return file.stat().st_size
    except OSError:
        return None


def _switched(arguments: Sequence[Any], now: bool) -> bool:  # noqa: FBT001  # the switch's own value
    """What a switch is set to: the argument, or the other way round without one."""
    return bool(arguments[0]) if arguments and arguments[0] is not None else not now
