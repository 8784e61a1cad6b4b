"""A model of one's own as a real OpenAI-compatible server on the loopback address: the demo's target."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Self

from egate_lsp.errors import TargetUnavailable
from egate_lsp.models.engine_process import default_threads

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

START_PATIENCE_S = 120.0
END_PATIENCE_S = 3.0


class LocalServer:
    """Async context manager around the server's process.

    Attributes:
        base_url: ends in /v1; set on entering.
    """

    def __init__(
        self,
        path: Path,
        *,
        context_tokens: int = 4096,
        threads: int | None = None,
        options: Mapping[str, int] | None = None,
        yielding: bool = False,
    ) -> None:
        """`options`: further fields of llama.cpp's `common_params`, by name. `yielding`: it computes only while nobody
        else wants the processor, as far as the system knows of such a thing."""
        self._command = (
            sys.executable, "-P", "-m", "egate_lsp.models.local_server_worker",
            str(path), str(context_tokens), str(threads or default_threads()), json.dumps(dict(options or {})),
            *(["yielding"] if yielding else []),
        )  # fmt: skip
        self._process: asyncio.subprocess.Process | None = None
        self.base_url = ""

    @property
    def pid(self) -> int | None:
        """Of the server's process, if it runs."""
        return self._process.pid if self._process is not None else None

    async def __aenter__(self) -> Self:
        """Start and wait until the server listens.

        Raises:
            TargetUnavailable: xllamacpp is missing, or the model cannot be loaded.
        """
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(START_PATIENCE_S):
                line = await self._process.stdout.readline()
        except TimeoutError:
            await self.aclose()
            raise TargetUnavailable(f"The local server did not start within {START_PATIENCE_S:.0f} s.") from None
        except BaseException:
            await self.aclose()
            raise
        answer = json.loads(line) if line else {"error": "the local server's process ended", "hint": ""}
        if "url" not in answer:
            await self.aclose()
            raise TargetUnavailable(f"{answer['error']}.", hint=answer.get("hint", ""))
        self.base_url = f"{answer['url'].rstrip('/')}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the process. Idempotent."""
        if self._process is None:
            return
        process, self._process = self._process, None
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(END_PATIENCE_S):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
