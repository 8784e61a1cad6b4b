"""What git ignores, compared with git itself where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from egate_lsp.git_ignore import GitIgnore


@pytest.fixture(autouse=True)
def no_user_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_nested_files_of_patterns(tmp_path: Path) -> None:
    root = tree(
        tmp_path / "ws",
        {
            ".git/HEAD": "",
            ".git/info/exclude": "mine.py\n",
            ".gitignore": "*.log\nbuild/\n/top.py\n",
            "src/.gitignore": "!keep.log\ngenerated*.py\n",
        },
    )
    git = GitIgnore()

    def ignored(name: str) -> bool:
        return git.ignores(str(root / name), str(root))

    hidden = ("a.log", "src/a.log", "build/x/y.py", "top.py", "mine.py", "src/generated1.py", ".git/config")
    assert [name for name in hidden if not ignored(name)] == []
    assert [name for name in ("a.py", "src/keep.log", "src/top.py", "generated1.py") if ignored(name)] == []


@pytest.mark.parametrize(
    ("patterns", "ignored"),
    [
        ("!*\nkeys/", True),
        ("keys/\n!*", False),
        ("!*\nkeys", True),
        ("keys/*\n!keys", True),
        ("keys/\n!keys/a.py", True),
        ("keys/*\n!keys/a.py", False),
        ("*\n!*/\n!*.py", False),
    ],
)
def test_patterns_that_contradict_one_another(tmp_path: Path, patterns: str, ignored: bool) -> None:
    root = tree(tmp_path / "ws", {".git/HEAD": "", ".gitignore": patterns, "keys/a.py": ""})

    assert GitIgnore().ignores(str(root / "keys/a.py"), str(root)) is ignored


def test_a_changed_file_of_patterns_is_read_again(tmp_path: Path) -> None:
    root = tree(tmp_path, {".gitignore": "a.py\n"})
    git = GitIgnore()
    assert git.ignores(str(root / "a.py"), str(root))

    (root / ".gitignore").write_text("other.py\n")
    assert not git.ignores(str(root / "a.py"), str(root))
    (root / ".gitignore").unlink()
    assert not git.ignores(str(root / "other.py"), str(root))


def test_a_repository_put_into_a_folder_frees_nothing(tmp_path: Path) -> None:
    root = tree(tmp_path / "ws", {".git/HEAD": "", ".gitignore": "private/\n", "private/.git/HEAD": ""})
    (root / "private" / ".gitignore").write_text("!*\n")

    assert GitIgnore().ignores(str(root / "private" / "a.py"), str(root))


def test_a_home_directory_in_git_ignores_no_workspace(tmp_path: Path) -> None:
    home = tree(tmp_path / "home", {".git/HEAD": "", ".gitignore": "*\n", "ws/.git/HEAD": ""})

    assert not GitIgnore().ignores(str(home / "ws" / "a.py"), str(home / "ws"))
    assert GitIgnore().ignores(str(home / "notes.py"), str(home))


@pytest.mark.parametrize("kind", ["pipe", "link", "folder", "huge"])
def test_patterns_that_cannot_be_read_ignore_all(tmp_path: Path, kind: str) -> None:
    file = tmp_path / ".gitignore"
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "link":
        tree(tmp_path, {"elsewhere": "nothing\n"})
        file.symlink_to(tmp_path / "elsewhere")
    elif kind == "folder":
        file.mkdir()
    else:
        file.write_text("#" * 1_000_001)

    assert GitIgnore().ignores(str(tmp_path / "a.py"), str(tmp_path))


NAMES = st.sampled_from(["a", "b", "c.log", "d.py"])
PATTERNS = st.lists(
    st.sampled_from(
        [
            "a",
            "a/",
            "/a",
            "*.log",
            "!c.log",
            "!a/",
            "b/**",
            "**/d.py",
            "a/*",
            "!a/c.log",
            "# x",
            "",
            "b/c.log",
            "!*",
            "*",
            "!*/",
            "*/",
            "!b",
            "b/*",
            "!*.py",
            "**/",
            "!/a/",
            "a/b/",
        ]
    ),
    max_size=5,
)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.sets(st.lists(NAMES, min_size=1, max_size=3).map(tuple), min_size=1, max_size=5),
    top=PATTERNS,
    inner=PATTERNS,
)
def test_the_same_as_git(tmp_path_factory: pytest.TempPathFactory, files, top, inner) -> None:
    root = tmp_path_factory.mktemp("ws")
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    made = []
    for parts in files:
        path = root.joinpath(*parts)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
        except OSError:
            continue  # a file stands where this one needs a folder, or the other way round
        made.append(path)
    (root / ".gitignore").write_text("\n".join(top))
    if (root / "a").is_dir():
        (root / "a" / ".gitignore").write_text("\n".join(inner))
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
    told = subprocess.run(
        ["git", "-C", str(root), "check-ignore", "--no-index", "--stdin"],
        input="\n".join(map(str, made)), capture_output=True, text=True, env=environment, check=False,
    ).stdout.splitlines()  # fmt: skip

    git = GitIgnore()
    assert {str(path) for path in made if git.ignores(str(path), str(root))} == set(told)
