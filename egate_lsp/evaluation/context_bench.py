"""Is a model better with code from elsewhere than with more of the file? Ways to spend the same number of tokens,
compared on the same holes. numpy.

The number of characters is the same for all ways: the wanted tokens at the ratio that the model's own tokens showed on
the package at hand. The file gets what the snippets leave.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from rapidfuzz.distance import Levenshtein

from egate_lsp import context as contexts
from egate_lsp import windows
from egate_lsp.evaluation import curves
from egate_lsp.outline import WORDS
from egate_lsp.values import FimContext, Shape

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from egate_lsp.evaluation.asked import Answer, Asked
    from egate_lsp.evaluation.crossfile import Hole
    from egate_lsp.outline import Entry
    from egate_lsp.values import Snippet

    Progress = Callable[[str, int, int], None]

SUFFIX_SHARE = 0.25  # of the file's characters
SNIPPET_SHARE = 0.4  # of all characters, at most
SAMPLE_CHARS = 6000  # of a package, to measure its characters a token
LINES, SYNTAX, ALL = "file by lines", "file by syntax", "all"
METRICS = ("exact", "similarity", "identifiers")


class Elsewhere(Protocol):
    """Where snippets come from."""

    @property
    def sources(self) -> Sequence[str]:
        """Names of its sources."""
        ...

    async def gather(self, hole: Hole, context: FimContext, chars: int, sources: Collection[str]) -> Sequence[Snippet]:
        """The best of these sources for a hole, within so many characters, in the order in which they are shown."""
        ...


@dataclass(frozen=True, slots=True)
class Way:
    """A way to spend the tokens.

    Attributes:
        sources: of snippets.
        syntax: the file is cut by syntax, with an outline, or else by lines.
        main: it is asked on all holes; others on as many of those that use other files as the user wants.
    """

    name: str
    sources: tuple[str, ...] = ()
    syntax: bool = False
    main: bool = False


def ways(sources: Sequence[str]) -> list[Way]:
    """The file only, all sources beside it, each alone, all but each; and what the file cut by syntax adds to the
    first two."""
    every = tuple(sources)
    found = [Way(LINES, main=True)]
    if every:
        found.append(Way(ALL, every, main=True))
    found.append(Way(SYNTAX, syntax=True))
    if every:
        found.append(Way(f"{ALL}, {SYNTAX}", every, syntax=True))
    if len(every) > 1:
        found += [Way(f"only {name}", (name,)) for name in every]
        found += [Way(f"{ALL} but {name}", tuple(other for other in every if other != name)) for name in every]
    return found


@dataclass(frozen=True, slots=True)
class Asking:
    """A hole asked in one way, with the answer."""

    hole: Hole
    answer: Answer

    @property
    def exact(self) -> float:
        return float(self.answer.text.strip() == self.hole.expected.strip())

    @property
    def similarity(self) -> float:
        return Levenshtein.normalized_similarity(self.answer.text.strip(), self.hole.expected.strip())

    @property
    def identifiers(self) -> float:
        """Share of the names in the author's text that were found."""
        wanted = set(WORDS.findall(self.hole.expected))
        return len(wanted & set(WORDS.findall(self.answer.text))) / len(wanted) if wanted else 1.0


class Bench:
    """One model on the holes of some packages. `outliner`: see `windows.Windows`."""

    def __init__(
        self, model: Asked, outliner: Callable[[str, str, int], Sequence[Entry]], elsewhere: Elsewhere | None
    ) -> None:
        self._model = model
        self._outliner = outliner
        self._elsewhere = elsewhere
        self._ratios: dict[str, float] = {}

    async def compare(
        self,
        cross: Sequence[Hole],
        control: Sequence[Hole],
        tokens: int,
        *,
        ablate: int | None,
        seed: int,
        progress: Progress,
    ) -> dict[str, Any]:
        """All ways at one budget: those of `Way.main` on all holes, the others on the first `ablate` cross-file ones.

        Returns:
            "tokens", "n", "files", "ways" on the cross-file holes, and "control" with "n", "files", "ways".
        """
        chosen = ways(self._elsewhere.sources if self._elsewhere is not None else ())
        plan = [
            (way, kind, holes if way.main else holes[:ablate])
            for way in chosen
            for kind, holes in (("cross", cross), ("control", control))
            if way.main or kind == "cross"
        ]
        total = sum(len(holes) for *_, holes in plan)
        done = 0
        found: dict[str, dict[str, list[Asking]]] = {"cross": {}, "control": {}}
        # One way after the other: then what the engine read last is of another hole, and a cold time is one.
        for way, kind, holes in plan:
            asked = found[kind].setdefault(way.name, [])
            for hole in holes:
                progress(f"{self._model.name}, {tokens} tokens", done, total)
                asked.append(await self._asked(hole, way, tokens))
                done += 1
        return {
            "tokens": tokens,
            "model": self._model.name,
            "chars_per_token": {name: round(ratio, 2) for name, ratio in self._ratios.items()},
            **_told(found["cross"], seed),
            "control": _told(found["control"], seed),
        }

    async def _asked(self, hole: Hole, way: Way, tokens: int) -> Asking:
        context = await self.context(hole, way, int(tokens * await self._ratio(hole)))
        return Asking(hole, await self._model.ask(context, hole.lines, hole.expected[:1]))

    async def context(self, hole: Hole, way: Way, chars: int) -> FimContext:
        """What the model is shown in this way, in at most so many characters."""
        if not way.sources or self._elsewhere is None:
            return self._file(hole, chars, syntax=way.syntax)
        share = int(chars * SNIPPET_SHARE)
        alone = self._file(hole, chars - share, syntax=False)  # what of the file is shown beside them in any case
        snippets = tuple(await self._elsewhere.gather(hole, alone, share, way.sources))
        spent = len(replace(alone, snippets=snippets).elsewhere)
        return replace(self._file(hole, max(chars - spent, 0), syntax=way.syntax), snippets=snippets)

    def _file(self, hole: Hole, chars: int, *, syntax: bool) -> FimContext:
        text, offset = hole.before + hole.after, len(hole.before)
        after = min(int(chars * SUFFIX_SHARE), len(hole.after))
        before = min(chars - after, offset)
        after = min(chars - before, len(hole.after))
        budget = contexts.Budget(before, after)
        if syntax:
            window = windows.cut(text, offset, budget, hole.language, self._outliner, growth=0.0)
            span, outline = (window.start, window.end), window.outline
        else:
            span, outline = _by_lines(text, offset, budget), ""
        built = contexts.build(
            text, offset, budget, path=hole.path.name, language=hole.language, span=span, outline=outline
        )
        return replace(built, shape=Shape.LINE if hole.lines == 1 else Shape.BLOCK, file=str(hole.path))

    async def _ratio(self, hole: Hole) -> float:
        """Characters a token in this package, by the model's own tokens on the first of its files that is asked for."""
        if hole.package not in self._ratios:
            sample = (hole.before + hole.after)[:SAMPLE_CHARS]
            answer = await self._model.ask(FimContext(sample, "", hole.path.name, hole.language, Shape.LINE), 1)
            self._ratios[hole.package] = len(sample) / answer.prompt_tokens if answer.prompt_tokens else FALLBACK_RATIO
        return self._ratios[hole.package]


FALLBACK_RATIO = 3.5  # of a model that does not count


def _by_lines(text: str, offset: int, budget: contexts.Budget) -> tuple[int, int]:
    """As many whole lines as fit."""
    start = max(offset - budget.prefix_chars, 0)
    if start and text[start - 1] != "\n":
        start = text.find("\n", start, offset) + 1 or start
    return start, contexts.window_end(text, offset, budget.suffix_chars)


def _told(found: Mapping[str, Sequence[Asking]], seed: int) -> dict[str, Any]:
    base = found.get(LINES, ())
    groups = curves.grouped([asking.hole.group for asking in base])
    return {
        "n": len(base),
        "files": int(groups.max()) + 1 if len(base) else 0,
        "ways": [_row(name, asked, base, seed) for name, asked in found.items() if asked],
    }


def _row(name: str, asked: Sequence[Asking], base: Sequence[Asking], seed: int) -> dict[str, Any]:
    """A way's figures, and how its exact matches differ from those of the file by lines on the same holes."""
    answers = [asking.answer for asking in asked]
    row: dict[str, Any] = {"name": name, "n": len(asked)}
    for metric in METRICS:
        row[metric] = float(np.mean([getattr(asking, metric) for asking in asked]))
    row["prompt_tokens"] = float(np.mean([answer.prompt_tokens for answer in answers]))
    row["evaluated_tokens"] = float(np.mean([answer.cold_tokens for answer in answers]))
    row["warm_tokens"] = float(np.mean([answer.warm_tokens for answer in answers]))
    row["cold_ms"] = float(np.median([answer.cold_ms for answer in answers]))
    row["warm_ms"] = float(np.median([answer.warm_ms for answer in answers]))
    row["difference"] = dict(_differences(asked, base[: len(asked)], seed))
    row["by_package"] = _by_package(asked)
    return row


def _differences(asked: Sequence[Asking], base: Sequence[Asking], seed: int) -> Iterator[tuple[str, float]]:
    groups = curves.grouped([asking.hole.group for asking in asked])
    weights = curves.resamples(groups, seed=seed)
    for metric in METRICS:
        gaps = np.array([getattr(a, metric) - getattr(b, metric) for a, b in zip(asked, base, strict=True)])
        low, high = curves.interval((weights @ gaps) / np.maximum(weights.sum(axis=1), 1.0))
        prefix = "" if metric == "exact" else f"{metric}_"
        yield metric, float(gaps.mean())
        yield f"{prefix}low", low
        yield f"{prefix}high", high


def _by_package(asked: Sequence[Asking]) -> dict[str, float]:
    packages: dict[str, list[float]] = {}
    for asking in asked:
        packages.setdefault(asking.hole.package, []).append(asking.exact)
    return {name: float(np.mean(values)) for name, values in packages.items()}
