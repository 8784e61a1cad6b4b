"""What the user changed of late, and where the user was."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egate_lsp import workspace_paths
from egate_lsp.documents import Change, Document, PositionEncoding
from egate_lsp.recent_edits import NEAR, Changed, RecentEdits, difference
from egate_lsp.recent_places import RecentPlaces
from egate_lsp.values import FimContext, Snippet

STORE = "\n".join(
    [
        "class Store:",
        *(
            f"    def get_{number}(self, path_name):\n        return self.rows[path_name][{number}]\n"
            for number in range(20)
        ),
    ]
)  # fmt: skip


def shown(file: str) -> str:
    return workspace_paths.shown(file, ["/ws"])


class Typist:
    """Edits documents as a client does."""

    def __init__(self, recent: RecentEdits) -> None:
        self.recent = recent
        self.documents: dict[str, Document] = {}

    def open(self, file: str, text: str) -> None:
        self.documents[file] = Document(f"file://{file}", 0, "python", text)

    def put(self, file: str, start: tuple[int, int], end: tuple[int, int], text: str) -> None:
        document = self.documents[file]
        edit = document.apply(Change(text, start, end), PositionEncoding.UTF32)
        self.recent.edited(document, file, edit)

    def type(self, file: str, row: int, column: int, text: str) -> None:
        for index, character in enumerate(text):
            self.put(file, (row, column + index), (row, column + index), character)


@pytest.fixture
def typist() -> Typist:
    typist = Typist(RecentEdits(shown))
    typist.open("/ws/pkg/store.py", STORE)
    typist.open("/ws/user.py", "import store\n\nx = \n")
    return typist


def elsewhere(file: str = "/ws/user.py", prefix: str = "x = ", language: str = "python") -> FimContext:
    return FimContext(prefix, "\n", file, language, file=file)


async def told(typist: Typist, hole: FimContext | None = None) -> list[Snippet]:
    return list(await typist.recent.gather(hole or elsewhere(), 1000, ("recent-edits",)))


# ── edits ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_renamed_argument_shows_elsewhere(typist: Typist) -> None:
    typist.put("/ws/pkg/store.py", (1, 20), (1, 29), "")
    typist.type("/ws/pkg/store.py", 1, 20, "key")
    typist.put("/ws/pkg/store.py", (2, 25), (2, 34), "key")

    (found,) = await told(typist)

    assert (found.path, found.file, found.source) == ("pkg/store.py", "/ws/pkg/store.py", "recent edits")
    assert found.text == (
        "# -     def get_0(self, path_name):\n# -         return self.rows[path_name][0]\n"
        "# +     def get_0(self, key):\n# +         return self.rows[key][0]\n"
    )
    (found,) = await told(typist, elsewhere("/ws/a.ts", language="typescript"))
    assert found.text.startswith("// -     def get_0(self, path_name):\n")


async def test_the_newest_is_the_first_and_few_are_shown(typist: Typist) -> None:
    for row in range(1, 60, 9):
        typist.type("/ws/pkg/store.py", row, 0, f"# note {row}\n")

    found = await told(typist)

    assert [each.text.strip() for each in found] == [f"# + # note {row}" for row in (55, 46, 37, 28)]


async def test_a_change_further_down_is_followed(typist: Typist) -> None:
    typist.put("/ws/pkg/store.py", (40, 4), (40, 7), "define")
    typist.put("/ws/pkg/store.py", (0, 0), (0, 0), "# one\n# two\n")
    typist.put("/ws/pkg/store.py", (20, 0), (20, 0), "# three\n")

    texts = [each.text for each in await told(typist)]

    assert texts[2] == "# -     def get_13(self, path_name):\n# +     define get_13(self, path_name):\n"
    assert texts[:2] == ["# + # three\n", "# + # one\n# + # two\n"]


async def test_what_stands_around_the_cursor_is_not_told_again(typist: Typist) -> None:
    typist.type("/ws/user.py", 2, 4, "store.get")

    assert await told(typist, elsewhere(prefix="import store\n\nx = store.get")) == []
    assert len(await told(typist, elsewhere("/ws/other.py"))) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a = 1\n", "a  =  1\n"),
        ("a = 1\n", "a = 1\n" + "b = 2\n" * 40),
        ("a = 1\n", f"a = '{'x' * 400}'\n"),
        ("", "a = 1\n" * 400),
    ],
    ids=["white space", "many lines", "a wide line", "a paste"],
)
async def test_what_is_no_use_is_left_out(old: str, new: str) -> None:
    typist = Typist(RecentEdits(shown))
    typist.open("/ws/a.py", old + "end = 0\n")
    typist.put("/ws/a.py", (0, 0), (old.count("\n"), 0), new)

    assert await told(typist) == []


async def test_what_was_taken_back_is_no_change(typist: Typist) -> None:
    typist.type("/ws/pkg/store.py", 1, 8, "abc")
    typist.put("/ws/pkg/store.py", (1, 8), (1, 11), "")

    assert await told(typist) == []


async def test_a_closed_document_is_remembered(typist: Typist) -> None:
    typist.type("/ws/pkg/store.py", 0, 0, "# new\n")
    typist.recent.closed(typist.documents.pop("/ws/pkg/store.py"))

    assert [each.text for each in await told(typist)] == ["# + # new\n"]


LINES = st.lists(st.text(alphabet="ab {", max_size=4), min_size=1, max_size=8)
PLACE = st.tuples(st.integers(0, NEAR), st.integers(0, 4))
EDITS = st.lists(st.tuples(PLACE, PLACE, st.text(alphabet="xy\n ", max_size=5)), min_size=1, max_size=12)


@settings(max_examples=300)
@given(LINES, EDITS)
def test_one_change_turns_the_former_text_into_the_present_one(lines, edits) -> None:
    """All edits are near each other here, so they are one change."""
    typist = Typist(RecentEdits(shown))
    former = "\n".join(lines)
    typist.open("/ws/a.py", former)
    for start, end, text in edits:
        typist.put("/ws/a.py", *sorted((start, end)), text)  # type: ignore[arg-type]
    now = typist.documents["/ws/a.py"].text

    found = typist.recent.changes()

    if not found:
        assert "".join(former.split()) == "".join(now.split())
        return
    (change,) = found
    assert _contains(now.split("\n"), change.now)
    assert any(
        "\n".join([*now.split("\n")[:at], *change.before, *now.split("\n")[at + len(change.now) :]]).split()
        == former.split()
        for at in range(len(now.split("\n")) + 1)
    )


def _contains(lines: list[str], part: tuple[str, ...]) -> bool:
    return any(tuple(lines[at : at + len(part)]) == part for at in range(len(lines) + 1))


ODD = st.text(alphabet="a\r\n\u2028😀", max_size=30)


@given(ODD, st.lists(st.tuples(st.tuples(st.integers(0, 40), st.integers(0, 5)), PLACE, ODD), max_size=10))
def test_no_edit_is_too_odd(text, edits) -> None:
    typist = Typist(RecentEdits(shown))
    typist.open("/ws/a.py", text * 10)
    for start, end, new in edits:
        typist.put("/ws/a.py", *sorted((start, end)), new)  # type: ignore[arg-type]
        for change in typist.recent.changes():
            assert isinstance(difference(change, "python"), str)


def test_a_difference_holds_no_more_lines_than_changed() -> None:
    changed = Changed("/ws/a.py", ("a", "b", "c"), ("a", "x", "c"))

    assert difference(changed, "go") == "// - b\n// + x\n"


# ── places ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def places() -> RecentPlaces:
    return RecentPlaces(shown)


async def found_in(places: RecentPlaces, hole: FimContext) -> list[Snippet]:
    return list(await places.gather(hole, 1000, ("open-files",)))


async def test_a_place_is_shown_once_it_was_left_where_it_is_alike(places: RecentPlaces) -> None:
    store = Document("file:///ws/store.py", 0, "python", STORE)
    user = Document("file:///ws/user.py", 0, "python", "x = 1\n")
    hole = elsewhere(prefix="def get_x(self, path_name):\n    return self.rows")
    places.looked(store, "/ws/store.py", 30)
    assert await found_in(places, hole) == []

    places.looked(user, "/ws/user.py", 0)
    (found,) = await found_in(places, hole)

    assert (found.path, found.source, found.file) == ("store.py", "open files", "/ws/store.py")
    assert "def get_9(self, path_name):\n" in found.text
    assert "def get_0" not in found.text
    assert await found_in(places, elsewhere(prefix="import json\nthing = json.loads(")) == []
    assert await found_in(places, elsewhere("/ws/a.go", hole.prefix, "go")) == []


async def test_it_is_as_it_was_left(places: RecentPlaces) -> None:
    store = Document("file:///ws/store.py", 0, "python", STORE)
    places.looked(store, "/ws/store.py", 3)
    store.apply(Change("renamed", (1, 8), (1, 13)), PositionEncoding.UTF32)
    places.closed(store)

    (found,) = await found_in(places, elsewhere(prefix="def get_x(self, path_name):\n    return self.rows"))
    assert "def renamed(self, path_name):\n" in found.text


async def test_nearly_the_same_is_kept_once(places: RecentPlaces) -> None:
    store = Document("file:///ws/store.py", 0, "python", STORE)
    for row in (20, 40, 22, 42, 20):
        places.looked(store, "/ws/store.py", row)
    places.closed(store)

    found = await found_in(places, elsewhere(prefix="def get_x(self, path_name):\n    return self.rows"))
    assert len(found) == 2


async def test_what_is_in_the_window_is_not_shown_again(places: RecentPlaces) -> None:
    store = Document("file:///ws/store.py", 0, "python", STORE)
    places.looked(store, "/ws/store.py", 30)
    places.looked(store, "/ws/store.py", 0)

    assert await found_in(places, elsewhere("/ws/store.py", STORE)) == []
    assert len(await found_in(places, elsewhere("/ws/store.py", STORE[-200:]))) == 1


@pytest.mark.parametrize(
    ("file", "path"),
    [
        ("/ws/pkg/a.py", "pkg/a.py"),
        ("/ws/pkg/inner/a.py", "a.py"),
        ("/elsewhere/a.py", "a.py"),
        ("untitled:one", "untitled:one"),
    ],
)
def test_files_are_told_by_their_path_below_the_innermost_folder(file: str, path: str) -> None:
    assert workspace_paths.shown(file, ["/ws", "/ws/pkg/inner"]) == path


async def test_the_language_is_the_editor_s(typist: Typist, places: RecentPlaces) -> None:
    """The user's terms may hang on it, and not every file's name tells it."""
    typist.type("/ws/pkg/store.py", 0, 0, "# new\n")
    places.looked(typist.documents["/ws/pkg/store.py"], "/ws/pkg/store.py", 30)
    places.closed(typist.documents["/ws/pkg/store.py"])
    hole = elsewhere(prefix="def get_x(self, path_name):\n    return self.rows")

    assert [each.language for each in [*await told(typist), *await found_in(places, hole)]] == ["python", "python"]
