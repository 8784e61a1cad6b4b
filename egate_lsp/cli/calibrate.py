"""`egate-lsp calibrate`: the gate fitted to the user's own code, models and purse."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from egate_lsp.cli.bench_gate import bars, cache_folder, cut, recorded
from egate_lsp.cli.settings import load, set_option
from egate_lsp.config import user_file
from egate_lsp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from egate_lsp.calibration import Calibration
    from egate_lsp.config import Settings
    from egate_lsp.evaluation.calibrating import Fit
    from egate_lsp.evaluation.metered import MeteredModel, Prices
    from egate_lsp.evaluation.outcomes import Drafted, Outcome
    from egate_lsp.evaluation.problems import Problem
    from egate_lsp.evaluation.recordings import RecordedModel
    from egate_lsp.gate import Rule

LEAST_LINES = 20
FEW_LINES = 100
CHAT_PROMPT_TOKENS = 200  # instructions around the code, about


class _PerDay(click.ParamType[float]):
    name = "USD/day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = re.fullmatch(r"\$?(\d+(?:\.\d+)?)(?:/day)?", str(value).strip())
        if found is None:
            self.fail(f"{value!r} is no amount such as 1.50/day", param, ctx)
        return float(found[1])


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--rate", type=click.FloatRange(0, 1), help="Share of lines to send to the target; default: as set.")
@click.option("--max-cost", type=_PerDay(), help="Send as much as this buys, e.g. 1.50/day. Needs the prices.")
@click.option(
    "--quality",
    type=click.FloatRange(0, 1, min_open=True),
    help="Send as little as reaches this part of always asking the target, e.g. 0.95.",
)
@click.option(
    "--limit", default=200, show_default=True, type=click.IntRange(LEAST_LINES), help="How many lines to hide."
)
@click.option("--seed", default=7, show_default=True, help="Of which lines are hidden, and of the intervals.")
@click.option("--resume/--afresh", default=True, show_default=True, help="Use what the models wrote before.")
@click.option(
    "--target", "local", metavar="NAME", help="A model of the catalogue, run here, instead of the target set."
)
@click.option("--no-target", is_flag=True, help="Calibrate the rate alone; nothing is sent anywhere.")
@click.option("--price-in", type=click.FloatRange(0), help="The target's price in USD for a million tokens read.")
@click.option("--price-out", type=click.FloatRange(0), help="The same for a million tokens written.")
@click.option("--budget", type=click.FloatRange(0), help="USD that this calibration never passes. Needs the prices.")
@click.option(
    "--lines-per-day",
    default=1000,
    show_default=True,
    type=click.IntRange(1),
    help="Drafted lines a day, for --max-cost.",
)
@click.option("--yes", is_flag=True, help="Ask nothing: send the requests, write the settings.")
@click.option("--dry-run", is_flag=True, help="Show the settings, write nothing.")
@click.option("--report", type=click.Path(file_okay=False, path_type=Path), help="Write index.html to this folder.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write all figures here.")
@set_option
def calibrate(
    *,
    paths: Sequence[Path],
    rate: float | None,
    max_cost: float | None,
    quality: float | None,
    limit: int,
    seed: int,
    resume: bool,
    local: str | None,
    no_target: bool,
    price_in: float | None,
    price_out: float | None,
    budget: float | None,
    lines_per_day: int,
    yes: bool,
    dry_run: bool,
    report: Path | None,
    json_file: Path | None,
    overrides: Sequence[str],
) -> None:
    """Fit the gate to your own code.

    Hides lines in the files under PATHS (default: this folder) at the places where people type, has the draft and the
    target write them, and sets the gate so that the share of lines you want is deferred, or the one that your money
    buys or the quality needs. What the models wrote is kept, so that an interrupted run goes on where it stopped.

    Files that git ignores, that your privacy patterns match, or that are generated are left alone. A target that is
    not on this machine is asked only after you have seen what it will cost. PATHS may also be files of problems with
    tests, as for `egate-lsp bench gate`.
    """
    if sum(option is not None for option in (rate, max_cost, quality)) > 1:
        raise click.UsageError("Give one of --rate, --max-cost and --quality.")
    if (max_cost is not None or budget is not None) and price_in is None:
        raise click.UsageError("--max-cost and --budget need --price-in and --price-out.")
    from egate_lsp.evaluation.metered import Prices

    settings = load(overrides)
    prices = None if price_in is None else Prices(price_in, price_in if price_out is None else price_out)
    run = _Run(settings, seed, prices, budget, yes=yes)
    target = None if no_target else run.target(local)
    has_target = target is not None
    for name, option in (("--quality", quality), ("--max-cost", max_cost)):
        if option is not None and not has_target:
            raise click.UsageError(f"{name} needs a target: set target.base_url, or give --target NAME.")
    found = run.outcomes(_problems(paths or (Path(),), limit, seed, settings), target, resume=resume)
    result = run.fitted(found, has_target=has_target)
    wanted = rate if rate is not None else settings.gate.deferral_rate
    if quality is not None:
        wanted = run.rate_for_quality(result, quality)
    elif max_cost is not None:
        wanted = run.rate_for_cost(max_cost, lines_per_day)
    figures = run.figures(result, wanted, has_target=has_target)
    _show(figures, has_target=has_target)
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=1), encoding="utf-8")
        click.echo(f"figures: {json_file}")
    if report is not None:
        from egate_lsp.evaluation.gate_report import page

        report.mkdir(parents=True, exist_ok=True)
        (report / "index.html").write_text(page(figures, found), encoding="utf-8")
        click.echo(f"report: {report / 'index.html'}")
    _write(settings, result, wanted, yes=yes, dry_run=dry_run)


@dataclass(frozen=True, slots=True)
class _Result:
    """The drafts, the rule that will serve, what is known of it, and the fit if one was made."""

    found: list[Outcome]
    rule: Rule
    known: Calibration
    fit: Fit | None


class _Run:
    def __init__(
        self, settings: Settings, seed: int, prices: Prices | None, budget: float | None, *, yes: bool
    ) -> None:
        self.settings, self.seed, self.prices, self.budget, self.yes = settings, seed, prices, budget, yes
        self.console = Console(stderr=True)
        self.meter: MeteredModel | None = None
        self.asked = ""
        self.tokens = (0.0, 0.0)

    def target(self, local: str | None) -> RecordedModel | None:
        """The target to ask: a local model by name, the one that is set, or none."""
        from egate_lsp.evaluation.metered import MeteredModel, Prices
        from egate_lsp.evaluation.recordings import RecordedModel
        from egate_lsp.service import open_target

        if local is not None:
            self.asked = local
            return recorded(local, self.settings)
        chosen = self.settings.target
        if not chosen.base_url:
            return None
        self.meter = MeteredModel(open_target(self.settings), self.prices or Prices(), self.budget)
        meter = self.meter
        known = hashlib.sha256(f"{chosen.base_url} {chosen.model} {chosen.api}".encode()).hexdigest()[:12]

        async def opened() -> MeteredModel:
            return meter

        return RecordedModel(
            chosen.model, cache_folder() / f"target-{known}.jsonl", opened, searches=False, draws=chosen.candidates
        )

    def outcomes(self, problems: list[Problem], target: RecordedModel | None, *, resume: bool) -> list[Outcome]:
        """What both wrote, tested."""
        from egate_lsp.evaluation import outcomes
        from egate_lsp.evaluation.verdicts import Verdicts
        from egate_lsp.syntax import Checker

        checker = Checker()
        draft = recorded(self.settings.draft.model, self.settings)
        if not resume:
            draft.forget()
            if target is not None:
                target.forget()
        with bars(self.console) as progress:
            drafted = asyncio.run(outcomes.draft_all(problems, draft, checker, progress))
        read, wrote = self.tokens = _mean_tokens(problems, drafted)
        answers = None
        if target is not None:
            if self.meter is not None:
                self._agree(target, problems, read, wrote)
            with bars(self.console) as progress:
                answers = asyncio.run(outcomes.answer_all(problems, target, progress))
                answers = asyncio.run(outcomes.review_all(problems, answers, draft, progress))
            if self.meter is not None and self.prices is not None:
                click.echo(f"{self.meter.requests} requests, ${self.meter.spent:.2f}")
            if len(answers) < len(problems):
                click.echo(f"The budget ended after {len(answers)} of {len(problems)} lines.")
            if len(answers) < LEAST_LINES:
                raise ConfigError(f"{len(answers)} lines are too few.", hint="Give a larger --budget.")
        with bars(self.console) as progress:
            verdicts = Verdicts(cache_folder() / "verdicts.json")
            return outcomes.judge_all(problems, drafted, answers, checker, verdicts, progress)

    def _agree(self, target: RecordedModel, problems: Sequence[Problem], read: float, wrote: float) -> None:
        """Say what the requests will cost, and ask."""
        from egate_lsp.evaluation import outcomes

        asked = [(problem.context, outcomes.asking(target, problem.context).draws) for problem in problems]
        draws = [count for hole, count in asked if not target.holds_line(hole, count)]
        missing, written = len(draws), sum(draws) * wrote
        if not missing:
            return
        chosen = self.settings.target
        extra = CHAT_PROMPT_TOKENS if chosen.api == "chat" else 0
        told = (
            f"{missing} requests to {chosen.model} at {chosen.base_url}: about {missing * (read + extra):,.0f} tokens "
            f"read and {written:,.0f} written"
        )
        if self.prices is not None:
            told += f", ${self.prices.of(missing * (read + extra), written):.2f}"
            told += f", never more than ${self.budget:.2f}" if self.budget is not None else ""
        else:
            told += " (its cost: --price-in and --price-out)"
        click.echo(f"{told}.\nEach holds the code around one hidden line.")
        if not self.yes:
            click.confirm("Send them?", abort=True)

    def fitted(self, found: list[Outcome], *, has_target: bool) -> _Result:
        """The settings' rule, or the learned one if it is better on these lines."""
        from egate_lsp.evaluation import calibrating
        from egate_lsp.service import calibration_of, draft_rule

        rule = replace(draft_rule(self.settings), tau=0.0)
        shipped = calibration_of(self.settings).weights
        fit = calibrating.fitted(found, rule, seed=self.seed) if has_target else None
        weights = fit.weights if fit is not None and fit.wins else shipped
        if fit is not None and fit.wins:
            rule = replace(rule, score="learned", weights=weights)
        gate = self.settings.gate
        known = calibrating.measured(found, weights, top_k=gate.top_k, window=gate.lookahead_tokens)
        own = weights if fit is not None and fit.wins else self._own_weights()
        return _Result(found, rule, replace(known, weights=own, note=self._note(found)), fit)

    def _own_weights(self) -> dict[str, float]:
        """The user's, kept as they are; those that are shipped are not copied."""
        own = self.settings.gate.calibrations.get(self.settings.draft.model)
        return dict(own.weights) if own else {}

    def _note(self, found: Sequence[Outcome]) -> str:
        files = len({outcome.problem.group for outcome in found})
        return f"egate-lsp calibrate, {dt.datetime.now(tz=dt.UTC).date()}: {len(found)} lines of {files} files"

    def rate_for_quality(self, result: _Result, quality: float) -> float:
        """The least share from which on every larger one reaches it."""
        from egate_lsp.evaluation import calibrating

        share = calibrating.share_for_quality(result.found, result.rule, quality)
        if share is None:
            click.echo(f"{quality:.0%} of the target's right lines is not reached even with every line sent.")
            return 1.0
        if share == 0.0:
            click.echo(f"The draft alone reaches {quality:.0%} of the target's right lines here: no line need be sent.")
        return share

    def rate_for_cost(self, per_day: float, lines_per_day: int) -> float:
        """The share that this many dollars buy."""
        assert self.prices is not None
        extra = CHAT_PROMPT_TOKENS if self.settings.target.api == "chat" else 0
        draws = self.settings.target.candidates  # the most: where no text stands below it writes one
        line = self.prices.of(self.tokens[0] + extra, self.tokens[1] * draws)
        share = min(per_day / (line * lines_per_day), 1.0) if line > 0.0 else 1.0
        click.echo(f"${per_day:.2f} a day buys {share:.1%} of {lines_per_day} lines at ${line:.6f} a line.")
        return share

    def figures(self, result: _Result, wanted: float, *, has_target: bool) -> dict[str, Any]:
        """All that is told of it."""
        from egate_lsp.calibration import tau_for
        from egate_lsp.evaluation import calibrating, gate_bench, rules
        from egate_lsp.models import catalogue

        found, rule = result.found, result.rule
        named = rules.ours(rule, result.known.weights)
        default = rules.named(named, "default")
        known = catalogue.known(self.settings.models)
        models = {name: known.get(name) for name in (self.settings.draft.model, self.asked) if name}
        figures: dict[str, Any] = {
            "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
            "models": {name: entry.sha256 if entry else "" for name, entry in models.items()},
            "data": sorted({outcome.problem.dataset for outcome in found}),
            "n": len(found),
            "groups": len({outcome.problem.group for outcome in found}),
            "default": rule.name,
            "rate": wanted,
            "tau": tau_for(result.known.taus[rule.name], wanted),
            "rate_interval": calibrating.rate_interval(found, rule, wanted, seed=self.seed),
            "taus": dict(result.known.taus),
            "weights": dict(result.known.weights),
            "scores": [{"score": min(default.of(outcome), 1.0), "right": outcome.shown.right} for outcome in found],
            "rules": [],
            "differences": {},
            "has_target": has_target,
        }
        if has_target:
            if self.settings.target.base_url and self.meter is not None:
                figures["models"][self.settings.target.model] = self.settings.target.base_url
            compared = [*rules.rivals(), *named]
            table = gate_bench.table(found, compared, seed=self.seed)
            shares = sorted({*calibrating.SHARES, round(wanted, 4)})
            figures["rows"] = calibrating.rows(found, rule, seed=self.seed, shares=shares)
            for row in table:
                row.pop("samples")
            figures["rules"] = table
            figures["differences"] = dict.fromkeys(RIVALS)
            figures["tested"] = any(one.problem.tests for one in found)
            figures["triggers"] = gate_bench.triggers_pay(found)
            figures["oracle_share"] = sum(one.target_right > one.shown.right for one in found) / len(found)
        if result.fit is not None:
            figures["fit"] = {
                "weights": dict(result.fit.weights), "gain": result.fit.gain, "sure": result.fit.sure,
                "used": result.fit.wins,
            }  # fmt: skip
        return figures


def _mean_tokens(problems: Sequence[Problem], drafted: Sequence[Drafted]) -> tuple[float, float]:
    """Of a request, read and written: as the draft's engine counted them; where it did not, by characters."""
    from egate_lsp.evaluation.metered import CHARS_PER_TOKEN

    read, wrote = 0.0, 0.0
    for problem, one in zip(problems, drafted, strict=True):
        chars = len(problem.context.prefix) + len(problem.context.suffix)
        read += one.usage.get("prompt_tokens", 0.0) or chars / CHARS_PER_TOKEN
        wrote += one.usage.get("generated_tokens", 0.0) or sum(len(line.tokens) for line in one.plain)
    return read / len(drafted), wrote / len(drafted)


RIVALS = (
    "MCCom: mean probability of the first 3",
    "SynConfRoute: mean log-probability of the first 3, and parse",
    "first-token margin",
    "entropy max",
)


def _problems(paths: Sequence[Path], limit: int, seed: int, settings: Settings) -> list[Problem]:
    from egate_lsp.evaluation import problems

    share = -(-limit // len(paths))
    found: list[Problem] = []
    for path in paths:
        if path.name.removesuffix(".gz").endswith(".jsonl"):
            found += problems.read(path, limit=share, seed=seed)
        else:
            found += cut(path.resolve(), share, seed, settings)
    if len(found) < LEAST_LINES:
        raise ConfigError(
            f"{', '.join(map(str, paths))}: {len(found)} lines of code to learn from are too few.",
            hint=f"At least {LEAST_LINES} are needed: name more folders or files with code of your own.",
        )
    return found


def _show(figures: dict[str, Any], *, has_target: bool) -> None:
    from egate_lsp.evaluation.calibrating import COLUMNS
    from egate_lsp.evaluation.gate_report import fixed_rules

    console = Console()
    console.print(f"{figures['n']} lines of {figures['groups']} files; the gate's rule: {figures['default']}")
    if has_target:
        table = Table(title="what is shown when this share of lines goes to the target (95 % intervals over files)")
        columns = {name: head for name, head in COLUMNS.items() if name != "right" or figures["tested"]}
        for column in ("share", "tau", *columns.values()):
            table.add_column(column, justify="right")
        for row in figures["rows"]:
            cells = [f"{row[name][0]:.3f} ({row[name][1]:.2f}-{row[name][2]:.2f})" for name in columns]
            tau = "never" if row["tau"] is None else f"{row['tau']:.3f}"
            table.add_row(f"{row['share']:.0%}", tau, *cells)
        console.print(table)
        right = fixed_rules(figures["rules"])
        console.print(
            f"Right lines: the draft {right['never']:.1%}, {right['never, faulty lines drafted anew']:.1%} with its "
            f"faulty ones drafted anew; the target for every line {right['always']:.1%}, "
            f"{right['always, the likeliest of its lines, refused where it is worse']:.1%} with the best of what it "
            f"writes. Only the target is right on {figures['oracle_share']:.1%}."
        )
        for name, row in figures["triggers"].items():
            console.print(
                f"trigger {name}: {row['lines']} lines, right: draft {row['draft']:.2f}, target {row['target']:.2f}"
            )
    else:
        console.print("No target is set, so only the rate is calibrated: what a share of lines is worth is not known.")
    if fit := figures.get("fit"):
        told = "is used" if fit["used"] else "is not used: that may be chance"
        console.print(
            f"A learned combination of signals: {100 * fit['gain']:+.1f} points on held-out files, better in "
            f"{fit['sure']:.0%} of resamples; it {told}."
        )
    elif has_target:
        from egate_lsp.evaluation.calibrating import LEAST_GAINS, can_fit

        told = f"it takes {LEAST_GAINS} lines on which only the target is right"
        if not can_fit():
            told = "it takes scikit-learn: pip install 'egate-lsp[fit]'"
        console.print(f"No learned combination of signals was tried: {told}.")
    low, high = figures["rate_interval"]
    console.print(
        f"For {figures['rate']:.0%} of lines tau is {figures['tau']:.4f}. On other code like this the share will be "
        f"between {low:.0%} and {high:.0%}, with 95 %."
    )
    if figures["n"] < FEW_LINES:
        console.print(f"{figures['n']} lines are few: a larger --limit makes this surer.")


def _write(settings: Settings, result: _Result, wanted: float, *, yes: bool, dry_run: bool) -> None:
    """Show the change of the user's file, and make it."""
    from egate_lsp.cli import config_file

    path = user_file()
    model = settings.draft.model
    changes: dict[tuple[str, ...], Any] = {("gate", "deferral_rate"): round(wanted, 4)}
    if result.rule.score != settings.gate.score:
        changes["gate", "score"] = result.rule.score
    if settings.gate.tau is not None:
        changes["gate", "tau"] = None
    for key, value in changes.items():
        click.echo(f"  {'.'.join(key)} = {value}" if value is not None else f"  {'.'.join(key)} taken out")
    click.echo(f'  gate.calibrations."{model}" = {len(result.known.taus)} tables of tau by rate')
    calibration = ("gate", "calibrations", model)
    changes[(*calibration, "note")] = result.known.note
    changes[(*calibration, "weights")] = dict(result.known.weights) or None
    for name, points in result.known.taus.items():
        changes[(*calibration, "taus", name)] = [list(point) for point in points]
    text = config_file.changed(path, changes)
    if dry_run:
        click.echo(f"{path} is left as it is.")
        return
    if yes or click.confirm(f"Write this to {path}?", default=True):
        config_file.write(path, text)
        click.echo(f"written to {path}; running servers read it when they restart")
