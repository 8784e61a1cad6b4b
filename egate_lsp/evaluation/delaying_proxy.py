"""A proxy on the loopback address that holds back each answer of a server: a real target, made slow."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self

CHUNK = 1 << 16


class DelayingProxy:
    """Async context manager. What the client sends goes on at once; what comes back waits until `delay_s` after the
    client last sent something."""

    def __init__(self, host: str, port: int, delay_s: float) -> None:
        self._host, self._port, self._delay_s = host, port, delay_s
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        loop = asyncio.get_running_loop()
        not_before = loop.time()

        async def onward(upstream: asyncio.StreamWriter) -> None:
            nonlocal not_before
            while data := await reader.read(CHUNK):
                not_before = loop.time() + self._delay_s
                upstream.write(data)
                await upstream.drain()

        async def back(upstream: asyncio.StreamReader) -> None:
            while data := await upstream.read(CHUNK):
                while (wait := not_before - loop.time()) > 0:  # noqa: ASYNC110  # it may have been put off meanwhile
                    await asyncio.sleep(wait)
                writer.write(data)
                await writer.drain()

        try:
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
            ways = [asyncio.create_task(onward(far_writer)), asyncio.create_task(back(far_reader))]
            try:
                # Whoever closes first ends both, so that a client that gives up is seen to be gone.
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
                far_writer.close()
        except OSError:
            pass  # the client sees its connection closed
        finally:
            self._connections.discard(task)
            with contextlib.suppress(OSError):
                writer.close()
