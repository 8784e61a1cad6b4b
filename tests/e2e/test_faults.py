"""A target that fails in every way while an editor's session goes on, through the real protocol and a real socket.

What holds throughout: each request has its reply while the fault lasts, with the draft's text; no edit is lost; the
status tells what is wrong; when the target works again, its text comes; the key is in no message and in no log.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.wire import NEOVIM, URI, Wire, script, server
from tests.raw_http import Act, RawServer, Visit, events, raw_server, reply
from tests.test_connection import (
    CHUNKED,
    KEY,
    PROXY_VARIABLES,
    cut,
    drip,
    drip_headers,
    endless,
    hang,
    plain_server,
    reset,
)

DRAFT, TARGET = "return 'draft'", "return 'target'"
GOOD = reply(events(f"{TARGET}\n"), headers={"content-type": "text/event-stream"})
OTHER_MODEL = reply(events(f"{TARGET}\n", model="another"), headers={"content-type": "text/event-stream"})
HTML = {"content-type": "text/html"}


def refused(status: int, **headers: str) -> Act:
    """An error whose text repeats the key, as some servers do."""
    body = f'{{"error": {{"message": "no, not with {KEY}"}}}}'
    return reply(body, status=status, headers={name.replace("_", "-"): value for name, value in headers.items()})


@dataclass(frozen=True)
class Fault:
    act: Act
    state: str
    slow: bool = False


FAULTS = {
    "401": Fault(refused(401), "refused"),
    "402": Fault(refused(402), "refused"),
    "403": Fault(refused(403), "refused"),
    "404": Fault(refused(404), "not-found"),
    "400": Fault(refused(400), "unreadable"),
    "429": Fault(refused(429), "limited"),
    "429 with seconds": Fault(refused(429, retry_after="1"), "limited"),
    "429 with a date": Fault(refused(429, retry_after="Wed, 25 Nov 2020 02:00:30 GMT"), "limited"),
    "500": Fault(refused(500), "failing"),
    "502, a web page": Fault(reply(f"<html>{KEY}</html>", status=502, headers=HTML), "failing"),
    "503 with seconds": Fault(refused(503, retry_after="1"), "failing"),
    "silence": Fault(hang, "slow", slow=True),
    "dripping headers": Fault(drip_headers, "slow", slow=True),
    "dripping body": Fault(drip, "slow", slow=True),
    "reset": Fault(reset, "unreachable"),
    "cut": Fault(cut, "unreachable"),
    "ends without an end": Fault(reply(events("return", finish=False)), "unreachable"),
    "wrong JSON": Fault(reply(f"{{'key': '{KEY}'}}"), "unreadable"),
    "a web page": Fault(reply(f"<!DOCTYPE html>{KEY}", headers=HTML), "unreadable"),
    "an endless answer": Fault(endless(CHUNKED % 200, events("x" * 50, finish=False)), "unreadable"),
    "an endless line": Fault(endless(CHUNKED % 200, b"x" * 65536), "unreadable"),
    "an endless error page": Fault(endless(CHUNKED % 500, b"x" * 65536), "unreadable"),
    "another model": Fault(OTHER_MODEL, "changed"),
}


class Session:
    """An editor that types. It knows what the document should be."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.lines = ["def answer():", "    ", ""]
        self.version = 0

    async def start(self, settings: dict[str, Any]) -> None:
        await self.wire.initialize(NEOVIM, settings)
        self.wire.open("\n".join(self.lines))

    async def type(self) -> None:
        """A new line above the cursor's, and a look whether it has arrived."""
        self.version += 1
        line = f"    x = {self.version}  # 😀é"
        start = {"line": len(self.lines) - 2, "character": 0}
        self.lines.insert(-2, line)
        change = {"range": {"start": start, "end": start}, "text": f"{line}\n"}
        identifier = {"uri": URI, "version": self.version}
        self.wire.notify("textDocument/didChange", {"textDocument": identifier, "contentChanges": [change]})
        told = await self.wire.call("egate/documentHash", {"textDocument": {"uri": URI}})
        expected = hashlib.sha256("\n".join(self.lines).encode()).hexdigest()
        assert (told["version"], told["sha256"]) == (self.version, expected)

    async def complete(self) -> str:
        items = await self.wire.inline(len(self.lines) - 2, 4, trigger=2)
        return items[0]["insertText"] if items else ""

    async def until_target(self) -> None:
        """Type and ask until the target's text comes."""
        while True:
            await self.type()
            text = await self.complete()
            if text == TARGET:
                return
            assert text == DRAFT

    def states(self) -> list[str]:
        """Of the target, as they were told."""
        told = [note["params"] for note in self.wire.notifications if note["method"] == "egate/statusChanged"]
        return [status["targetState"] for status in told]

    async def until_state(self, state: str) -> dict[str, Any]:
        await self.wire.until(lambda: self.states()[-1:] == [state])
        return await self.wire.call("egate/status", {})


def settings(tmp_path: Path, base_url: str, *, slow: bool = False, **target: Any) -> dict[str, Any]:
    """A draft that is never sure, and a target. A slow one is given up after the reply to the editor."""
    fields = {"baseUrl": base_url, "api": "suffix", "model": "m", "apiKey": KEY, "timeoutS": 0.5 if slow else 60}
    return {
        **script(tmp_path, ("", [(DRAFT, 5.0), ("\n", 5.0)])),
        "target": fields | target,
        "gate": {"tau": 0.0, "syntax": False},
        "cascade": {"deadlineMs": 50 if slow else 60_000, "showUnsure": "always", "pauseS": 0.05},
        "logLevel": "debug",
    }


def nothing_of_the_key(tmp_path: Path, wire: Wire) -> None:
    told = repr((wire.replies, wire.notifications, wire.orphans))
    told += "".join(path.read_text(encoding="utf-8") for path in tmp_path.glob("*.log*"))
    process = psutil.Process(wire.process.pid)
    told += repr([one.cmdline() for one in (process, *process.children(recursive=True))])
    parts = [KEY[start : start + 8] for start in range(len(KEY) - 7)]
    assert [told[max(told.index(part) - 80, 0) :][:160] for part in parts if part in told] == []


QUICK = [name for name, fault in FAULTS.items() if not fault.slow and fault.state != "changed"]
SLOW = [name for name, fault in FAULTS.items() if fault.slow]


@pytest.mark.parametrize("names", [QUICK[:6], QUICK[6:12], QUICK[12:]], ids=["1", "2", "3"])
async def test_a_session_goes_on_through_faults_and_between(tmp_path: Path, names: list[str]) -> None:
    async with raw_server(GOOD) as target, server(tmp_path) as wire:
        session = Session(wire)
        await session.start(settings(tmp_path, f"{target.url}/v1"))
        assert await session.complete() == TARGET
        for name in names:
            target.act = FAULTS[name].act
            for _ in range(3):
                await session.type()
                assert await session.complete() == DRAFT, name
            status = await session.until_state(FAULTS[name].state)
            assert status["state"] in {"ready", "working"}, name
            assert status["targetReason"], name
            target.act = GOOD
            await session.until_target()
            assert (await session.until_state("ok"))["targetReason"] == ""
        nothing_of_the_key(tmp_path, wire)


@pytest.mark.parametrize("name", SLOW)
async def test_a_slow_target_delays_nothing(tmp_path: Path, name: str) -> None:
    """It is given up long after the reply to the editor: what it does cannot have been waited for."""
    async with raw_server(FAULTS[name].act) as target, server(tmp_path) as wire:
        session = Session(wire)
        await session.start(settings(tmp_path, f"{target.url}/v1", slow=True))
        await session.type()
        assert await session.complete() == DRAFT
        await session.until_state("slow")
        await session.type()
        assert await session.complete() == DRAFT

        target.act = GOOD
        reconfigure(session, settings(tmp_path, f"{target.url}/v1"))
        await session.until_target()
        await session.until_state("ok")
        nothing_of_the_key(tmp_path, wire)


async def test_another_model_than_before_is_told_and_then_taken_for_what_it_is(tmp_path: Path) -> None:
    async with raw_server(GOOD) as target, server(tmp_path) as wire:
        session = Session(wire)
        await session.start(settings(tmp_path, f"{target.url}/v1"))
        assert await session.complete() == TARGET
        target.act = OTHER_MODEL
        await session.type()
        assert await session.complete() == DRAFT
        status = await session.until_state("changed")
        assert "another" in status["targetReason"]
        await session.until_target()
        await session.until_state("ok")


def reconfigure(session: Session, table: dict[str, Any]) -> None:
    session.wire.notify("workspace/didChangeConfiguration", {"settings": {"egate": table}})


async def test_a_server_that_asks_for_an_hour_is_left_alone_for_it(tmp_path: Path) -> None:
    async with raw_server(refused(429, retry_after="3600")) as target, server(tmp_path) as wire:
        session = Session(wire)
        await session.start(settings(tmp_path, f"{target.url}/v1"))
        for _ in range(6):
            await session.type()
            assert await session.complete() == DRAFT

        assert len(target.posts) == 1
        assert (await session.until_state("limited"))["targetReason"]


async def test_a_dead_server_is_not_hammered_and_one_that_starts_later_is_found(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with server(tmp_path) as wire:
        session = Session(wire)
        await session.start(settings(tmp_path, f"http://127.0.0.1:{port}/v1"))
        for _ in range(4):
            await session.type()
            assert await session.complete() == DRAFT
        assert "Nothing answers" in (await session.until_state("unreachable"))["targetReason"]

        starting = RawServer(GOOD)
        listening = await asyncio.start_server(starting._handle, "127.0.0.1", port)
        await session.until_target()
        await session.until_state("ok")
        listening.close()
        nothing_of_the_key(tmp_path, wire)


@pytest.mark.parametrize("way", ["TLS", "DNS", "proxy"])
async def test_a_way_that_is_barred_until_the_settings_are_mended(tmp_path: Path, monkeypatch, way: str) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    if way == "proxy":
        monkeypatch.setenv("http_proxy", "http://user:proxy-password@127.0.0.1:9")
    async with raw_server(GOOD) as target, plain_server() as plain, server(tmp_path) as wire:
        wrong = {
            "TLS": f"https://127.0.0.1:{plain}/v1",
            "DNS": "http://no-such-host.invalid/v1",
            "proxy": "http://target.example/v1",
        }[way]
        session = Session(wire)
        await session.start(settings(tmp_path, wrong))
        for _ in range(2):
            await session.type()
            assert await session.complete() == DRAFT
        status = await session.until_state("untrusted" if way == "TLS" else "unreachable")
        assert {"TLS": "encrypted", "DNS": "no-such-host.invalid", "proxy": "127.0.0.1:9"}[way] in status[
            "targetReason"
        ]
        assert "proxy-password" not in repr(wire.notifications)

        reconfigure(session, settings(tmp_path, f"{target.url}/v1"))
        await session.until_target()
        assert (await session.until_state("ok"))["targetReason"] == ""
        nothing_of_the_key(tmp_path, wire)


async def test_what_does_not_pass_by_itself_is_told_once(tmp_path: Path) -> None:
    async with raw_server(refused(401)) as target, server(tmp_path) as wire:
        session = Session(wire)
        await session.start(settings(tmp_path, f"{target.url}/v1"))
        while len(target.posts) < 3:
            await session.type()
            assert await session.complete() == DRAFT

        assert sum("refused the key" in message for message in wire.messages()) == 1


async def test_a_missing_key_leaves_the_draft_at_work(tmp_path: Path) -> None:
    async with raw_server(GOOD) as target, server(tmp_path) as wire:
        session = Session(wire)
        table = settings(tmp_path, f"{target.url}/v1", apiKey=None, apiKeyEnv="EGATE_NO_SUCH_KEY")
        await session.start(table)
        assert await session.complete() == DRAFT

        assert "EGATE_NO_SUCH_KEY" in (await session.until_state("refused"))["targetReason"]
        assert target.requests == []


async def test_settings_of_a_target_that_do_not_fit_together_leave_the_draft_at_work(tmp_path: Path) -> None:
    async with raw_server(GOOD) as target, server(tmp_path) as wire:
        session = Session(wire)
        await session.start(settings(tmp_path, f"{target.url}/v1", api="fim", fimModel="smollm2-135m"))
        await session.type()
        assert await session.complete() == DRAFT
        assert "FIM marks" in (await session.until_state("misconfigured"))["targetReason"]

        reconfigure(session, settings(tmp_path, f"{target.url}/v1"))
        await session.until_target()
        await session.until_state("ok")


async def test_an_answer_that_comes_after_the_deadline_is_there_for_the_next_request(tmp_path: Path) -> None:
    release = asyncio.Event()

    async def late(visit: Visit) -> None:
        await release.wait()
        await GOOD(visit)

    async with raw_server(late) as target, server(tmp_path) as wire:
        session = Session(wire)
        table = settings(tmp_path, f"{target.url}/v1")
        table["cascade"]["deadlineMs"] = 50
        table["cascade"]["showUnsure"] = "never"
        await session.start(table)
        assert await session.complete() == ""  # the reply came although the target will not answer before `release`
        release.set()
        while await session.complete() != TARGET:
            pass
        assert len(target.posts) == 1
