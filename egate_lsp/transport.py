"""How a client reaches the server: standard input and output, TCP, WebSocket. Each connection has its own server."""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import sys
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from egate_lsp.framing import Framer, frame

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from egate_lsp.server import EgateServer

log = logging.getLogger(__name__)

READ_BYTES = 1 << 16


class _Connection:
    """One server with its queue of messages."""

    def __init__(self, server: EgateServer, send: Callable[[bytes], None]) -> None:
        self.server = server
        self.bodies: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.exit_code = 1
        server.protocol.on_exit = self._exit
        server.protocol.set_writer(_Writer(send), include_headers=False)

    async def run(self) -> int:
        """Handle messages until the client says exit or is gone; the exit code as LSP defines it."""
        try:
            while (body := await self.bodies.get()) is not None:
                self.server.protocol.receive(body)
                # A request's coroutine takes its snapshot of the document in its first step: let it, before the
                # next message changes the document.
                await asyncio.sleep(0)
        finally:
            await self.server.aclose()
        return self.exit_code

    def _exit(self, code: int) -> None:
        self.exit_code = code
        self.bodies.put_nowait(None)


class _Writer:
    """What pygls wants to write to; gets bodies without headers."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send

    def write(self, data: bytes) -> None:
        self._send(data)

    def close(self) -> None:
        """The transport closes itself."""


def serve_stdio(make_server: Callable[[], EgateServer]) -> int:
    """Serve one client on standard input and output.

    Whatever else writes to file descriptor 1 from now on, a C library included, writes to standard error.
    """
    outgoing = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr

    def send(body: bytes) -> None:
        data = memoryview(frame(body))
        try:
            while data:
                data = data[outgoing.write(data) or 0 :]
        except OSError:
            log.info("the client does not read any more")

    async def run() -> int:
        loop = asyncio.get_running_loop()
        connection = _Connection(make_server(), send)

        def read() -> None:
            framer = Framer()
            while data := os.read(0, READ_BYTES):
                for body in framer.feed(data):
                    loop.call_soon_threadsafe(connection.bodies.put_nowait, body)
            loop.call_soon_threadsafe(connection.bodies.put_nowait, None)

        # A daemon: a read that never returns must not keep the process.
        threading.Thread(target=_quietly(read), name="stdin", daemon=True).start()
        return await connection.run()

    return asyncio.run(run())


async def serve_tcp(make_server: Callable[[], EgateServer], host: str, port: int, ready: Callable[[int], None]) -> None:
    """Serve clients on a TCP port until cancelled; `ready` is told the port."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(make_server(), lambda body: writer.write(frame(body)))

        async def read() -> None:
            framer = Framer()
            while data := await reader.read(READ_BYTES):
                for body in framer.feed(data):
                    connection.bodies.put_nowait(body)
            connection.bodies.put_nowait(None)

        reading = asyncio.create_task(read())
        try:
            await connection.run()
        finally:
            reading.cancel()
            writer.close()

    async with await asyncio.start_server(connected, host, port) as server:
        ready(server.sockets[0].getsockname()[1])
        await server.serve_forever()


async def serve_ws(
    make_server: Callable[[], EgateServer],
    host: str,
    port: int,
    token: str,
    ready: Callable[[int], None],
    origins: Sequence[str] = (),
) -> None:
    """Serve clients over WebSocket until cancelled.

    Any web page can try to connect to this machine. So a client must name the token in its address, `?token=...`, and
    a browser's page must, if `origins` are given, come from one of them; who is no browser sends no origin. Everything
    else is answered with HTTP 403 and the reason.
    """
    from websockets.asyncio.server import ServerConnection, serve
    from websockets.exceptions import ConnectionClosed

    def check(connection: ServerConnection, request: Any) -> Any:
        given = parse_qs(urlsplit(request.path).query).get("token", [""])[0]
        if not hmac.compare_digest(given.encode("utf-8", "surrogatepass"), token.encode()):
            return connection.respond(403, "The address must carry the token that egate-lsp printed: ?token=...\n")
        named = request.headers.get_all("Origin")
        if origins and any(origin not in origins for origin in named):
            return connection.respond(403, "Pages from this origin may not connect; see egate-lsp serve --origin.\n")
        return None

    async def connected(socket: ServerConnection) -> None:
        outgoing: asyncio.Queue[bytes] = asyncio.Queue()
        connection = _Connection(make_server(), outgoing.put_nowait)

        async def write() -> None:
            while True:
                await socket.send((await outgoing.get()).decode())

        async def read() -> None:
            try:
                async for message in socket:
                    connection.bodies.put_nowait(message.encode() if isinstance(message, str) else message)
            except ConnectionClosed:
                pass
            connection.bodies.put_nowait(None)

        tasks = [asyncio.create_task(write()), asyncio.create_task(read())]
        try:
            await connection.run()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async with serve(connected, host, port, process_request=check, max_size=None) as server:
        ready(next(iter(server.sockets)).getsockname()[1])
        await server.serve_forever()


def _quietly(work: Callable[[], None]) -> Callable[[], None]:
    """A thread's work whose loop may be closed under it at the very end."""

    def run() -> None:
        try:
            work()
        except (RuntimeError, OSError):
            log.debug("the input's thread ended with the loop")

    return run
