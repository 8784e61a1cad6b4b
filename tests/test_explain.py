"""The explained completion: its facts, the page and the terminal. `--update-golden` rewrites golden/explain.html."""

from __future__ import annotations

import itertools
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from egate_lsp.explain_html import page
from egate_lsp.explain_terminal import drawing
from egate_lsp.explain_view import Gate, Place, Span, View, shown, spans, view
from egate_lsp.values import Completion, CompletionLine, Source, TierRequest, Token, Verdict

GOLDEN = Path(__file__).parent / "golden" / "explain.html"
VOID = {"meta", "link", "br"}
LN_V = math.log(1000)


def token(piece: str | bytes, share: float | None = 0.0, top: tuple[float, ...] = ()) -> Token:
    """A token whose normalised entropy is `share`."""
    data = piece.encode() if isinstance(piece, str) else piece
    if share is None:
        return Token(data)
    return Token(data, logprob=-share, entropy=share * LN_V, margin=1 - share, vocabulary=1000, top=top)


def line(text: str, *tokens: Token, **more: object) -> CompletionLine:
    return CompletionLine(text, Source.DRAFT, "small", 0.01, ("max entropy 0.010 < 0.110",), tokens, **more)  # type: ignore[arg-type]


def completed(*lines: CompletionLine, before: str = "x = ", after: str = "\ny\n", **more: object) -> View:
    place = Place("a.py", before + after, len(before))
    return view(Completion(lines, **more), place, Gate("max entropy", 0.11))  # type: ignore[arg-type]


def cut(text: str, *tokens: Token) -> list[tuple[str, int]]:
    """Spans as text and number of tokens, those beyond the line's text left out."""
    return [(span.text, len(span.tokens)) for span in spans(text, tokens) if not span.beyond]


def story() -> View:
    document = "import math\n\n\ndef area(shape):\n    if shape.round:\n        \n    return None\n"
    lines = (
        CompletionLine(
            "radius = shape.diameter / 2",
            Source.DRAFT,
            "qwen",
            0.08,
            ("max entropy 0.080 < 0.110",),
            (token("radius", 0.08, (0.61, 0.2, 0.1)), token(" =", 0.0), token(" shape", None), token(".diameter"),
             token(" / 2", 0.03), token("\n", 0.02)),
            verdict=Verdict.KEEP,
            signals={"agreement": 0.75, "depth": 2.0},
        ),
        CompletionLine(
            "        return math.pi * radius ** 2",
            Source.TARGET,
            "big",
            0.42,
            ("pattern: nested-brackets", "max entropy 0.420 >= 0.110", "written by big"),
            (),
            "        return radius",
            Verdict.DEFER,
        ),
        CompletionLine(
            "        # über <b>\"&\" 'π'",
            Source.DRAFT,
            "qwen",
            None,
            ("a comment",),
            (token("        ", 0.2), token("#"), token(" üb", 0.5), token("er <b>"), token("\"&\" '"),
             token(b"\xcf", 0.3), token(b"\x80'\n", 0.1)),
            verdict=Verdict.KEEP,
        ),
    )  # fmt: skip
    requests = (
        TierRequest("big", 1, "answered", 412.4, True, 820, 14),
        TierRequest("big", 3, "late", 80.0),
        TierRequest("local", 1, "failed", 3.0, False, detail="connection refused: <none>"),
    )
    return view(
        Completion(
            lines,
            requests,
            {"context": 0.21, "draft_first_line": 120.5, "total": 640.04},
            True,
            "the target is late; its answer is kept for the next request here",
            {"generated_tokens": 41.0, "hit_rate": 0.25},
        ),
        Place("src/area.py", document, document.index("        \n") + 8),
        Gate("max entropy", 0.11),
    )


def printed(facts: View, width: int = 110) -> str:
    console = Console(width=width, color_system=None, file=None)
    with console.capture() as capture:
        console.print(drawing(facts))
    return capture.get()


class Outline(HTMLParser):
    """Checks that every element is closed in order, and keeps names, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.said = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.said += data


def test_the_page_of_a_fixed_completion(request: pytest.FixtureRequest) -> None:
    result = page(story())
    if request.config.getoption("--update-golden"):
        GOLDEN.write_text(result, encoding="utf-8")

    assert result == GOLDEN.read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_needs_nothing_else() -> None:
    text = page(story())
    outline = Outline(text)

    assert outline.open == []
    assert not {"script", "link", "img", "iframe"} & set(outline.names)
    assert not any(name.startswith("on") or name == "src" for name, _ in outline.attributes)
    assert all((value or "").startswith("#") for name, value in outline.attributes if name == "href")
    assert not re.search(r"url\(|@import|https?:", text)
    for href in re.findall(r'href="#([^"]+)"', text):
        assert f'id="{href}"' in text


@pytest.mark.parametrize(
    "evil", ["</script><script>alert(1)</script>", "\" onmouseover='x' \"", "a < b && c > d", "$x ${y}"]
)
def test_nothing_reaches_the_page_unescaped(evil: str) -> None:
    mine = CompletionLine(
        evil, Source.TARGET, evil, 0.5, (evil,), (token(evil, 0.4),), "was" + evil, Verdict.DEFER, {evil: 1.0}
    )
    facts = view(
        Completion((mine,), (TierRequest(evil, 0, evil, 1.0, detail=evil),), {evil: 1.0}, False, evil, {evil: 2.0}),
        Place(evil, f"{evil}\n{evil}{evil}\n{evil}", len(evil) * 2 + 1),
        Gate(evil, 0.1),
    )
    outline = Outline(page(facts))

    assert outline.open == []
    assert "script" not in outline.names
    assert {name for name, _ in outline.attributes} <= {
        "lang", "charset", "name", "content", "http-equiv", "class", "id", "href", "tabindex", "role", "scope",
        "aria-label", "aria-hidden",
    }  # fmt: skip
    assert outline.said.count(evil) >= 10


def test_tokens_that_share_a_character_become_one_span() -> None:
    euro = "€".encode()

    assert cut("a€b", token("a"), token(euro[:1]), token(euro[1:2]), token(euro[2:] + b"b")) == [("a", 1), ("€b", 3)]


def test_bytes_that_are_no_character_do_not_break_a_line() -> None:
    assert cut("a\ufffd", token("a"), token(b"\xe2")) == [("a", 1), ("\ufffd", 1)]
    # The beginning of the character was charged to the line above.
    assert cut("€ = price", token(b"\x82\xac"), token(" = "), token("price")) == [("€", 0), (" = ", 1), ("price", 1)]
    assert "bytes e2" in page(completed(line("a\ufffd", token("a"), token(b"\xe2", 0.2))))


def test_line_breaks_in_tokens() -> None:
    assert cut("    return x", token("\n    return"), token(" x\n")) == [("    return", 1), (" x", 1)]
    # The indentation came with the line break of the line above.
    assert cut("    return x", token("return"), token(" x")) == [("    ", 0), ("return", 1), (" x", 1)]
    beyond = [span for span in spans("f()", (token("f()"), token("\n  ", 0.5))) if span.beyond]
    assert [(span.text, span.normalised) for span in beyond] == [("⏎··", pytest.approx(0.5))]
    assert [span.text for span in spans("", (token("\n"),))] == ["⏎"]


def test_text_cut_from_the_end_is_told_apart() -> None:
    found = spans("f(a", (token("f("), token("a"), token(")"), token("\n")))

    assert [(span.text, span.beyond) for span in found] == [("f(", False), ("a", False), (")", True), ("⏎", True)]


def test_tokens_of_another_text_shade_nothing() -> None:
    assert spans("return radius", (token("```python"), token("\nx"))) == (Span("return radius"),)
    assert spans("abc", ()) == (Span("abc"),)
    assert spans("", ()) == ()


def test_blank_tokens_are_visible_and_do_not_vote_as_indentation() -> None:
    blank, rest = spans("  x", (token("  ", 0.9), token("x")))

    assert (blank.text, blank.normalised) == ("··", None)
    assert blank.tokens[0].silent == "no vote: indentation"
    assert rest.normalised == 0.0


@given(st.text(max_size=20), st.lists(st.binary(max_size=5), max_size=6))
def test_spans_hold_the_text_whatever_the_tokens(text: str, pieces: list[bytes]) -> None:
    found = spans(text, [token(piece, 0.1) for piece in pieces])
    told = "".join(span.text for span in found if not span.beyond)

    plain = re.compile(r"[ ·\t→\n⏎\r␊␍]")
    assert plain.sub("_", told) == plain.sub("_", shown(text))


@given(st.text(st.sampled_from("ab€😀 \t\n"), max_size=12), st.data())
def test_a_text_cut_anywhere_is_shaded_whole(text: str, data: st.DataObject) -> None:
    line_text = text.replace("\n", "") + "x"
    raw = line_text.encode()
    places = sorted({0, len(raw), *data.draw(st.lists(st.integers(0, len(raw)), max_size=5))})
    tokens = [token(raw[start:end]) for start, end in itertools.pairwise(places)]

    assert all(count for _, count in cut(line_text, *tokens))


def test_an_empty_completion_says_why() -> None:
    facts = completed(note="nothing <to> add")

    for text in (page(facts), printed(facts)):
        assert "x = " in text
    assert "nothing &lt;to&gt; add" in page(facts)
    assert "nothing <to> add" in printed(facts)
    assert Outline(page(facts)).open == []
    assert "nothing to show" in page(completed())
    assert "nothing to show" in printed(view(Completion(), Place("empty", "", 0)))


def test_numbers_are_those_of_the_document_with_the_completion() -> None:
    facts = story()

    assert [context.number for context in facts.above] == [1, 2, 3, 4, 5]
    assert [found.number for found in facts.lines] == [6, 7, 8]
    assert [(context.number, context.text) for context in facts.below] == [(9, "    return None")]
    assert [request.number for request in facts.requests] == [7, 9, 7]
    assert [request.tier for request in facts.lines[1].requests] == ["big", "local"]


def test_the_scale_grows_with_the_least_certain_token() -> None:
    assert completed(line("a", token("a", 0.05))).scale == 0.3
    assert completed(line("a", token("a", 0.6))).scale == pytest.approx(0.6)
    assert completed(line("a", token("a", 0.6))).step(0.6) == 10


def test_strange_numbers_are_shown() -> None:
    odd = Token(b"a", logprob=-math.inf, entropy=math.nan, margin=math.nan, vocabulary=1000)
    facts = view(
        Completion((line("a", odd, signals={"x": math.inf, "y": math.nan}),), stats={"z": math.inf}),
        Place("a", "", 0),
        Gate("max entropy", math.inf),
    )

    assert "∞" in page(facts)
    assert "∞" in printed(facts)


def test_text_cannot_steer_the_view() -> None:
    facts = completed(line("\x1b[2J\u202e", token("\x1b[2J\u202e", 0.2)), before="a\x1b]0;t\x07 = ")

    for text in (page(facts), printed(facts)):
        assert not {"\x1b", "\x07", "\u202e"} & set(text)
        assert "␛[2J⟨U+202E⟩" in text


def test_the_terminal_tells_the_same() -> None:
    text = printed(story())

    for fact in (
        "src/area.py:6", "radius = shape.diameter / 2", "return radius", "verdict defer",
        "draft's score 0.420, τ 0.110", "tokens 820 in, 14",
        "pattern: nested-brackets", "agreement 0.7500", "0.610 0.200 0.100", "big: answered, 412 ms",
        "connection refused: <none>", "draft first line 120.5 ms", "generated tokens 41", "hit rate 0.2500", "depth 2",
    ):  # fmt: skip
        assert fact in text
        assert all(len(row) <= 60 for row in printed(story(), width=60).splitlines())


def contrast(one: str, other: str) -> float:
    """As WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_text_stands_out_from_every_shade() -> None:
    schemes = page(story()).split("@media (prefers-color-scheme: dark)")
    for scheme in schemes:
        colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", scheme))
        shades = re.findall(r"\.h\d+ \{ background: (#[0-9a-f]{6}); \}", scheme)
        assert len(shades) == 10
        assert min(contrast(colours["ink"], shade) for shade in shades) >= 7
        for name in ("ink", "soft", "draft", "target", "gone"):
            assert min(contrast(colours[name], colours[paper]) for paper in ("paper", "panel")) >= 4.5
