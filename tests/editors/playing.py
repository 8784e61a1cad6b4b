"""A target on loopback for whole sessions: it answers when it is told to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.test_openai_target import Play


class Waiting(Play):
    """Answers nothing until `release` is set."""

    def __init__(self, *answers: Any) -> None:
        super().__init__(*answers)
        self.release = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Any) -> None:
        await self.release.wait()
        await super().answer(reader, writer, answer)


@asynccontextmanager
async def playing(play: Play) -> AsyncIterator[dict[str, str]]:
    """Settings for the target that plays."""
    server = await asyncio.start_server(play.handle, "127.0.0.1", 0)
    try:
        yield {"base_url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", "api": "suffix", "model": "m"}
    finally:
        server.close()
        if isinstance(play, Waiting):
            play.release.set()
        await server.wait_closed()


def nobody() -> dict[str, str]:
    """Settings for a target where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return {"base_url": f"http://127.0.0.1:{port}/v1", "api": "suffix", "model": "m"}
