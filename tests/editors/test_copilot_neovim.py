"""The real Neovim with the configuration of nvim-lspconfig's `copilot`, of which nothing but the command is changed."""

from __future__ import annotations

import contextlib
import gc
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pynvim
import pytest

from tests.e2e.wire import script
from tests.editors.neovim import executable

pytestmark = pytest.mark.editor
PATIENCE_S = 60

# What the recipe sets: who the editor and the plug-in are, and a setting of Copilot's.
CONFIG = """
local who = { name = 'Neovim', version = tostring(vim.version()) }
vim.o.swapfile, vim.o.shada, vim.o.autoindent = false, '', false
vim.lsp.config('copilot', {
  cmd = %s,
  init_options = { editorInfo = who, editorPluginInfo = who },
  settings = { telemetry = { telemetryLevel = 'all' } },
})
vim.lsp.enable('copilot')
vim.api.nvim_create_autocmd('LspAttach', {
  callback = function(event) vim.lsp.inline_completion.enable(true, { bufnr = event.buf }) end,
})
"""
GHOST = """
local space = vim.api.nvim_get_namespaces()['nvim.lsp.inline_completion']
local texts = {}
for _, mark in ipairs(space and vim.api.nvim_buf_get_extmarks(0, space, 0, -1, { details = true }) or {}) do
  for _, part in ipairs(mark[4].virt_text or {}) do table.insert(texts, part[1]) end
end
return table.concat(texts)
"""


def until(nvim: pynvim.Nvim, condition: str) -> None:
    """Wait, inside Neovim, until a Lua expression is true."""
    met = nvim.exec_lua(f"return vim.wait({PATIENCE_S * 1000}, function() return {condition} end, 20)")
    assert met, f"{condition} did not come true"


@contextmanager
def started(tmp_path: Path, *arguments: str) -> Iterator[pynvim.Nvim]:
    """A Neovim without a screen."""
    socket = tmp_path / "nvim.sock"
    process = subprocess.Popen(
        [executable(), "--headless", "--clean", "--listen", str(socket), *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not socket.exists():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        nvim = pynvim.attach("socket", path=str(socket))
        try:
            yield nvim
            with contextlib.suppress(OSError, EOFError):
                nvim.command("qall!")  # the connection ends before the answer
        finally:
            nvim.close()
            with warnings.catch_warnings():
                # pynvim leaves its transport to the garbage collector when Neovim goes first.
                warnings.simplefilter("ignore", ResourceWarning)
                del nvim
                gc.collect()
        assert process.wait(PATIENCE_S) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_the_recipe_with_another_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = script(tmp_path, ("    retu", [("rn 42", 0.1), ("\n", 0.1)]))["draft"]["model"]
    (tmp_path / "config.toml").write_text(f'[draft]\nmodel = "{model}"\n', encoding="utf-8")
    monkeypatch.setenv("EGATE_LSP_CONFIG", str(tmp_path / "config.toml"))
    file = tmp_path / "sample.py"
    file.write_text("def answer():\n\nprint(answer())\n", encoding="utf-8")
    words = [sys.executable, "-m", "egate_lsp", "serve", "--stdio", "--log-file", str(tmp_path / "server.log")]
    init = tmp_path / "init.lua"
    init.write_text(CONFIG % ("{" + ", ".join(json.dumps(word) for word in words) + "}"), encoding="utf-8")
    with started(tmp_path, "-u", str(init), str(file)) as nvim:
        if not nvim.exec_lua("return vim.lsp.inline_completion ~= nil"):
            pytest.skip("this Neovim has no vim.lsp.inline_completion: it came with 0.12")
        until(nvim, "#vim.lsp.get_clients() == 1 and vim.lsp.get_clients()[1].initialized == true")
        nvim.input("2GA    retu")
        until(nvim, f"(function() {GHOST} end)() ~= ''")
        ghost = nvim.exec_lua(GHOST)
        accepted = nvim.exec_lua("return vim.lsp.inline_completion.get()")
        until(nvim, "vim.api.nvim_get_current_line() == '    return 42'")
        stats = nvim.exec_lua(
            "return vim.lsp.get_clients()[1]:request_sync("
            "'workspace/executeCommand', { command = 'egate.stats' }, 5000).result"
        )

        assert ghost == "rn 42"
        assert accepted is True
        assert stats["accepted"] == 1
