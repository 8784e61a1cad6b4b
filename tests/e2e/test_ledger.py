"""What a session leaves in the ledger, and what the budget does to it, through the real server and a real socket."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from egate_lsp.ledger_file import LedgerFile, default_path
from tests.e2e.wire import NEOVIM, URI, script, server
from tests.test_openai_target import HANG, Play, stream

UNSURE = [("drafted", 5.0), ("\n", 0.1)]
DOCUMENT = "SENTINEL = 1\nx = \n"
USAGE = {"prompt_tokens": 1000, "completion_tokens": 10, "total_tokens": 1010}


@asynccontextmanager
async def session(tmp_path: Path, play: Play, **tables):
    """A server with a target that plays these answers."""
    listening = await asyncio.start_server(play.handle, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    target = {"base_url": f"http://127.0.0.1:{port}/v1", "api": "suffix", "model": "big", "timeout_s": 60}
    options = script(tmp_path, ("", UNSURE)) | {"target": target, "gate": {"tau": 0.1}} | tables
    try:
        async with server(tmp_path) as wire:
            await wire.initialize(NEOVIM, options)
            wire.open(DOCUMENT)
            yield wire
    finally:
        listening.close()
        await listening.wait_closed()


def edit(wire, version: int, start: tuple[int, int], end: tuple[int, int], text: str) -> None:
    places = {
        name: {"line": line, "character": character} for name, (line, character) in (("start", start), ("end", end))
    }
    changes = [{"range": places, "text": text}]
    wire.notify("textDocument/didChange", {"textDocument": {"uri": URI, "version": version}, "contentChanges": changes})


def written():
    file = LedgerFile(default_path())
    try:
        return file.requests(), file.suggestions()
    finally:
        file.close()


async def test_a_session_s_requests_and_suggestions_are_written_down(tmp_path: Path) -> None:
    prices = {"big": {"input": 1.0, "output": 2.0}}
    async with session(tmp_path, Play(stream("targeted", usage=USAGE)), prices=prices) as wire:
        (item,) = await wire.inline(1, 4, trigger=0)
        assert item["insertText"] == "targeted"
        edit(wire, 1, (1, 4), (1, 4), "targeted")
        today = (await wire.call("egate/statistics", {}))["today"]
    (request,), (suggestion,) = written()

    assert (request.model, request.local, request.outcome, request.file) == (
        "big",
        True,
        "answered",
        "/tmp/egate/sample.py",
    )
    assert (suggestion.outcome, suggestion.source, suggestion.chars_taken) == ("accepted", "target", 8)
    assert "sum surprisal" in request.reason
    assert (today["lines"], today["linesTarget"]) == (1, 1)
    # The line was there before the server told its usage, so this is reckoned from what went over the wire.
    assert request.cost is not None
    assert request.bytes_out > len(DOCUMENT)


async def test_no_text_of_the_document_is_in_the_files(tmp_path: Path) -> None:
    async with session(tmp_path, Play(stream("answered_secret", usage=USAGE))) as wire:
        await wire.inline(1, 4, trigger=0)
    left = b"".join(path.read_bytes() for path in default_path().parent.rglob("*") if path.is_file())

    assert b"sample.py" in left
    for text in (b"SENTINEL", b"drafted", b"answered_secret"):
        assert text not in left


async def test_when_the_cap_is_reached_completions_go_on_locally_and_the_user_is_told(tmp_path: Path) -> None:
    play = Play(*[stream("targeted", usage=USAGE)] * 5)
    tables = {"prices": {"big": {"input": 1000.0}}, "budget": {"perDay": 1.0}}
    async with session(tmp_path, play, **tables) as wire:
        shown = []
        for number in range(4):
            edit(wire, number, (0, 0), (0, 0), f"# {number}\n")
            (item,) = await wire.inline(number + 2, 4, trigger=0)
            shown.append(item["insertText"])
        status = await wire.call("egate/status", {})
        messages = wire.messages()
    requests, suggestions = written()
    sent = len(play.requests)

    assert 1 <= sent < 4
    assert shown == ["targeted"] * sent + ["drafted"] * (4 - sent)
    assert sum(each.cost or 0.0 for each in requests) <= 1.0
    assert status["today"]["cap"] == 1.0
    assert "day's cap of 1.00 USD is reached" in status["today"]["warning"]
    assert status["reason"] == status["today"]["warning"]
    assert [text for text in messages if "day's cap" in text] == [
        "egate-lsp: the day's cap of 1.00 USD is reached; lines stay with the draft"
    ]
    assert len(suggestions) == 4


async def test_a_killed_server_has_written_down_what_left(tmp_path: Path) -> None:
    play = Play(HANG)
    listening = await asyncio.start_server(play.handle, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    target = {"base_url": f"http://127.0.0.1:{port}/v1", "api": "suffix", "model": "big", "timeout_s": 60}
    caps = {"budget": {"inFlight": 3}}  # so that the record is on the disk before the request leaves
    async with server(tmp_path, shut_down=False) as wire:
        await wire.initialize(NEOVIM, script(tmp_path, ("", UNSURE)) | {"target": target, "gate": {"tau": 0.1}} | caps)
        wire.open(DOCUMENT)
        wire.ask_inline(1, 4, trigger=0)
        await play.asked.wait()
        psutil.Process(wire.process.pid).kill()
        await wire.process.wait()
        wire.sent_ids.clear()  # nobody replies any more
        listening.close()
        await listening.wait_closed()
    requests, _ = written()

    assert [each.outcome for each in requests] == ["open"]


async def test_a_corrupt_ledger_costs_no_completion_and_is_told_once(tmp_path: Path) -> None:
    path = default_path()
    path.parent.mkdir(parents=True)
    path.write_bytes(b"this is no database" * 400)
    async with session(tmp_path, Play(stream("targeted", usage=USAGE))) as wire:
        (item,) = await wire.inline(1, 4, trigger=0)
        assert item["insertText"] == "targeted"
        await wire.until(lambda: any("corrupt" in text for text in wire.messages()))
    requests, suggestions = written()

    assert (len(requests), len(suggestions)) == (1, 1)
    assert len([text for text in wire.messages() if "corrupt" in text]) == 1


async def test_a_folder_that_cannot_be_written_costs_no_completion(tmp_path: Path) -> None:
    path = default_path()
    path.parent.parent.mkdir(parents=True)
    path.parent.write_text("a file where the folder should be")
    async with session(tmp_path, Play(stream("targeted", usage=USAGE))) as wire:
        (item,) = await wire.inline(1, 4, trigger=0)
        await wire.until(lambda: any("ledger" in text for text in wire.messages()))

        assert item["insertText"] == "targeted"
        assert (await wire.call("egate/statistics", {}))["today"]["lines"] == 1


async def test_two_servers_share_the_day_s_sums(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    async with (
        session(tmp_path, Play(stream("targeted", usage=USAGE))) as first,
        session(tmp_path / "other", Play(*[stream("targeted", usage=USAGE)] * 2)) as second,
    ):
        await first.inline(1, 4, trigger=0)
        await second.inline(1, 4, trigger=0)
        today = (await second.call("egate/statistics", {}))["today"]
        assert today["lines"] in {1, 2}  # what the first has handed over may be on its way
        await second.inline(0, 12, trigger=0)
        await second.until(lambda: _lines(second) >= 3)


def _lines(wire) -> int:
    told = [note["params"]["today"] for note in wire.notifications if note["method"] == "egate/statusChanged"]
    return max((today["lines"] for today in told if today), default=0)
