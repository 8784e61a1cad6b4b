"""What of other files is in the requests that a listening socket is sent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from egate_lsp.accounted import AccountedModel
from egate_lsp.budget import Budget
from egate_lsp.config import Privacy, resolve
from egate_lsp.consent import Consents
from egate_lsp.errors import TargetReplyError
from egate_lsp.guard import Guard, GuardedModel
from egate_lsp.ledger_file import Caps
from egate_lsp.models import Limits
from egate_lsp.models.fim import QWEN, FimOrder
from egate_lsp.models.openai_target import OpenAITarget
from egate_lsp.records import other_files
from egate_lsp.terms import Terms
from egate_lsp.values import FimContext, Shape, Snippet
from tests.test_budget import Straight
from tests.test_hostile_workspace import AWS, listening

APIS = ("suffix", "fim", "chat", "infill", "codegeex")
KEY_LINES = "".join(f"# {'MIIEowIBAAKCAQEAxyz0123456789abcdefghijklmnopqrstuvwxyzABCDEFGH'}\n" for _ in range(4))


async def sent(workspace: Path, snippets: list[Snippet], *, api: str = "suffix", **tables) -> tuple[bytes, list[str]]:
    """The bytes of one request for `main.go` with these snippets, and the other files that the ledger names."""
    resolved, problems = resolve([("user file", tables)])
    assert problems == []
    terms = Terms(resolved, Consents(None))
    terms.folders = (str(workspace),)
    ledger = Straight()
    async with listening() as listener:
        target = resolved.target.model_copy(update={"base_url": listener.base_url, "api": api, "timeout_s": 60.0})
        inner = OpenAITarget(target, marks=QWEN, order=FimOrder.SUFFIX_FIRST)
        accounted = AccountedModel(inner, listener.base_url, Budget(ledger, Caps()), {})  # type: ignore[arg-type]
        model = GuardedModel(accounted, Guard(terms, resolved.privacy))
        hole = FimContext(
            "here = ", "\n", "main.go", "go", Shape.LINE, file=str(workspace / "main.go"), snippets=tuple(snippets)
        )
        try:
            with contextlib.suppress(TargetReplyError):  # the listener answers in one form only
                async for _ in model.generate(hole, Limits(8, 1)):
                    pass
        finally:
            await model.aclose()
    return listener.received, other_files(ledger.file.requests()[-1])


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "ws"
    folder.mkdir()
    return folder


def snippet(file: Path | str, text: str) -> Snippet:
    return Snippet(Path(file).name, text, "similar code", str(file))


@pytest.mark.parametrize("api", APIS)
async def test_what_may_leave_is_sent_and_written_down(workspace: Path, api: str) -> None:
    """The other tests would pass if nothing were sent."""
    one, two = workspace / "one.py", workspace / "two.py"

    received, files = await sent(workspace, [snippet(one, "CANARY_1\n"), snippet(two, "CANARY_2\n")], api=api)

    assert received.index(b"CANARY_1") < received.index(b"CANARY_2") < received.index(b"here")
    assert files == [str(one), str(two)]


@pytest.mark.parametrize(
    "tables",
    [
        {"policy": {"globs": {"other.sql": "off"}}},
        {"policy": {"languages": {"sql": "off"}}},
        {"policy": {"languages": {"sql": "ask"}}},
        {"privacy": {"never_send": ["*.sql"]}},
    ],
)
async def test_the_terms_of_the_other_file_count(workspace: Path, tables: dict) -> None:
    received, files = await sent(workspace, [snippet(workspace / "other.sql", "CANARY\n")], **tables)

    assert received
    assert b"CANARY" not in received
    assert b"other.sql" not in received
    assert files == []


async def test_its_language_is_what_the_editor_says(workspace: Path) -> None:
    untitled = Snippet("Untitled-1", "CANARY\n", "open files", "Untitled-1", "sql")

    received, _ = await sent(workspace, [untitled], policy={"languages": {"sql": "off"}})

    assert received
    assert b"CANARY" not in received


async def test_a_snippet_of_no_known_file_stays_here(workspace: Path) -> None:
    received, _ = await sent(workspace, [snippet("", "CANARY\n")])

    assert received
    assert b"CANARY" not in received


@pytest.mark.parametrize(
    "text", [f'key = "{AWS}"\n', f'# - key = "{AWS}"\n', KEY_LINES, KEY_LINES.replace("# ", "// - ")]
)
@pytest.mark.parametrize("secrets", ["stop", "mask"])
async def test_a_key_in_a_snippet_stays_here(workspace: Path, text: str, secrets: str) -> None:
    snippets = [snippet(workspace / "a.py", "CANARY = 1\n" + text), snippet(workspace / "b.py", "HARMLESS = 2\n")]

    received, files = await sent(workspace, snippets, privacy={"secrets": secrets})

    assert b"HARMLESS" in received
    assert AWS.encode() not in received
    assert b"MIIEow" not in received
    assert (b"CANARY" in received) == (secrets == "mask")
    assert len(files) == (2 if secrets == "mask" else 1)


# None of what is drawn excludes the document itself.
NAMES = ("a.py", "b.py", ".env", "x.pem", "keys/a.py", "credentials.py", "deep/er/b.py", "deep/c.py", "local.py")
PATTERNS = (
    "local.py",
    "!local.py",
    "keys/",
    "!.env",
    "!*",
    "*.pem",
    "deep/",
    "/a.py",
    "*.py",
    "!b.py",
    "**/er",
    "link*",
)
NAMED_SECRETS = {".env", "x.pem", "credentials.py"}
LINKS = ("link.py", "keys/link.py", "linked")


def ignored_by_git(workspace: Path, names: set[str]) -> set[str]:
    """As git itself says."""
    command = ["git", "-C", str(workspace), "check-ignore", "--no-index", "--stdin", "-z"]
    asked = subprocess.run(command, input="\0".join(sorted(names)) + "\0", capture_output=True, text=True, check=False)
    assert asked.returncode in {0, 1}, asked.stderr
    return {name for name in asked.stdout.split("\0") if name}


@pytest.mark.skipif(shutil.which("git") is None, reason="git is the judge")
@settings(max_examples=40, deadline=None)
@example(names=["a.py"], ignore={".gitignore": ["link*"]}, links={"link.py": "ws/b.py"}, globs=[], api="suffix")
@given(
    names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=6, unique=True),
    ignore=st.dictionaries(
        st.sampled_from([".gitignore", "keys/.gitignore", "deep/.gitignore"]),
        st.lists(st.sampled_from(PATTERNS), max_size=3),
        max_size=3,
    ),
    links=st.dictionaries(
        st.sampled_from(LINKS), st.sampled_from(["home/out.py", "home", "ws/.env", "ws/keys/a.py", "ws/b.py"])
    ),
    globs=st.lists(st.sampled_from(["b.py", "deep/", "*.py"]), max_size=1),
    api=st.sampled_from(APIS),
)
def test_nothing_excluded_is_in_a_request_from_a_random_workspace(names, ignore, links, globs, api) -> None:
    def scenario(base: Path) -> None:
        workspace, home = base / "ws", base / "home"
        for folder in (workspace / "keys", workspace / "deep" / "er", home):
            folder.mkdir(parents=True)
        subprocess.run(["git", "init", "-q", str(workspace)], check=True, capture_output=True)
        for path in [home / "out.py", *(workspace / name for name in NAMES)]:
            path.write_text("")
        for name, lines in ignore.items():
            (workspace / name).write_text("\n".join(lines))
        for name, to in links.items():
            (workspace / name).symlink_to(base / to)
        shown = [*names, *(name for name in links if not (workspace / name).is_dir())]
        shown += [f"{name}/out.py" for name, to in links.items() if to == "home"]
        snippets = [snippet(workspace / name, f"CANARY{index}END\n") for index, name in enumerate(shown)]

        private = {"never_send": [*Privacy().never_send, *globs]}
        received, files = asyncio.run(sent(workspace, snippets, api=api, privacy=private))

        def real(name: str) -> str:
            return os.path.relpath(os.path.realpath(workspace / name), os.path.realpath(workspace))

        inside = {name for name in shown if not real(name).startswith("..")}
        # git does not look behind a link to a folder.
        asked = {real(name) for name in inside} | {name for name in shown if name.rpartition("/")[0] not in links}
        hidden = ignored_by_git(workspace, asked)
        for index, name in enumerate(shown):
            secret = any(part in NAMED_SECRETS for path in (name, real(name)) for part in path.split("/"))
            globbed = any(_globbed(path, glob) for path in (name, real(name)) for glob in globs)
            excluded = name not in inside or real(name) in hidden or name in hidden or secret or globbed
            if excluded:
                assert f"CANARY{index}END".encode() not in received, name
                assert str(workspace / name) not in files
            elif not ignore:
                assert f"CANARY{index}END".encode() in received, name

    with tempfile.TemporaryDirectory() as folder:
        scenario(Path(folder).resolve())


def _globbed(path: str, glob: str) -> bool:
    return {"b.py": path.endswith("b.py"), "deep/": path.startswith("deep/"), "*.py": path.endswith(".py")}[glob]
