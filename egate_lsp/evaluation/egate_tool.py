"""egate-lsp as a replay drives it: the real server, and what VS Code's client does with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from egate_lsp.evaluation.latency_figures import Work
from egate_lsp.evaluation.process_load import Load
from egate_lsp.evaluation.tools import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from egate_lsp.evaluation.raw_client import RawClient
    from egate_lsp.evaluation.typing_script import Step

AUTOMATIC = 2
LONGEST_SETTLING_S = 30.0


class EgateTool:
    """A `Tool`."""

    name = "egate"

    def __init__(self, client: RawClient) -> None:
        self._client = client
        self._load = Load(client.pid)
        self._uri = ""
        self._version = 0
        self._opened = 0
        self._before = ""
        self._request = 0
        self._running: Answer | None = None
        self._position: dict[str, int] = {}
        self._last: tuple[str, str] = ("", "")  # what was shown last, and the id of the item
        self._shown_tokens = 0.0
        client.on_notification = self._told

    async def open(self, name: str, language: str, text: str) -> None:
        self._opened += 1
        self._uri, self._version, self._before = f"file:///egate-replay/{self._opened}/{name}", 0, text
        item = {"uri": self._uri, "languageId": language, "version": 0, "text": text}
        self._client.notify("textDocument/didOpen", {"textDocument": item})

    def press(self, step: Step, document: str) -> Answer:
        answer = Answer()
        overtaken = self._running is not None and self._running.at is None
        before, self._before = self._before, document
        if step.removed or step.inserted:
            self._version += 1
            spot = {"start": _position(before, step.offset - step.removed), "end": _position(before, step.offset)}
            self._client.notify(
                "textDocument/didChange",
                {
                    "textDocument": {"uri": self._uri, "version": self._version},
                    "contentChanges": [{"range": spot, "text": step.inserted}],
                },
            )
        if overtaken:
            self._client.cancel(self._request)
        text, item = self._last
        if step.kind == "accept" and step.inserted == text and item:
            command = {"command": "egate.accepted", "arguments": [item]}
            self._client.ask("workspace/executeCommand", command, lambda _reply: None)
        expected = text[len(step.inserted) :] if not step.removed and text.startswith(step.inserted) else ""
        self._last = ("", "")
        self._running, self._position = answer, _position(document, step.cursor)
        self._request = self._ask(lambda message: self._replied(answer, message, expected))
        return answer

    def leave(self) -> None:
        """Nothing: an editor that uses LSP tells nothing."""

    async def close(self) -> None:
        self._client.notify("textDocument/didClose", {"textDocument": {"uri": self._uri}})

    async def settle(self) -> None:
        await self._load.settle(LONGEST_SETTLING_S)

    async def work(self) -> Work:
        counted = (await self._client.call("egate/statistics", {}))["session"]
        cpu_s = self._load.look()
        return Work(
            prompt_tokens=counted["computed_prompt_tokens"],
            decoded_tokens=counted["computed_tokens"],
            shown_tokens=self._shown_tokens,
            cpu_s=cpu_s,
            peak_rss_mb=self._load.peak_rss_mb,
            target_requests=counted["target_asked"],
            target_tokens=counted["target_prompt_tokens"] + counted["target_completion_tokens"],
            target_wasted=counted["target_asked"] - counted["target_used"],
        )

    def _ask(self, on_reply: Callable[[dict[str, Any]], None]) -> int:
        asked = {
            "textDocument": {"uri": self._uri},
            "position": self._position,
            "context": {"triggerKind": AUTOMATIC},
        }
        return self._client.ask("textDocument/inlineCompletion", asked, on_reply)

    def _told(self, method: str, params: Any) -> None:
        """There is more to show than what stands on the screen: the extension asks for it."""
        answer = self._running
        if (
            method == "egate/upgraded"
            and answer is not None
            and answer.at is not None
            and params["id"] == self._last[1]
        ):
            self._request = self._ask(lambda message: self._upgraded(answer, message))

    def _upgraded(self, answer: Answer, message: dict[str, Any]) -> None:
        items = (message.get("result") or {}).get("items", ())
        if answer is not self._running or not items or not items[0]["insertText"].startswith(answer.text):
            return
        answer.show(items[0]["insertText"])
        key = items[0]["command"]["arguments"][0]
        self._last = (answer.text, key)
        params = {"textDocument": {"uri": self._uri}, "id": key}
        self._client.ask("egate/explain", params, lambda told: self._extended(answer, told))

    def _extended(self, answer: Answer, message: dict[str, Any]) -> None:
        self._shown_tokens += max(_tokens(message.get("result") or {}) - answer.decoded, 0.0)

    def _replied(self, answer: Answer, message: dict[str, Any], expected: str) -> None:
        if answer is not self._running or "error" in message:
            return  # overtaken: the reply is of no use to anybody
        items = message["result"]["items"]
        text = items[0]["insertText"] if items else ""
        answer.arrive(text)
        key = items[0]["command"]["arguments"][0] if items else None
        self._last = (text, key or "")
        params: dict[str, Any] = {"textDocument": {"uri": self._uri}}
        if key is not None:
            params["id"] = key
        new = bool(text) and text != expected
        self._client.ask("egate/explain", params, lambda told: self._explained(answer, told, new=new))

    def _explained(self, answer: Answer, message: dict[str, Any], *, new: bool) -> None:
        told = message.get("result") or {}
        timing, stats = told.get("timing_ms", {}), told.get("stats", {})
        tokens = _tokens(told)
        answer.reused = bool(told) and timing.keys().isdisjoint({"draft", "draft_first_line"})
        answer.head_start_ms = timing.get("head_start", 0.0)
        answer.evaluated = stats.get("evaluated_tokens", 1.0)  # not told by a draft at an address
        answer.decoded = 0.0 if answer.reused else float(tokens)
        if new:
            self._shown_tokens += tokens
        answer.known.set()


def _tokens(explanation: dict[str, Any]) -> int:
    """Of all lines that are shown."""
    return sum(len(line["tokens"]) for line in explanation.get("lines", ()))


def _position(text: str, offset: int) -> dict[str, int]:
    """LSP's, in code points."""
    return {"line": text.count("\n", 0, offset), "character": offset - text.rfind("\n", 0, offset) - 1}
