from __future__ import annotations

import json
import math
import re
import threading
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from egate_lsp.cli import config_file, main
from egate_lsp.config import resolve
from egate_lsp.errors import ConfigError
from egate_lsp.evaluation import calibrating
from egate_lsp.evaluation.metered import BudgetSpent, MeteredModel, Prices
from egate_lsp.evaluation.outcomes import Outcome, Version
from egate_lsp.evaluation.problems import Problem
from egate_lsp.gate import Rule
from egate_lsp.models import Limits, scripted
from egate_lsp.service import draft_rule
from egate_lsp.values import FimContext, Shape

RULE = Rule("max")


def outcome(number: int, entropy: float, *, draft: bool, target: bool) -> Outcome:
    hole = FimContext("", "", "f.py", "python", Shape.LINE)
    problem = Problem(f"p{number}", f"g{number // 3}", "set", hole, "right", "", "")
    known = {"entropy-max": entropy, "probability-max": entropy, "tokens": 1.0}
    text, answer = ("right" if right else "tight" for right in (draft, target))
    version = Version(text, (known,), draft, answer, target, target, parses=True, chosen_parses=True)
    return Outcome(problem, version, version, version, known, (), answer, target, target)


# Of 300 lines the 60 least certain are wrong, and the target has half of those.
FOUND = [outcome(n, n / 300, draft=n < 240, target=n < 240 or n % 2 == 0) for n in range(300)]


def test_the_least_share_that_reaches_a_quality() -> None:
    assert calibrating.share_for_quality(FOUND, RULE, 240 / 270) == 0.0
    assert calibrating.share_for_quality(FOUND, RULE, 1.0) == pytest.approx(0.2, abs=0.011)
    assert calibrating.share_for_quality([outcome(0, 0.5, draft=True, target=True)], RULE, 1.0) == 0.0


def test_a_share_that_reaches_a_quality_by_chance_is_not_the_least() -> None:
    """The curve goes up to the goal, down again, where the target is wrong on what the draft has right, and up."""
    rights = [(False, True), (True, False), (False, True), (True, True)]  # from the least certain line on
    found = [outcome(3 * n, 0.9 - n / 10, draft=draft, target=target) for n, (draft, target) in enumerate(rights)]

    assert calibrating.share_for_quality(found, RULE, 1.0) == pytest.approx(0.75)


def test_no_share_reaches_a_quality_that_the_whole_does_not() -> None:
    found = [outcome(0, 0.9, draft=False, target=True), outcome(3, 0.1, draft=True, target=False)]
    assert calibrating.share_for_quality(found, RULE, 1.0) == 0.0
    worse = [replace(one, shown=replace(one.shown, chosen_right=False)) for one in found]

    assert calibrating.share_for_quality(worse, RULE, 1.0) is None


def test_rows_tell_tau_and_what_is_shown() -> None:
    rows = calibrating.rows(FOUND, RULE, seed=1, shares=(0.0, 0.1, 1.0))

    assert [row["tau"] for row in rows] == [None, pytest.approx(0.9, abs=0.01), 0.0]
    assert rows[0]["exact"][0] == pytest.approx(240 / 300)
    assert rows[2]["exact"][0] == pytest.approx(270 / 300)
    assert all(row["exact"][1] <= row["exact"][0] <= row["exact"][2] for row in rows)
    assert rows[2]["similarity"][0] > rows[2]["exact"][0]


def test_the_interval_of_the_rate_holds_the_rate() -> None:
    low, high = calibrating.rate_interval(FOUND, RULE, 0.2, seed=1)

    assert 0.05 < low < 0.2 < high < 0.4


def test_a_fit_that_is_no_better_is_not_used_and_one_that_is_wins() -> None:
    pytest.importorskip("sklearn")
    same = calibrating.fitted(FOUND, RULE, seed=1, features=("entropy-max",))
    noise = []
    for number, one in enumerate(FOUND):
        known = {**one.shown.lines[0], "entropy-max": (number * 37 % 300) / 300}
        noise.append(replace(one, shown=replace(one.shown, lines=(known,))))
    better = calibrating.fitted(noise, RULE, seed=1, features=("probability-max",))

    assert same is not None
    assert not same.wins
    assert better is not None
    assert better.wins
    assert better.gain > 0.03
    assert better.weights["probability-max"] > 0.0


def test_too_few_lines_are_not_fitted() -> None:
    assert calibrating.fitted(FOUND[:240], RULE, seed=1) is None


async def test_a_meter_never_passes_its_budget() -> None:
    model = scripted.ScriptedModel([scripted.Rule("", (("a", 0.1), ("\n", 0.1)))])
    meter = MeteredModel(model, Prices(1000.0, 1000.0), 0.3)
    hole = FimContext("x" * 150, "y" * 150, "f.py", "python", Shape.LINE)

    async def ask() -> None:
        async for _token in meter.generate(hole, Limits(20, 1)):
            pass

    await ask()
    await ask()
    with pytest.raises(BudgetSpent):  # each reads 100 tokens for $0.10; with its 20 tokens the third could pass $0.30
        await ask()

    assert meter.requests == 2
    assert 0.2 <= meter.spent <= 0.3


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=8)


@given(st.dictionaries(TEXT, st.floats(0, 1) | TEXT, max_size=4), st.floats(0, 1))
def test_the_file_keeps_what_is_not_changed(tmp_path_factory, others, rate) -> None:
    path = tmp_path_factory.mktemp("config") / "config.toml"
    path.write_text(
        "# mine\n[other]\n"
        + "".join(
            f"{json.dumps(k, ensure_ascii=False)} = {json.dumps(v, ensure_ascii=False)}\n" for k, v in others.items()
        )
    )
    text = config_file.changed(path, {("gate", "deferral_rate"): rate, ("gate", "calibrations", "a.b", "note"): "n"})
    table = tomllib.loads(text)

    assert table["other"] == others
    assert table["gate"] == {"deferral_rate": rate, "calibrations": {"a.b": {"note": "n"}}}
    assert "# mine" in text


@pytest.mark.parametrize("content", ["[gate\n", "gate = 3\n", b"\xff\xfe"])
def test_a_broken_file_is_not_overwritten(tmp_path, content) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=r"config\.toml"):
        config_file.changed(path, {("gate", "deferral_rate"): 0.2})


def test_a_file_is_replaced_through_a_link_and_keeps_its_mode(tmp_path) -> None:
    real, link = tmp_path / "real.toml", tmp_path / "link.toml"
    real.write_text("")
    real.chmod(0o600)
    link.symlink_to(real)
    config_file.write(link, "a = 1\n")

    assert real.read_text() == "a = 1\n"
    assert real.stat().st_mode & 0o777 == 0o600
    assert link.is_symlink()


class Workspace:
    """A folder of code, a scripted draft, and the command run on them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.code = folder / "code"
        self.code.mkdir()
        for number in range(6):
            body = "".join(f"    value_{line} = compute({line})\n" for line in range(10))
            (self.code / f"m{number}.py").write_text(f"def f{number}():\n{body}")
        (self.code / "secret_keys.py").write_text("".join(f"password_{n} = 'hunter{n}'\n" for n in range(40)))
        script = folder / "draft.json"
        script.write_text(json.dumps([{"after": "", "tokens": [["value", 2.0], ["\n", 0.1]]}]))
        self.config = folder / "config.toml"
        self.config.write_text(f'# mine\n[draft]\nmodel = "scripted:{script}"\n[gate]\ntau = 0.5\n')
        monkeypatch.setenv("EGATE_LSP_CONFIG", str(self.config))
        monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_args, **_more: str(folder / "cache"))

    def run(self, *arguments: str, answer: str = "") -> Result:
        return CliRunner().invoke(main, ["calibrate", str(self.code), *arguments], input=answer)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    return Workspace(tmp_path, monkeypatch)


def test_without_a_target_the_rate_is_calibrated_and_written(workspace, tmp_path) -> None:
    result = workspace.run("--limit", "30", "--rate", "0.3", "--yes", "--report", str(tmp_path / "report"))
    written = tomllib.loads(workspace.config.read_text())
    settings, problems = resolve([("user", written)])

    assert result.exit_code == 0, result.output
    assert "No target is set" in result.output
    assert "gate.tau taken out" in result.output
    assert problems == []
    assert written["gate"]["deferral_rate"] == 0.3
    assert "tau" not in written["gate"]
    assert workspace.config.read_text().startswith("# mine")
    assert 0.0 < draft_rule(settings).tau <= 1.0
    assert "No target was asked" in (tmp_path / "report" / "index.html").read_text()
    assert "hunter" not in (tmp_path / "report" / "index.html").read_text()


def test_a_dry_run_and_a_no_change_nothing(workspace) -> None:
    before = workspace.config.read_text()
    dry = workspace.run("--limit", "20", "--dry-run")
    declined = workspace.run("--limit", "20", answer="n\n")

    assert dry.exit_code == declined.exit_code == 0
    assert workspace.config.read_text() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rate", "0.1", "--quality", "0.9"], "one of"),
        (["--max-cost", "1.50/day"], "--price-in"),
        (["--max-cost", "cheap"], "1.50/day"),
        (["--quality", "0.9"], "needs a target"),
        (["--rate", "1.2"], "0<=x<=1"),
    ],
)
def test_wrong_usage_says_what_is_missing(workspace, arguments, words) -> None:
    result = workspace.run(*arguments, "--limit", "20")

    assert result.exit_code == 2
    assert words in result.output


def test_too_little_code_is_an_error(workspace, tmp_path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    result = CliRunner().invoke(main, ["calibrate", str(empty)])

    assert result.exit_code == 1
    assert "too few" in result.output


class Lines(ThreadingHTTPServer):
    """A chat API that gives the author's line, and counts its requests."""

    requests = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Chat(BaseHTTPRequestHandler):
    server: Lines

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests += 1
        chunk = {"choices": [{"index": 0, "delta": {"content": "value_1 = compute(1)"}}]}
        usage = {"choices": [], "usage": {"prompt_tokens": 300, "completion_tokens": 8, "total_tokens": 308}}
        body = "".join(f"data: {json.dumps(part)}\n\n" for part in (chunk, usage)) + "data: [DONE]\n\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_args: Any) -> None:
        pass


@pytest.fixture
def httpserver_of_lines() -> Iterator[Lines]:
    with Lines(("127.0.0.1", 0), Chat) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_paid_target_is_asked_only_after_the_cost_was_seen(workspace, httpserver_of_lines, tmp_path) -> None:
    server = httpserver_of_lines
    more = [
        "--set",
        f"target.base_url={server.url}",
        "--set",
        "target.api=chat",
        "--price-in",
        "3",
        "--price-out",
        "15",
    ]
    declined = workspace.run("--limit", "20", *more, answer="n\n")
    asked = server.requests
    told = tmp_path / "figures.json"
    accepted = workspace.run("--limit", "20", "--quality", "0.9", *more, "--yes", "--json", str(told))
    again = workspace.run("--limit", "20", "--max-cost", "0.50/day", *more, "--yes")

    assert declined.exit_code == 1
    assert asked == 0
    assert re.search(r"20 requests to \S+ at .*\$\d", declined.output)
    assert accepted.exit_code == 0, accepted.output
    assert "with the best of what it writes" in " ".join(accepted.output.split())
    figures = json.loads(told.read_text())
    assert figures["rate"] in [row["share"] for row in figures["rows"]]
    assert server.requests == 20  # the second run has them on record
    assert again.exit_code == 0, again.output
    assert "a day buys" in again.output
    assert math.isclose(tomllib.loads(workspace.config.read_text())["gate"]["deferral_rate"], 0.5, abs_tol=0.5)
