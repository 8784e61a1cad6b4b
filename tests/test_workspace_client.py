"""The index in its own process, end to end: real files, the real worker."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from egate_lsp import context as contexts
from egate_lsp.values import FimContext
from egate_lsp.workspace.client import WorkspaceIndex
from egate_lsp.workspace.questions import SOURCES
from tests.test_workspace_index import CSV, JSON, OTHER
from tests.test_workspace_scan import tree

NEVER = ("secret*",)
BROKEN = {
    "binary.py": bytes(range(256)) * 20, "latin.py": "größe = 1\n".encode("latin-1"), "huge.py": b"x = 1\n" * 60_000,
    "deep.py": b"x = " + b"(" * 900, "wide.py": b"[" * 200_000, "mark.py": b"\xef\xbb\xbfx = 1\n", "empty.py": b"",
    "nested.py": ("".join(f"{' ' * depth}class A:\n" for depth in range(300))).encode(),
}  # fmt: skip


def hole(root: Path, name: str = "exporters/json_file.py", text: str = JSON) -> FimContext:
    offset = text.index("¦")
    budget = contexts.Budget(3000, 1000)
    built = contexts.build(text.replace("¦", ""), offset, budget, path=Path(name).name, language="python")
    return FimContext(
        built.prefix, built.suffix, built.path, "python", head=built.head, tail=built.tail, file=str(root / name)
    )


async def shown(index: WorkspaceIndex, place: FimContext) -> list[str]:
    return [each.path for each in await index.gather(place, 1500, SOURCES)]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return tree(tmp_path / "ws", {"exporters/csv_file.py": CSV, "other.py": OTHER, **BROKEN})


async def opened(*folders: Path, **more: object) -> WorkspaceIndex:
    index = WorkspaceIndex(NEVER, **more)  # type: ignore[arg-type]
    index.work_in([str(folder) for folder in folders])
    index.start()
    async with asyncio.timeout(30):
        await index.read()
    return index


async def test_what_is_found_and_where_it_stands(workspace: Path) -> None:
    index = await opened(workspace)
    try:
        found = await index.gather(hole(workspace), 1500, SOURCES)

        assert [each.path for each in found] == ["exporters/csv_file.py"]
        assert "notify_exported" in found[0].text
        assert found[0].source == "similar code"
        assert found[0].file == str(workspace / "exporters/csv_file.py")
        assert index.state.done
        assert index.state.files == len({"csv", "other", "deep", "mark", "nested"})
    finally:
        await index.aclose()


async def test_files_that_are_saved_made_deleted_ignored(workspace: Path) -> None:
    index = await opened(workspace)
    path, place = workspace / "exporters/csv_file.py", hole(workspace)
    try:
        path.write_text(OTHER)
        index.changed(str(path))
        assert await shown(index, place) == []

        tree(workspace, {"new/csv_file.py": CSV})
        index.changed(str(workspace / "new/csv_file.py"))
        assert await shown(index, place) == ["new/csv_file.py"]

        (workspace / "new/csv_file.py").unlink()
        index.changed(str(workspace / "new/csv_file.py"))
        assert await shown(index, place) == []

        tree(workspace, {"secret/csv_file.py": CSV, ".gitignore": "ignored/\n", "ignored/csv_file.py": CSV})
        for name in ("secret/csv_file.py", "ignored/csv_file.py", "../outside.py"):
            index.changed(str(workspace / name))
        assert await shown(index, place) == []
    finally:
        await index.aclose()


async def test_a_new_gitignore_takes_files_away(workspace: Path) -> None:
    index = await opened(workspace)
    read = asyncio.Event()
    index.on_state = lambda _: read.set()
    try:
        assert await shown(index, hole(workspace)) == ["exporters/csv_file.py"]
        tree(workspace, {".gitignore": "exporters/\n"})
        index.changed(str(workspace / ".gitignore"))
        async with asyncio.timeout(30):
            await read.wait()

        assert await shown(index, hole(workspace)) == []
    finally:
        await index.aclose()


async def test_several_folders_each_with_its_own_files(workspace: Path, tmp_path: Path) -> None:
    other = tree(tmp_path / "other", {"mine/csv_file.py": CSV})
    index = await opened(workspace, other)
    try:
        assert await shown(index, hole(workspace)) == ["exporters/csv_file.py"]
        assert await shown(index, hole(other)) == ["mine/csv_file.py"]
        assert await shown(index, hole(tmp_path / "elsewhere")) == []
        assert await shown(index, FimContext("x", "y", file="untitled:1")) == []
    finally:
        await index.aclose()


async def test_other_folders_are_opened_while_it_runs(workspace: Path, tmp_path: Path) -> None:
    other = tree(tmp_path / "other", {"mine/csv_file.py": CSV})
    index = await opened(workspace)
    try:
        first = index.pid
        index.work_in([str(other)])
        async with asyncio.timeout(30):
            await index.read()

        assert await shown(index, hole(other)) == ["mine/csv_file.py"]
        assert await shown(index, hole(workspace)) == []
        assert index.pid == first
        assert index.state.files == 1
    finally:
        await index.aclose()


async def test_a_folder_that_is_not_there_and_none(tmp_path: Path) -> None:
    index = await opened(tmp_path / "nowhere")
    try:
        assert await shown(index, hole(tmp_path / "nowhere")) == []
    finally:
        await index.aclose()
    none = WorkspaceIndex(NEVER)
    none.start()
    assert await shown(none, hole(tmp_path)) == []
    assert none.pid is None
    await none.aclose()


async def test_a_crash_costs_nothing_but_snippets_and_it_comes_back(workspace: Path) -> None:
    index = await opened(workspace, backoff_s=(0.0, 0.0))
    again = asyncio.Event()
    try:
        first = index.pid
        assert first is not None
        asking = asyncio.create_task(shown(index, hole(workspace)))
        index.on_state = lambda _: again.set()
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(30):
            assert await asking in ([], ["exporters/csv_file.py"])
            await again.wait()
        assert await shown(index, hole(workspace)) == ["exporters/csv_file.py"]

        second = index.pid
        assert second not in {None, first}
        os.kill(second, signal.SIGKILL)
        async with asyncio.timeout(30):
            while await shown(index, hole(workspace)):
                pass
            assert await shown(index, hole(workspace)) == []  # twice was the limit
    finally:
        await index.aclose()


SILENT = "import sys\nfor line in sys.stdin: pass\n"
MAD = "print('no message', flush=True)\nimport sys\nfor line in sys.stdin: pass\n"


@pytest.mark.parametrize("program", [SILENT, MAD, "raise SystemExit(3)", "import sys; sys.stdin.read()"])
async def test_a_process_that_hangs_or_lies_is_ended(tmp_path: Path, program: str) -> None:
    index = WorkspaceIndex(NEVER, command=(sys.executable, "-c", program), hang_s=0.2, backoff_s=(0.0, 0.0))
    index.work_in([str(tmp_path)])
    index.start()
    try:
        async with asyncio.timeout(20):
            while index._keeping is not None and not index._keeping.done():
                assert await shown(index, hole(tmp_path)) == []
                await asyncio.sleep(0)
    finally:
        await index.aclose()


async def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    index = WorkspaceIndex(NEVER, command=(str(tmp_path / "nothing"),))
    index.work_in([str(tmp_path)])

    assert await shown(index, hole(tmp_path)) == []
    await index.aclose()


async def test_it_ends_with_the_server_and_imports_nothing_of_the_workspace(workspace: Path) -> None:
    """The server's working directory is the workspace, and the server is killed."""
    tree(workspace, {"json.py": "raise SystemExit('imported')\n"})
    program = (
        "import asyncio, sys\n"
        "from egate_lsp.workspace.client import WorkspaceIndex\n"
        "async def main():\n"
        "    index = WorkspaceIndex(())\n"
        f"    index.work_in([{str(workspace)!r}])\n"
        "    index.start()\n"
        "    await index.read()\n"
        "    print(index.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", program, cwd=workspace, stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    async with asyncio.timeout(30):
        worker = psutil.Process(int(await server.stdout.readline()))
        server.kill()
        await server.wait()

    await asyncio.to_thread(psutil.wait_procs, [worker], 20)
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
