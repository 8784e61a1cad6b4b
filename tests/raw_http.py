"""A server of raw bytes on the loopback address: it does to a client whatever a test tells it to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

Act = Callable[["Visit"], Awaitable[None]]


@dataclass
class Request:
    """As it came in."""

    method: str
    path: str
    head: str
    body: dict[str, Any]


@dataclass
class Visit:
    """One request and the means to answer it."""

    request: Request
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    server: RawServer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def until_gone(self) -> None:
        """Wait until the client has closed."""
        await self.reader.read()
        self.server.gone.set()
        raise ConnectionError


class RawServer:
    """`act` answers each request; it can be exchanged at any time.

    Attributes:
        requests: all that were made, oldest first.
        asked, gone: set when a request has come, and when a client has gone.
    """

    def __init__(self, act: Act) -> None:
        self.act = act
        self.requests: list[Request] = []
        self.asked = asyncio.Event()
        self.gone = asyncio.Event()
        self.port = 0

    @property
    def posts(self) -> list[Request]:
        return [request for request in self.requests if request.method == "POST"]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
                body = await reader.readexactly(int(fields.get("content-length", 0)))
                method, path, _ = head.split(" ", 2)
                request = Request(method, path, head, json.loads(body or b"{}"))
                self.requests.append(request)
                self.asked.set()
                await self.act(Visit(request, reader, writer, self))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client has gone, or the test is over
        finally:
            self.gone.set()
            writer.close()


@asynccontextmanager
async def raw_server(act: Act, **options: Any) -> AsyncIterator[RawServer]:
    """`options` go to `asyncio.start_server`, e.g. ssl."""
    server = RawServer(act)
    listening = await asyncio.start_server(server._handle, "127.0.0.1", 0, **options)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        await listening.wait_closed()


def reply(
    body: bytes | str | Iterable[bytes] = b"", *, status: int = 200, headers: dict[str, str] | None = None
) -> Act:
    """A whole answer, in chunks where `body` is several pieces."""
    pieces = [body.encode() if isinstance(body, str) else body] if isinstance(body, bytes | str) else list(body)

    async def act(visit: Visit) -> None:
        fields = {"content-type": "application/json", **(headers or {}), "transfer-encoding": "chunked"}
        told = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        await visit.send(f"HTTP/1.1 {status} Any\r\n{told}\r\n".encode())
        for piece in pieces:
            if piece:
                await visit.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        await visit.send(b"0\r\n\r\n")

    return act


def in_turn(*acts: Act) -> Act:
    """One after the other; the last stays."""
    waiting = list(acts)

    async def act(visit: Visit) -> None:
        await (waiting.pop(0) if len(waiting) > 1 else waiting[0])(visit)

    return act


def events(*texts: str, api: str = "suffix", model: str = "m", finish: bool = True) -> bytes:
    """A good stream of server-sent events."""
    out = []
    for text in texts:
        choice = {"index": 0, "delta": {"content": text}} if api == "chat" else {"index": 0, "text": text}
        out.append({"object": "x", "model": model, "choices": [choice | {"finish_reason": None}]})
    if finish:
        last = {"index": 0, "delta": {}} if api == "chat" else {"index": 0, "text": ""}
        out.append({"object": "x", "model": model, "choices": [last | {"finish_reason": "stop"}]})
        usage = {"prompt_tokens": 9, "completion_tokens": len(texts)}
        out.append({"object": "x", "model": model, "choices": [], "usage": usage})
    done = "data: [DONE]\n\n" if finish else ""
    return ("".join(f"data: {json.dumps(event)}\n\n" for event in out) + done).encode()
