"""A bare JSON-RPC client of `egate-lsp serve` in a child process: requests that can be cancelled, and nothing between
the message and the clock. The commands that do not measure use `client.session`."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from egate_lsp.errors import EgateError
from egate_lsp.framing import Framer, frame

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

END_PATIENCE_S = 10.0
READY_PATIENCE_S = 600.0  # a model may have to be loaded from a slow disk
READY_LOOK_S = 0.1
CAPABILITIES = {
    "general": {"positionEncodings": ["utf-32"]},
    "textDocument": {"inlineCompletion": {"dynamicRegistration": False}},
    "experimental": {"egateUpgrade": True},
}


class RawClient:
    """One connection.

    Attributes:
        replies: number of replies by request id.
        on_notification: called with the method and the parameters of each.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._waiting: dict[int, Callable[[dict[str, Any]], None]] = {}
        self._last = 0
        self.replies: dict[int, int] = {}
        self.on_notification: Callable[[str, Any], None] = lambda _method, _params: None
        self._reader = asyncio.create_task(self._read(), name="egate raw client")

    @property
    def pid(self) -> int:
        """Of the server."""
        return self._process.pid

    def notify(self, method: str, params: Any = None) -> None:
        """Send a notification."""
        self._send({"jsonrpc": "2.0", "method": method, "params": params})

    def ask(self, method: str, params: Any, on_reply: Callable[[dict[str, Any]], None]) -> int:
        """Send a request; its id. `on_reply` gets the whole message, from the reader's task."""
        self._last += 1
        self._waiting[self._last] = on_reply
        self._send({"jsonrpc": "2.0", "id": self._last, "method": method, "params": params})
        return self._last

    async def call(self, method: str, params: Any = None) -> Any:
        """The result of a request.

        Raises:
            EgateError: the server answered with an error, or is gone.
        """
        reply: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.ask(method, params, lambda message: None if reply.done() else reply.set_result(message))
        waits: set[asyncio.Future[Any]] = {reply, self._reader}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if not reply.done():
            raise EgateError(f"The server ended before it answered {method}.", hint="Its log tells: egate-lsp doctor.")
        if "error" in reply.result():
            raise EgateError(f"The server refused {method}: {reply.result()['error'].get('message', '')}.")
        return reply.result()["result"]

    def cancel(self, request: int) -> None:
        """Tell the server that nobody waits for this request."""
        self.notify("$/cancelRequest", {"id": request})

    async def ready(self) -> None:
        """Wait until the draft model is loaded.

        Raises:
            EgateError: it cannot be.
        """
        async with asyncio.timeout(READY_PATIENCE_S):
            while True:
                status = await self.call("egate/status", {})
                if status["state"] == "error":
                    raise EgateError(status["reason"], hint=status["hint"])
                if status["state"] not in {"starting", "fetching", "loading"}:
                    return
                await asyncio.sleep(READY_LOOK_S)

    async def aclose(self) -> None:
        """Shut the server down as an editor does."""
        try:
            async with asyncio.timeout(END_PATIENCE_S):
                await self.call("shutdown")
                self.notify("exit")
                await self._process.wait()
        except (TimeoutError, EgateError):
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        await asyncio.gather(self._reader, return_exceptions=True)

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(frame(json.dumps(message).encode()))

    async def _read(self) -> None:
        assert self._process.stdout is not None
        framer = Framer()
        while data := await self._process.stdout.read(1 << 16):
            for body in framer.feed(data):
                self._take(json.loads(body))

    def _take(self, message: dict[str, Any]) -> None:
        if "method" in message:
            if "id" in message:
                self._send({"jsonrpc": "2.0", "id": message["id"], "result": None})
            else:
                self.on_notification(message["method"], message.get("params"))
            return
        number = message.get("id")
        if isinstance(number, int):
            self.replies[number] = self.replies.get(number, 0) + 1
            if (on_reply := self._waiting.pop(number, None)) is not None:
                on_reply(message)


@asynccontextmanager
async def raw_client(options: dict[str, Any]) -> AsyncIterator[RawClient]:
    """The server with these initializationOptions, ready to complete. What it learns of its user is kept in a folder
    that is deleted at the end, and it writes no ledger.

    Raises:
        EgateError: it does not start, or its model cannot be used.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "egate_lsp", "serve", "--log-file", str(Path(folder) / "server.log")),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "XDG_STATE_HOME": folder},
        )
        client = RawClient(process)
        try:
            await client.call(
                "initialize",
                {
                    "processId": None,
                    "rootUri": None,
                    "capabilities": CAPABILITIES,
                    "initializationOptions": {**options, "ledger": {"enabled": False}},
                },
            )
            client.notify("initialized", {})
            await client.ready()
            yield client
        finally:
            await client.aclose()
