"""The target against a real HTTP server on loopback that plays OpenAI exchanges, good and bad."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import Any

import pytest

from egate_lsp.config import Target
from egate_lsp.errors import (
    TargetAuthError,
    TargetRateLimited,
    TargetReplyError,
    TargetTimeout,
    TargetUnavailable,
)
from egate_lsp.models import Limits
from egate_lsp.models.fim import QWEN, FimOrder
from egate_lsp.models.openai_target import OpenAITarget
from egate_lsp.values import FimContext, Shape, Snippet

HOLE = FimContext("def add(a, b):\n    return ", "\n\nprint(add(1, 2))\n", "a.py", "python", Shape.LINE)
HANG = object()


class Play:
    """What the server answers, and what it saw."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.heads: list[str] = []
        self.asked = asyncio.Event()
        self.gone = asyncio.Event()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next(
                    (
                        int(line.split(":")[1])
                        for line in head.split("\r\n")
                        if line.lower().startswith("content-length")
                    ),
                    0,
                )
                self.heads.append(head)
                self.paths.append(head.split(" ")[1])
                self.requests.append(json.loads(await reader.readexactly(length) or b"{}"))
                self.asked.set()
                await self.answer(reader, writer, self.answers.pop(0) if self.answers else HANG)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client has gone, or the test is over
        finally:
            self.gone.set()
            writer.close()

    async def answer(self, reader, writer, answer) -> None:
        if answer is HANG:
            await reader.read()  # until the client goes
            self.gone.set()
            raise ConnectionError
        status, kind, chunks = answer
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for chunk in chunks:
            if chunk is HANG:
                await writer.drain()
                await reader.read()
                self.gone.set()
                raise ConnectionError
            writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        writer.write(b"0\r\n\r\n")
        await writer.drain()


def stream(*texts: Any, chat: bool = False, usage: dict[str, int] | None = None):
    """A good streamed answer."""
    chunks: list[Any] = []
    for text in texts:
        if text is HANG:
            chunks.append(HANG)
            continue
        choice = {"index": 0, "delta": {"content": text}} if chat else {"index": 0, "text": text, "finish_reason": None}
        chunks.append(
            f"data: {json.dumps({'id': 'x', 'object': 'o', 'created': 1, 'model': 'm', 'choices': [choice]})}\n\n"
        )
    if usage is not None:
        body = {"id": "x", "object": "o", "created": 1, "model": "m", "choices": [], "usage": usage}
        chunks.append(f"data: {json.dumps(body)}\n\n")
    chunks.append("data: [DONE]\n\n")
    return 200, "text/event-stream", [chunk if chunk is HANG else chunk.encode() for chunk in chunks]


def refused(status: int, message: str = "no"):
    return status, "application/json", [json.dumps({"error": {"message": message}}).encode()]


@asynccontextmanager
async def target(play: Play, **settings):
    server = await asyncio.start_server(play.handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    fields = {"api": "suffix", "timeout_s": 30.0, "model": "m", **settings}
    subject = OpenAITarget(
        Target(base_url=f"http://127.0.0.1:{port}/v1", **fields), marks=QWEN, order=FimOrder.SUFFIX_FIRST
    )
    try:
        yield subject
    finally:
        await subject.aclose()
        server.close()
        await server.wait_closed()


async def text_of(subject: OpenAITarget, context: FimContext = HOLE) -> str:
    return b"".join([token.piece async for token in subject.generate(context, Limits(40, 1))]).decode()


async def test_suffix_api() -> None:
    answer = stream("a", " + b", usage={"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12})
    play = Play(answer)
    async with target(play) as subject:
        assert await text_of(subject) == "a + b"
        usage = dict(subject.usage())

    length = next(line for line in play.heads[0].lower().split("\r\n") if line.startswith("content-length"))
    assert usage.pop("bytes_out") == float(length.split(":")[1])
    assert usage.pop("bytes_in") == float(sum(map(len, answer[2])))
    assert usage == {"prompt_tokens": 9.0, "generated_tokens": 3.0}
    assert play.paths == ["/v1/completions"]
    assert play.requests[0]["prompt"] == HOLE.prefix.removesuffix(" ")
    assert play.requests[0]["suffix"] == HOLE.suffix
    assert play.requests[0]["max_tokens"] == 40


async def test_fim_api_heals_the_seam() -> None:
    play = Play(stream(" re", "turn a + b"))
    async with target(play, api="fim") as subject:
        assert await text_of(subject, FimContext("def f(a, b):\n    retu", "\n", shape=Shape.LINE)) == "rn a + b"

    assert play.requests[0]["prompt"] == "<|fim_prefix|><|fim_suffix|>\n<|fim_middle|>def f(a, b):\n   "


async def test_fim_answer_that_does_not_fit_what_was_typed() -> None:
    async with target(Play(stream(" yield a")), api="fim") as subject:
        with pytest.raises(TargetReplyError, match="does not continue"):
            await text_of(subject, FimContext("def f(a, b):\n    retu", "\n", shape=Shape.LINE))


async def test_chat_api_cleans_the_whole_reply() -> None:
    play = Play(stream("```python\n", "a + b\n", "```", chat=True))
    async with target(play, api="chat") as subject:
        assert await text_of(subject) == "a + b"

    assert play.paths == ["/v1/chat/completions"]


async def test_the_key_comes_from_the_environment(monkeypatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-1")
    play = Play(stream("x"))
    async with target(play, api_key_env="MY_KEY") as subject:
        await text_of(subject)
        assert "authorization: bearer sk-1" in play.heads[0].lower()


async def test_a_key_that_is_not_set_names_its_variable() -> None:
    subject = OpenAITarget(Target(base_url="http://x/v1", api_key_env="MY_KEY"), marks=None, order=FimOrder.PREFIX_ONLY)
    with pytest.raises(TargetAuthError, match="MY_KEY"):
        await text_of(subject)


@pytest.mark.parametrize(
    ("answer", "error", "hint"),
    [
        (refused(400, "suffix is not currently supported"), TargetReplyError, "target.api"),
        (refused(401), TargetAuthError, "api_key_env"),
        (refused(404), TargetReplyError, "target.model"),
        (refused(429), TargetRateLimited, "pause"),
        (refused(500), TargetUnavailable, "log"),
        ((200, "text/html", [b"<html>hello</html>"]), TargetReplyError, "/v1"),
        ((200, "text/event-stream", [b"data: {not json}\n\n"]), TargetReplyError, ""),
        ((200, "text/event-stream", [b'data: {"choices": "none"}\n\n']), TargetReplyError, "/v1"),
        (stream(*(["x" * 5000] * 5)), TargetReplyError, "max_tokens"),
    ],
    ids=["no suffix", "key", "model", "rate", "own error", "html", "no json", "no choices", "endless"],
)
async def test_bad_answers(answer, error, hint) -> None:
    async with target(Play(answer)) as subject:
        with pytest.raises(error) as caught:
            await text_of(subject)
    assert hint in caught.value.hint
    assert HOLE.prefix not in str(caught.value)


async def test_nobody_there() -> None:
    subject = OpenAITarget(
        Target(base_url="http://127.0.0.1:9/v1", api="suffix"), marks=None, order=FimOrder.PREFIX_ONLY
    )
    with pytest.raises(TargetUnavailable, match=r"Nothing answers at http://127\.0\.0\.1:9"):
        await text_of(subject)
    await subject.aclose()


@pytest.mark.parametrize("answer", [HANG, stream("a", HANG)], ids=["before the headers", "in the middle"])
async def test_a_hang_ends_at_the_timeout(answer) -> None:
    async with target(Play(answer), timeout_s=0.3) as subject:
        with pytest.raises(TargetTimeout):
            await text_of(subject)


async def test_closing_the_stream_closes_the_socket() -> None:
    play = Play(stream("a\n", HANG))
    async with target(play) as subject:
        pieces = subject.generate(HOLE, Limits(40, 1))
        assert (await anext(pieces)).piece == b"a\n"
        await pieces.aclose()
        async with asyncio.timeout(30):
            await play.gone.wait()


async def test_cancelling_the_task_closes_the_socket() -> None:
    play = Play(HANG)
    async with target(play) as subject:
        task = asyncio.create_task(text_of(subject))
        await play.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(30):
            await play.gone.wait()


async def test_a_field_that_the_server_does_not_know_is_left_out_from_then_on() -> None:
    play = Play(refused(400, "unknown field stream_options"), stream("one"), stream("two"))
    async with target(play) as subject:
        assert await text_of(subject) == "one"
        assert await text_of(subject) == "two"

    assert ["stream_options" in request for request in play.requests] == [True, False, False]


async def test_the_outline_stands_before_the_prefix() -> None:
    play = Play(stream("rn a + b"))
    context = FimContext("def f(a, b):\n    return ", "\n", shape=Shape.LINE, outline="import os\n")
    async with target(play) as subject:
        await text_of(subject, context)

    assert play.requests[0]["prompt"] == "import os\ndef f(a, b):\n    return"
    assert play.requests[0]["suffix"] == "\n"


async def test_other_files_stand_before_the_prefix_in_every_form() -> None:
    store = Snippet("pkg/store.py", "def open_store(path): ...\n", "definitions", "/ws/pkg/store.py")
    context = FimContext("x = op", ")\n", "a.py", "python", Shape.LINE, snippets=(store,))
    before = "# pkg/store.py\ndef open_store(path): ...\n\n# a.py\nx = op"
    for api, sent in (
        ("suffix", lambda request: request["prompt"]),
        ("fim", lambda request: request["prompt"].partition("<|fim_middle|>")[2]),
        ("chat", lambda request: request["messages"][-1]["content"].partition("a.py\n\n")[2]),
    ):
        play = Play(stream("en(path)"))
        async with target(play, api=api, healing=False) as subject:
            await text_of(subject, context)
        assert sent(play.requests[0]).startswith(before), api
