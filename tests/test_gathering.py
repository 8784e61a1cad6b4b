from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egate_lsp.config import resolve
from egate_lsp.explain_text import text as drawn
from egate_lsp.explain_view import Place, view
from egate_lsp.gathering import Gathering
from egate_lsp.guard import Sieved
from egate_lsp.service import Service
from egate_lsp.snippet_choice import choose
from egate_lsp.values import FimContext, Snapshot, Snippet
from tests.test_hostile_workspace import listening

HOLE = FimContext("import store\nx = ", "\ny = 2\nz = 3\n", "a.py", "python", file="/ws/a.py")


def snippet(name: str, text: str = "", source: str = "open files") -> Snippet:
    return Snippet(f"{name}.py", text or f"{name} = 1\n", source, f"/ws/{name}.py")


class Known:
    """A gatherer that tells what it is told to tell.

    Attributes:
        found: for the next question.
        asked: how often.
    """

    sources = ("project-note",)

    def __init__(self, *found: Snippet, error: Exception | None = None, hangs: bool = False) -> None:
        self.found, self.error, self.hangs = list(found), error, hangs
        self.asked = 0
        self.closed = False

    async def gather(self, hole, chars, sources):
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        return self.found

    async def aclose(self) -> None:
        self.closed = True


async def everything(snippets, leaves) -> Sieved:
    return Sieved(tuple(snippets))


def gathering(*gatherers, chars: int = 1000) -> Gathering:
    return Gathering(gatherers, ("project-note",), chars, everything)


# ── the choice ──────────────────────────────────────────────────────────────────────────────────────────────

SNIPPETS = st.builds(
    snippet, st.sampled_from("abcdef"), st.text(alphabet="xy \n", min_size=1, max_size=60)
)  # fmt: skip
LISTS = st.lists(st.lists(SNIPPETS, max_size=5), max_size=3)


@given(LISTS, LISTS, st.integers(0, 300))
def test_a_choice_fits_and_keeps_the_order_of_the_former(found, before, chars: int) -> None:
    former = choose(before, HOLE, chars)
    chosen = choose(found, HOLE, chars, former)

    assert len(replace(HOLE, snippets=chosen.snippets).elsewhere) <= chars
    assert len(set(chosen.snippets)) == len(chosen.snippets)
    assert set(chosen.snippets) <= {each for ranked in found for each in ranked}
    assert choose(found, HOLE, chars, chosen).snippets == chosen.snippets
    assert 0.0 <= chosen.renewal(former) <= 1.0
    assert (chosen.renewal(former) > 0) == (
        not set(chosen.snippets) <= set(former.snippets) or (not chosen.snippets and bool(former.snippets))
    )


def test_the_best_of_each_come_first_where_there_is_no_room_for_all() -> None:
    ranked = [[snippet("a1"), snippet("a2")], [snippet("b1"), snippet("b2")]]
    cost = len(replace(HOLE, snippets=(snippet("a1"), snippet("b1"))).elsewhere)

    chosen = choose(ranked, HOLE, cost)

    assert [each.path for each in chosen.snippets] == ["a1.py", "b1.py"]
    assert [(part.name, part.left_out) for part in chosen.left_out] == [
        ("open files: a2.py", "no room (context.snippet_chars)"),
        ("open files: b2.py", "no room (context.snippet_chars)"),
    ]


def test_what_is_still_wanted_stays_where_it_is() -> None:
    former = choose([[snippet("a"), snippet("b"), snippet("c")]], HOLE, 1000)
    chosen = choose([[snippet("new"), snippet("c"), snippet("a")]], HOLE, 1000, former)

    assert [each.path for each in former.snippets] == ["c.py", "b.py", "a.py"]  # the best nearest to the text
    assert [each.path for each in chosen.snippets] == ["c.py", "a.py", "new.py"]


@pytest.mark.parametrize(
    "useless",
    [
        Snippet("a.py", "import store\n", "open files", "/ws/a.py"),
        Snippet("b.py", " \n", "open files", "/ws/b.py"),
        Snippet("b.py", "x = '<|fim_middle|>'\n", "open files", "/ws/b.py"),
        Snippet("c.py", "store = 1\n", "open files", "/ws/c.py"),
    ],
)
def test_what_tells_nothing_new_is_not_shown(useless: Snippet) -> None:
    whole = snippet("store", "first = 0\nstore = 1\n")

    assert choose([[whole, useless]], HOLE, 1000).snippets == (whole,)


# ── what stays while the user types ─────────────────────────────────────────────────────────────────────────


async def test_typing_asks_nobody_and_changes_nothing() -> None:
    known = Known(snippet("b"))
    subject = gathering(known)
    first = await subject.beside(HOLE, leaves=False)
    known.found = [snippet("c")]
    for typed in ("s", "st", "store.open(", "s"):
        closed = replace(HOLE.extended(typed), suffix=")" + HOLE.suffix)  # a bracket that closed itself
        assert (await subject.beside(closed, leaves=False)).snippets == first.snippets == (snippet("b"),)

    assert known.asked == 1


async def test_elsewhere_in_the_document_it_is_gathered_anew() -> None:
    known = Known(snippet("b"))
    subject = gathering(known)
    await subject.beside(HOLE, leaves=False)
    known.found = [snippet("c")]

    there = replace(HOLE, prefix=HOLE.prefix + "1\ny = ", suffix="\nz = 3\n")
    assert (await subject.beside(there, leaves=False)).snippets == (snippet("c"),)


async def test_documents_do_not_disturb_each_other() -> None:
    known = Known(snippet("b"))
    subject = gathering(known)
    await subject.beside(HOLE, leaves=False)
    known.found = [snippet("c")]
    await subject.beside(replace(HOLE, file="/ws/other.py"), leaves=False)

    assert (await subject.beside(HOLE, leaves=False)).snippets == (snippet("b"),)


async def test_one_that_hangs_and_one_that_fails_cost_the_others_nothing() -> None:
    subject = gathering(Known(hangs=True), Known(error=OSError("broken")), Known(snippet("b")))
    started = asyncio.get_running_loop().time()

    assert (await subject.beside(HOLE, leaves=False)).snippets == (snippet("b"),)
    assert asyncio.get_running_loop().time() - started < 30.0  # it ends at all


async def test_what_is_new_is_adopted_when_told_to_and_worth_it() -> None:
    old, new = snippet("b", "b = 1\n" * 20), snippet("c", "c = 2\n")
    known = Known(old)
    subject = gathering(known)
    await subject.beside(HOLE, leaves=False)

    known.found = [old, new]
    assert await subject.renewed(HOLE) is None  # too little of it is new
    known.found = [snippet("d", "d = 3\n" * 20), old]
    choice = await subject.renewed(HOLE)
    assert choice is not None
    assert (await subject.beside(HOLE, leaves=False)).snippets == (old,)
    subject.adopt(HOLE, choice)
    assert [each.path for each in (await subject.beside(HOLE, leaves=False)).snippets] == ["b.py", "d.py"]


async def test_nobody_is_asked_where_nothing_is_wanted() -> None:
    known = Known(snippet("b"))
    for subject in (gathering(known, chars=0), Gathering([known], (), 1000, everything)):
        assert await subject.beside(HOLE, leaves=False) == HOLE
        assert not subject.active

    assert known.asked == 0


# ── the service ─────────────────────────────────────────────────────────────────────────────────────────────


def service(tmp_path: Path, *gatherers, **tables) -> Service:
    script = tmp_path / "script.json"
    script.write_text(json.dumps([{"after": "", "tokens": [["draft", 5.0], ["\n", 0.1]]}]))
    context = {"sources": ["project-note"], **tables.pop("context", {})}
    table = {"draft": {"model": f"scripted:{script}"}, "context": context, "gate": {"tau": 0.0}, **tables}
    resolved, problems = resolve([("user file", table)])
    assert problems == []
    return Service(resolved, gatherers=gatherers)


async def test_the_draft_is_shown_it_and_why_tells(tmp_path: Path) -> None:
    subject = service(tmp_path, Known(snippet("b"), snippet("c", "c = 1\n" * 400)))
    try:
        completion = await subject.complete(Snapshot("x = \n", 4, "/ws/a.py", "python"), invoked=True)
    finally:
        await subject.aclose()

    told = drawn(view(completion, Place("a.py", "x = \n", 4)))
    assert completion.window[0].text == "b = 1\n"
    assert "shown to the models:\n  open files: b.py: 14 characters, ~5 tokens\n    b = 1\n" in told
    assert "found and left out:\n  open files: c.py: no room (context.snippet_chars)\n" in told


async def test_by_default_nothing_is_gathered(tmp_path: Path) -> None:
    known = Known(snippet("b"))
    subject = service(tmp_path, known, context={"sources": []})
    try:
        completion = await subject.complete(Snapshot("x = \n", 4, "/ws/a.py", "python"), invoked=True)
    finally:
        await subject.aclose()

    assert [part.name for part in completion.window] == ["before the cursor", "after the cursor"]
    assert known.asked == 0


@pytest.mark.parametrize("leaves", [True, False])
async def test_beside_text_that_may_leave_no_model_is_shown_what_may_not(tmp_path: Path, *, leaves: bool) -> None:
    """The draft could write what it has read into the text, which then leaves."""
    folder = tmp_path / "ws"
    folder.mkdir()
    (folder / ".gitignore").write_text("mine.py\n")
    hidden = Snippet("mine.py", "CANARY = 1\n", "open files", str(folder / "mine.py"))
    key = Snippet("server.key", "NEVER\n", "open files", str(folder / "server.key"))
    async with listening() as listener:
        target = {"base_url": listener.base_url, "api": "suffix"} if leaves else {}
        subject = service(tmp_path, Known(hidden, key), target=target)
        subject.work_in([str(folder)])
        try:
            document = Snapshot("x = \n", 4, str(folder / "a.py"), "python")
            completion = await subject.complete(document, invoked=True)
        finally:
            await subject.aclose()

    assert ("CANARY = 1\n" in [part.text for part in completion.window]) == (not leaves)
    assert b"CANARY" not in listener.received
    reasons = {part.name: part.left_out for part in completion.window if part.left_out}
    assert "never_send" in reasons["open files: server.key"]
    if leaves:
        assert listener.received
        assert "git ignores" in reasons["open files: mine.py"]


async def test_what_is_new_is_shown_after_a_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("egate_lsp.service.IDLE_S", 0.0)
    known = Known(snippet("b"))
    subject = service(tmp_path, known, draft={"ahead": False, "model": f"scripted:{tmp_path / 'script.json'}"})
    try:
        document = Snapshot("x = \n", 4, "/ws/a.py", "python")
        first = await subject.complete(document, invoked=True)
        known.found = [snippet("c")]
        await subject.idle()
        second = await subject.complete(document, invoked=True)
    finally:
        await subject.aclose()

    assert [completion.window[0].name for completion in (first, second)] == ["open files: b.py", "open files: c.py"]
    assert known.closed
