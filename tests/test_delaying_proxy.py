"""A proxy that holds answers back: nothing is lost, and nothing comes early."""

from __future__ import annotations

import asyncio

from egate_lsp.evaluation.delaying_proxy import DelayingProxy


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1000):
        writer.write(data.upper())
    writer.close()


async def test_answers_come_late_and_whole() -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    loop = asyncio.get_running_loop()
    async with DelayingProxy("127.0.0.1", port, 0.1) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        for word in (b"one", b"two"):
            started = loop.time()
            writer.write(word)
            assert await reader.readexactly(3) == word.upper()
            assert loop.time() - started >= 0.1
        writer.close()
        await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def test_a_server_that_is_not_there_closes_the_connection() -> None:
    async with DelayingProxy("127.0.0.1", 1, 0.0) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await reader.read() == b""
        writer.close()
