"""Which files of a workspace are read: none that git ignores, that a privacy pattern matches, or behind a link."""

from __future__ import annotations

import os
import posixpath
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from egate_lsp.config import DEFAULT_NEVER_SEND
from egate_lsp.terms import matches, patterns_of
from egate_lsp.workspace.scan import Limits, Scan, decoded


@pytest.fixture(autouse=True)
def no_user_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))


def tree(root: Path, files: dict[str, str | bytes]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    return root


def names(root: Path, limits: Limits | None = None, never_send: tuple[str, ...] = DEFAULT_NEVER_SEND) -> list[str]:
    return [name for name, _ in Scan(str(root), never_send, limits or Limits()).files()]


def test_code_and_nothing_else(tmp_path: Path) -> None:
    root = tree(
        tmp_path / "ws",
        {
            "a.py": "x = 1\n", "src/b.ts": "let x\n", "readme.md": "#\n", "data.json": "{}\n", "empty.py": "",
            "node_modules/c.js": "x\n", ".venv/d.py": "x\n", "src/.hidden/e.py": "x\n", "noext": "x\n",
            ".env.py": "x = 1\n",
        },
    )  # fmt: skip

    assert names(root) == ["a.py", "src/b.ts"]


def test_what_git_ignores_is_left_out_with_its_folder(tmp_path: Path) -> None:
    root = tree(
        tmp_path / "ws",
        {
            ".git/HEAD": "", ".gitignore": "generated/\n*_pb2.py\n!keep_pb2.py\n", "src/.gitignore": "local.py\n",
            "generated/a.py": "x\n", "x_pb2.py": "x\n", "keep_pb2.py": "x\n", "src/local.py": "x\n", "src/b.py": "x\n",
            ".git/hooks/c.py": "x\n",
        },
    )  # fmt: skip

    assert names(root) == ["keep_pb2.py", "src/b.py"]


def test_privacy_patterns_count_in_any_case(tmp_path: Path) -> None:
    root = tree(tmp_path / "ws", {"Secrets/a.py": "x\n", "src/secret_key.py": "x\n", "b.py": "x\n"})

    assert names(root, never_send=("secrets/", "secret_*")) == ["b.py"]


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = tree(tmp_path / "outside", {"a.py": "x\n", "in/b.py": "x\n"})
    root = tree(tmp_path / "ws", {"src/c.py": "x\n"})
    (root / "a.py").symlink_to(outside / "a.py")
    (root / "in").symlink_to(outside / "in")
    (root / "loop").symlink_to(root)
    scan = Scan(str(root), (), Limits())

    assert [name for name, _ in scan.files()] == ["src/c.py"]
    assert scan.text("a.py") is None
    assert not scan.admits("in/b.py")
    assert not scan.admits("../outside/a.py")
    assert scan.admits("src/c.py")


def test_a_root_that_is_a_link_is_the_folder_it_names(tmp_path: Path) -> None:
    root = tree(tmp_path / "ws", {"a.py": "x\n"})
    (tmp_path / "link").symlink_to(root)

    assert Scan(str(tmp_path / "link"), (), Limits()).root == str(root)
    assert names(tmp_path / "link") == ["a.py"]


def test_limits(tmp_path: Path) -> None:
    root = tree(tmp_path / "ws", {f"{letter}.py": letter * 100 for letter in "abcdef"} | {"big.py": "x\n" * 600})

    assert "big.py" not in names(root, Limits(file_bytes=1000))
    assert names(root, Limits(file_bytes=1000, files=2)) == ["a.py", "b.py"]
    assert names(root, Limits(file_bytes=1000, total_bytes=350)) == ["a.py", "b.py", "c.py"]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"a\r\nb\rc", "a\nb\nc"),
        (b"\xef\xbb\xbfa", "a"),
        ("aä".encode("utf-16"), "aä"),
        ("ä".encode("latin-1"), None),
        (b"\xff\xfea", None),
        (b"a\0b", None),
        (b"x" * 2000, None),
        (b"\x89PNG\r\n\x1a\n", None),
    ],
)
def test_only_text_that_somebody_wrote(data: bytes, text: str | None) -> None:
    assert decoded(data) == text


@given(st.binary(max_size=200))
def test_any_bytes_are_text_with_plain_line_breaks_or_nothing(data: bytes) -> None:
    text = decoded(data)

    assert text is None or not {"\0", "\r"} & set(text)


def test_files_that_vanish_or_change_their_nature(tmp_path: Path) -> None:
    root = tree(tmp_path / "ws", {"a.py": "x\n", "b.py": "x\n", "c.py": "x\n", "d/e.py": "x\n"})
    scan = Scan(str(root), (), Limits(file_bytes=100))
    found = scan.files()
    assert next(found)[0] == "a.py"
    (root / "b.py").unlink()
    shutil.rmtree(root / "d")

    assert [name for name, _ in found] == ["c.py"]
    assert scan.text("b.py") is None
    (root / "c.py").unlink()
    os.mkfifo(root / "c.py")  # reading one would block for ever
    assert scan.stamp("c.py") is None
    assert scan.text("c.py") in {None, ""}
    (root / "a.py").write_text("x\n" * 100)  # it has grown since
    assert scan.text("a.py") is None


def test_there_is_a_pause_wherever_there_is_much_to_look_at(tmp_path: Path) -> None:
    """In a folder of data, and among empty folders: questions are answered in the pauses."""
    data = {f"data/{number}.csv": "x\n" for number in range(30)}
    root = tree(tmp_path / "ws", {**data, **{f"{letter}/{letter}/readme.md": "x\n" for letter in "abcdef"}})

    steps = list(Scan(str(root), (), Limits()).steps())

    assert set(steps) == {None}
    assert len(steps) >= 30 + 12


def test_no_folder_at_all(tmp_path: Path) -> None:
    assert names(tmp_path / "nowhere") == []


PARTS = st.sampled_from(["a", "b", "secret", "Key", "build", "sub"])
FILES = st.lists(
    st.tuples(st.lists(PARTS, max_size=2), PARTS, st.sampled_from([".py", ".ts", ".pem", ".txt"])),
    min_size=1,
    max_size=8,
)
PATTERNS = st.lists(
    st.sampled_from(["a/", "/b", "*.ts", "!a.ts", "sub/*", "!sub/b.py", "secret", "**/key.py", "build*"]), max_size=3
)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FILES, PATTERNS, PATTERNS, PATTERNS, st.lists(st.tuples(PARTS, PARTS), max_size=2))
def test_random_workspaces(tmp_path_factory: pytest.TempPathFactory, files, top, inner, never, links) -> None:
    """What is found is exactly what git lists, what no privacy pattern matches, and what is no link."""
    base = tmp_path_factory.mktemp("case")
    outside = tree(base / "outside", {"a.py": "x\n", "sub/b.py": "x\n"})
    root = tree(base / "ws", {posixpath.join(*folders, name + end): "x\n" for folders, name, end in files})
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    tree(root, {".gitignore": "\n".join(top), "sub/.gitignore": "\n".join(inner)})
    for name, target in links:
        for path, end in ((root / f"{name}.py", outside / "a.py"), (root / f"{name}-{target}", outside / "sub")):
            if not path.exists() and not path.is_symlink():
                path.symlink_to(end)
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "-co", "--exclude-standard"], check=True, capture_output=True
    )
    wanted = {
        name
        for name in listed.stdout.decode().split("\0")
        if name.endswith((".py", ".ts"))
        and not (root / name).is_symlink()
        and not posixpath.dirname(name).startswith("build")
        and "/build/" not in f"/{posixpath.dirname(name)}/"
        and not matches(patterns_of(never), name)
    }

    found = set(names(root, never_send=tuple(never)))

    assert found == wanted
    assert not any(Path(root, name).resolve() != Path(root.resolve(), name) for name in found)
