from __future__ import annotations

import os
from pathlib import Path

import pytest

from egate_lsp.project_note import ProjectNote
from egate_lsp.values import FimContext, Snippet

SOURCES = ("project-note",)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ws" / ".egate").mkdir(parents=True)
    return tmp_path / "ws"


def hole(path: Path, language: str = "python") -> FimContext:
    return FimContext("", "", path.name, language, file=str(path))


async def note(folder: Path, chars: int = 1000, language: str = "python") -> list[Snippet]:
    return list(await ProjectNote(lambda: [str(folder)]).gather(hole(folder / "a.py", language), chars, SOURCES))


async def test_it_is_shown_as_a_comment(folder: Path) -> None:
    (folder / ".egate" / "context.md").write_text("# House rules\n\nWe log by structlog.\n")

    (found,) = await note(folder)

    assert found.text == "# # House rules\n\n# We log by structlog.\n"
    assert (found.path, found.file) == (".egate/context.md", str(folder / ".egate" / "context.md"))
    (found,) = await note(folder, language="go")
    assert found.text.startswith("// # House rules\n")


async def test_its_first_lines_take_half_of_the_room(folder: Path) -> None:
    (folder / ".egate" / "context.md").write_text("".join(f"line {number:03}\n" for number in range(100)))

    (found,) = await note(folder, 200)

    assert found.text.startswith("# line 000\n# line 001\n")
    assert 80 < len(found.text) <= 100


async def test_what_has_changed_is_read_again(folder: Path) -> None:
    subject = ProjectNote(lambda: [str(folder)])
    path = folder / ".egate" / "context.md"
    assert list(await subject.gather(hole(folder / "a.py"), 1000, SOURCES)) == []
    for text in ("one\n", "another\n"):
        path.write_text(text)
        (found,) = await subject.gather(hole(folder / "a.py"), 1000, SOURCES)
        assert found.text == f"# {text}"
    path.unlink()
    assert list(await subject.gather(hole(folder / "a.py"), 1000, SOURCES)) == []


async def test_only_files_of_its_folder_have_it_and_of_the_innermost(folder: Path) -> None:
    inner = folder / "inner"
    (inner / ".egate").mkdir(parents=True)
    (folder / ".egate" / "context.md").write_text("outer\n")
    (inner / ".egate" / "context.md").write_text("inner\n")
    subject = ProjectNote(lambda: [str(folder), str(inner)])

    texts = [
        [each.text for each in await subject.gather(hole(path), 1000, SOURCES)]
        for path in (folder / "a.py", inner / "a.py", folder.parent / "a.py", Path("untitled:a"))
    ]

    assert texts == [["# outer\n"], ["# inner\n"], [], []]


@pytest.mark.parametrize("kind", ["link out", "linked folder", "pipe", "folder", "huge", "bytes"])
async def test_no_trick_reads_something_else_or_waits(folder: Path, kind: str) -> None:
    path, private = folder / ".egate" / "context.md", folder.parent / "private"
    private.mkdir()
    (private / "context.md").write_text("PRIVATE\n")
    match kind:
        case "link out":
            path.symlink_to(private / "context.md")
        case "linked folder":
            path.parent.rmdir()
            path.parent.symlink_to(private)
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "huge":
            path.write_text("PRIVATE" + "x" * 10_000_000)
        case "bytes":
            path.write_bytes(b"\xff\xfe\x00\n")

    found = await note(folder)

    assert not any("PRIVATE" in each.text for each in found)
    assert len(found) == (kind == "bytes")
