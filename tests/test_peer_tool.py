"""The peer of a replay on a server of our own: what is asked, what is answered from the cache, what waits its turn."""

from __future__ import annotations

import asyncio
import json

import pytest

from egate_lsp.errors import EgateError
from egate_lsp.evaluation.peer_tool import LlamaVim
from egate_lsp.evaluation.typing_script import Step
from tests.raw_http import Visit, raw_server

LINES = "\n".join(f"before_{number} = {number}" for number in range(5))


def reply(content: str, predicted: int = 3) -> bytes:
    body = json.dumps({"content": content, "timings/prompt_n": 7, "timings/predicted_n": predicted}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def key(text: str, before: str) -> tuple[Step, str]:
    return Step("key", len(before), 0, text, 1.0), before + text


async def answered(visit: Visit) -> None:
    speculative = visit.request.body["t_max_predict_ms"] == 1000
    await visit.send(reply("" if speculative else "llo = 1\n", 5 if speculative else 3))


async def test_a_reply_is_shown_and_what_is_typed_of_it_comes_from_the_cache() -> None:
    async with raw_server(answered) as server:
        tool = LlamaVim(server.url, None)
        await tool.open("a.py", "python", LINES + "\nhe")
        first = tool.press(*key("", LINES + "\nhe"))
        assert not first.reused
        await first.arrived.wait()
        assert (first.text, first.insert) == ("llo = 1", "llo = 1")

        second = tool.press(*key("l", LINES + "\nhe"))
        assert (second.at is not None, second.reused, second.text) == (True, True, "lo = 1")
        await tool.settle()
        work = await tool.work()
        await tool.aclose()

    bodies = [request.body for request in server.posts if request.body["n_predict"]]
    assert bodies[0]["prompt"] == "he"
    assert bodies[0]["input_prefix"] == LINES + "\n"
    # Behind what is shown, and for the new place too: the plug-in does not look whether something is shown there.
    assert {body["prompt"] for body in bodies[1:]} == {"hello = 1", "hel"}
    assert work.prompt_tokens == 7 * len(server.posts)
    assert work.decoded_tokens == sum(5 if body["t_max_predict_ms"] == 1000 else 3 for body in bodies)
    assert (work.cpu_s, work.shown_tokens) == (None, 3)


async def test_it_has_settled_when_it_has_read_the_ring() -> None:
    async with raw_server(answered) as server:
        tool = LlamaVim(server.url, None)
        for name in "abc":
            await tool.open(f"{name}.py", "python", "".join(f"{name}{number}\n" for number in range(40)))
            await tool.close()
        await tool.settle()
        read = len([request for request in server.posts if not request.body["n_predict"]])
        await tool.aclose()

    assert read == 3


async def test_one_request_at_a_time_and_the_newest_place_next() -> None:
    free = asyncio.Event()

    async def slow(visit: Visit) -> None:
        await free.wait()
        await visit.send(reply("x" + str(len(server.posts))))

    async with raw_server(slow) as server:
        tool = LlamaVim(server.url, None)
        await tool.open("a.py", "python", LINES + "\n")
        overtaken = tool.press(*key("a", LINES + "\n"))
        await server.asked.wait()
        tool.press(*key("b", LINES + "\na"))
        last = tool.press(*key("c", LINES + "\nab"))
        free.set()
        await last.arrived.wait()
        await tool.close()
        await tool.settle()
        await tool.aclose()

    assert overtaken.at is None
    prompts = [request.body["prompt"] for request in server.posts if request.body["t_max_predict_ms"] == 250]
    assert prompts == ["a", "abc"]


async def test_it_is_not_asked_in_the_middle_of_a_line() -> None:
    async with raw_server(answered) as server:
        tool = LlamaVim(server.url, None)
        await tool.open("a.py", "python", LINES)
        step = Step("key", 3, 0, "x", 1.0)
        answer = tool.press(step, step.apply(LINES))
        await tool.aclose()

    assert (answer.at is not None, answer.asked, answer.text) == (True, False, "")
    assert server.posts == []


async def test_a_server_that_cannot_fill_holes_is_named() -> None:
    async def refuses(visit: Visit) -> None:
        await visit.send(b"HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\n\r\n")

    async with raw_server(refuses) as server:
        tool = LlamaVim(server.url, None)
        with pytest.raises(EgateError, match="501"):
            await tool.check()
        await tool.aclose()
