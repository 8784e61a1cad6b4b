"""`egate-lsp bench latency` with real weights on both sides."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from egate_lsp.cli import main
from egate_lsp.evaluation.egate_tool import EgateTool
from egate_lsp.evaluation.raw_client import raw_client
from egate_lsp.evaluation.typing_script import Step
from tests.conftest import model_file

pytestmark = pytest.mark.live

FILE = "\n".join(f"def task_{number}(first):\n    return first + {number}\n" for number in range(20))


def test_both_tools_write_the_file(tmp_path: Path) -> None:
    model_file("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf")
    source, found = tmp_path / "sample.py", tmp_path / "found.json"
    source.write_text(FILE, encoding="utf-8")

    done = CliRunner().invoke(
        main, ["bench", "latency", "--replay", str(source), "--limit", "40", "--gap-ms", "100", "--json", str(found)]
    )

    assert done.exit_code == 0, done.output
    result = json.loads(found.read_text(encoding="utf-8"))
    for name in ("egate", "peer"):
        tool = result[name]
        assert tool["cold_ms"] > 0
        assert tool["fresh_p50_ms"] is None or 0 < tool["fresh_p50_ms"] <= tool["fresh_p95_ms"]
        assert tool["prompt_tokens"] > 100
        assert tool["decoded_tokens"] > 0
        assert tool["cpu_s"] > 0
        assert tool["peak_rss_mb"] > 400  # the weights
        assert tool["chars_written"] == result["egate"]["chars_written"]
        assert tool["share_with_text"] > 0
    assert set(result["ratios"]) >= {"p50_ms", "fresh_p50_ms", "chars_saved", "cpu_s"}
    sizes = [size for size, _ in result["bare_batch_ms"]]
    assert sizes == sorted(sizes)
    assert sizes[0] == 1
    assert result["egate"]["floor_ratio"] is None or result["egate"]["floor_ratio"] > 0.5
    assert "llama.vim" in done.output


async def test_fast_typing_at_a_new_place_is_answered_by_the_engine_that_was_there() -> None:
    """Reading on in the gaps between cancelled requests must not cost one of them its messages: the engine would be
    taken for hung, and everybody wait for a minute."""
    model_file("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf")
    lines = [f"def task_{number}(first, second):\n    return first * second + {number}\n" for number in range(300)]
    document = "\n".join(lines)
    cursor = len("\n".join(lines[:150]))
    async with raw_client({"draft": {"hang_timeout_s": 20}}) as client:
        engines = [child.pid for child in psutil.Process(client.pid).children(recursive=True)]
        tool = EgateTool(client)
        await tool.open("long.py", "python", document)
        for key in "\ndef after(first):\n    for each in first":
            step = Step("key", cursor, 0, key, 1.0)
            document, cursor = step.apply(document), step.cursor
            answer = tool.press(step, document)
            await asyncio.sleep(0.1)  # a fast typist's gap
        async with asyncio.timeout(120):
            await answer.arrived.wait()
        assert [child.pid for child in psutil.Process(client.pid).children(recursive=True)] == engines
