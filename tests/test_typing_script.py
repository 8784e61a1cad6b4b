"""Parts of a file are taken out and typed again: whatever is shown meanwhile, the file comes out as it was."""

from __future__ import annotations

import itertools
import statistics

from hypothesis import given
from hypothesis import strategies as st

from egate_lsp.evaluation.typing_script import GAP_MS, Region, Taken, Typist, acceptable, choose

WORDS = st.text(alphabet="ab(.= \n\té😀", max_size=120)
CODE = "\n".join(
    f"def task_{number}(first, second):\n    total = first + second + {number}\n    return total * {number}\n"
    for number in range(60)
)


@st.composite
def files_with_regions(draw: st.DrawFn) -> tuple[str, list[Region]]:
    text = draw(WORDS)
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=8)))
    regions = [Region(a, b) for a, b in zip(cuts[::2], cuts[1::2], strict=False)]
    return text, draw(st.permutations(regions))


@given(files_with_regions(), st.integers(0, 5), st.data())
def test_the_steps_give_back_the_file(found: tuple[str, list[Region]], seed: int, data: st.DataObject) -> None:
    text, regions = found
    typist = Typist(text, regions, seed=seed)
    document, cursor = typist.text, None
    shown = ""

    while (step := typist.next(shown)) is not None:
        if step.kind != "jump":
            assert step.offset == cursor
        document, cursor = step.apply(document), step.cursor
        assert (document, cursor) == (typist.text, typist.cursor)
        assert step.gap_ms > 0
        after = text[data.draw(st.integers(0, len(text))) :] if data.draw(st.booleans()) else ""
        shown = data.draw(st.sampled_from(["", after, after[:4], "zz"]))

    assert document == text
    assert typist.accepted + typist.typed == sum(region.end - region.start for region in regions)
    assert typist.left == 0


@given(WORDS, st.integers(1, 200), st.integers(0, 5))
def test_regions_do_not_overlap(text: str, chars: int, seed: int) -> None:
    regions = sorted(choose(text, "python", chars, seed=seed), key=lambda region: region.start)

    assert all(0 <= region.start < region.end <= len(text) for region in regions)
    assert all(first.end < second.start for first, second in itertools.pairwise(regions))


def test_regions_are_spread_over_the_file_and_visited_by_jumps() -> None:
    regions = choose(CODE, "python", 400, seed=7)
    typist = Typist(CODE, regions, seed=7)
    steps = []
    while (step := typist.next()) is not None:
        steps.append(step)

    assert len(regions) == 4
    assert 200 <= sum(region.end - region.start for region in regions) <= 500
    assert max(region.end for region in regions) == len(CODE.rstrip())
    assert [step.kind for step in steps].count("jump") == 4
    assert all(step.looks for step in steps if step.kind == "jump")


def test_the_same_characters_are_typed_alike_whatever_was_accepted_before() -> None:
    regions = choose(CODE, "python", 400, seed=7)

    def gaps(*, accepts: bool) -> dict[int, float]:
        typist = Typist(CODE, regions, seed=7)
        found: dict[int, float] = {}
        while True:
            rest = typist._rest()
            at = typist._file_offset() if rest else 0
            step = typist.next(rest.partition("\n")[0] if accepts else "")
            if step is None:
                return found
            if step.kind == "key":
                found[at] = step.gap_ms

    alone, helped = gaps(accepts=False), gaps(accepts=True)
    assert 0 < len(helped) < len(alone)
    assert all(alone[at] == gap for at, gap in helped.items())


def test_gaps_have_the_wanted_mean() -> None:
    typist = Typist(CODE, [Region(0, len(CODE))], seed=1, gap_ms=GAP_MS)
    gaps = [char.gap_ms for char in typist._chance.values()]

    assert 0.9 * GAP_MS < statistics.fmean(gaps) < 1.1 * GAP_MS


def test_what_is_taken_of_a_text() -> None:
    rest = "total = 1\n    return total\n"

    assert acceptable("total = 1\n    return total", rest) == Taken("total = 1\n    return total", 1)
    assert acceptable("total = 1\n    return total\n    other", rest) == Taken("total = 1\n    return total", 2)
    assert acceptable("total = 1\n    return 3", rest) == Taken("total = 1\n    return", 2)  # a line and a word
    assert acceptable("total = 2", rest) == Taken("total =", 2)
    assert acceptable("\n    return 3 * 4\nx", "\n    return 3 + 4\n") == Taken("\n    return 3", 2)
    assert acceptable("t", rest) is None  # as many keys as to type it
    assert acceptable("other", rest) is None
    assert acceptable("", rest) is None
    assert Taken("\n        x = 1", 1).saved == 5  # the indentation comes with the line break


@given(st.text(alphabet="ab\n .", max_size=12), st.text(alphabet="ab\n .", max_size=12))
def test_what_is_taken_is_right_and_saves_keys(shown: str, rest: str) -> None:
    taken = acceptable(shown, rest)

    if taken is not None:
        assert taken.text == shown[: len(taken.text)] == rest[: len(taken.text)]
        assert 0 < taken.saved < len(taken.text)
    if rest.startswith(shown):
        assert taken == (Taken(shown, 1) if Taken(shown, 1).saved > 0 else None)
