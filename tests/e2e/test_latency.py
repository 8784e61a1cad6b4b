"""`egate-lsp bench latency` through its own child process: a scripted draft, a short replay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from egate_lsp.cli import latency_others, main

FILE = "\n".join(f"def task_{number}(first):\n    return first + {number}\n" for number in range(40))


def bench(tmp_path: Path, *arguments: str):
    source = tmp_path / "sample.py"
    source.write_text(FILE, encoding="utf-8")
    script = tmp_path / "script.json"
    script.write_text(
        json.dumps(
            [
                {"after": "):\n    ", "tokens": [["return", 0.1], [" first", 0.1], ["\n", 0.1]]},
                {"after": "", "tokens": [["nothing", 0.1], [" like", 0.1], [" it\n", 0.1]]},
            ]
        ),
        encoding="utf-8",
    )
    return CliRunner().invoke(
        main,
        ["bench", "latency", "--replay", str(source), "--gap-ms", "30", "--set", f"draft.model=scripted:{script}",
         *arguments],
    )  # fmt: skip


def test_a_replay_of_egate_alone(tmp_path: Path) -> None:
    found = tmp_path / "found.json"

    done = bench(tmp_path, "--no-peer", "--limit", "60", "--json", str(found))

    assert done.exit_code == 0, done.output
    assert "fresh while typing" in done.output
    result = json.loads(found.read_text(encoding="utf-8"))
    egate = result["egate"]
    assert "peer" not in result
    assert egate["cold_ms"] > 0
    assert 0 < egate["p50_ms"] <= egate["p95_ms"]
    assert egate["keys"] == sum(kind["n"] for kind in egate["kinds"].values())
    assert egate["chars_written"] >= egate["chars_saved"] > 0  # "return first" is what the file says
    assert egate["share_with_text"] > 0
    assert egate["cpu_s"] > 0
    assert egate["peak_rss_mb"] > 0
    assert egate["kinds"]["jump"]["n"] == 3
    assert egate["kinds"]["cold"]["n"] == 1
    assert [file["name"] for file in result["files"]] == ["sample.py"]
    assert len(result["files"][0]["egate"]["times"]) == egate["keys"]


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    script_only = bench(tmp_path)
    contradiction = bench(tmp_path, "--no-peer", "--against", "http://127.0.0.1:1")

    assert script_only.exit_code != 0
    assert "--no-peer" in script_only.output
    assert "contradict" in contradiction.output


def test_a_peer_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = bench(tmp_path, "--against", "http://127.0.0.1:1", "--limit", "12")

    assert done.exit_code == 1
    assert "The server for comparison failed" in done.output


def test_the_report_holds_the_figures(tmp_path: Path) -> None:
    done = bench(tmp_path, "--no-peer", "--limit", "24", "--report", str(tmp_path / "report"))

    assert done.exit_code == 0, done.output
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert "sample.py" in page
    assert "http" not in page


def test_a_storm_leaves_nothing(tmp_path: Path) -> None:
    found = tmp_path / "storm.json"

    done = bench(tmp_path, "--storm", "150", "--json", str(found))

    result = json.loads(found.read_text(encoding="utf-8"))
    assert (result["requests"], result["unanswered"], result["answered_twice"]) == (150, 0, 0)
    assert (result["last_answered"], result["failed"]) == (3, {})
    assert (done.exit_code == 0) == (result["violations"] == [])


def test_parts_turned_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = tmp_path / "ablations.json"
    wanted = [row for row in latency_others.ABLATIONS if row[0] in {"as it is", "nothing drafted ahead"}]
    monkeypatch.setattr(latency_others, "ABLATIONS", wanted)  # each is a server of its own

    done = bench(tmp_path, "--ablations", "--limit", "12", "--json", str(found))

    assert done.exit_code == 0, done.output
    result = json.loads(found.read_text(encoding="utf-8"))
    assert list(result["variants"]) == ["as it is", "nothing drafted ahead"]
    assert len({variant["chars_written"] for variant in result["variants"].values()}) == 1


def test_runs_of_their_own_do_not_mix(tmp_path: Path) -> None:
    done = bench(tmp_path, "--ablations", "--storm", "30")

    assert done.exit_code == 1
    assert "one of them" in done.output
