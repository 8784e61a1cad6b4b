"""`egate-lsp doctor --target` against servers that behave as theirs do."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tomllib

import pytest

from egate_lsp.cli.probe import _as_json, _as_text, probe
from egate_lsp.config import resolve
from egate_lsp.errors import TargetAuthError, TargetReplyError, TargetUnavailable
from egate_lsp.models.probing import Server as Found
from egate_lsp.models.probing import choose_model
from tests.raw_http import Visit, events, raw_server, reply

STREAM = {"content-type": "text/event-stream"}
MISSING = reply('{"error": "not found"}', status=404)


def playing(routes):
    """A server that knows these paths; a value is an act, or an object for a JSON reply."""

    async def act(visit: Visit) -> None:
        found = routes.get(visit.request.path, MISSING)
        await (found if callable(found) else reply(json.dumps(found)))(visit)

    return act


def settings_of(table):
    settings, problems = resolve([("test", table)])
    assert problems == []
    return settings


async def probed(server, path="", **target):
    settings = settings_of({"target": {"base_url": f"{server.url}{path}", "timeout_s": 30, **target}})
    return await probe(settings, settings.target)


OLLAMA = {
    "/api/version": {"version": "0.12.11"},
    "/api/tags": {"models": [{"name": "nomic-embed-text:latest"}, {"name": "qwen2.5-coder:1.5b"}]},
    "/v1/models": MISSING,
    "/api/generate": reply(
        b'{"model": "q", "response": " a", "done": false, "logprobs": [{"token": " a", "logprob": -0.1, "top_logprobs":'
        b' [{"token": " a", "logprob": -0.1}, {"token": " x", "logprob": -3}]}]}\n'
        b'{"model": "q", "response": " + b", "done": false}\n'
        b'{"model": "q", "response": "", "done": true, "prompt_eval_count": 9, "eval_count": 3}\n'
    ),
    "/v1/completions": reply(events("nonsense"), headers=STREAM),
    "/v1/chat/completions": reply('{"error": {"message": "no template"}}', status=500),
}


async def test_ollama_is_recognised_and_its_own_form_is_the_best() -> None:
    async with raw_server(playing(OLLAMA)) as server:
        report = await probed(server)

    assert report.server.preset == "ollama"
    assert report.model == "qwen2.5-coder:1.5b"
    by_api = {trial.api: trial for trial in report.trials}
    assert (by_api["ollama"].fills, by_api["ollama"].top, by_api["ollama"].usage) == (True, 2, "counted")
    assert (by_api["suffix"].fills, by_api["suffix"].answer) == (False, "nonsense")
    assert by_api["chat"].error is not None
    found = tomllib.loads(report.settings)["target"]
    assert found == {"preset": "ollama", "base_url": server.url, "model": "qwen2.5-coder:1.5b"}
    assert settings_of({"target": found}).target.api == "ollama"
    shown = _as_text(report)
    assert "[target]" in shown
    assert "an error of its own" in shown
    assert json.loads(json.dumps(_as_json(report)))["trials"][0]["answer"] == " a + b".strip()


async def test_vllm_is_recognised_by_its_models_and_gets_a_rendered_prompt() -> None:
    models = {"object": "list", "data": [{"id": "Qwen/Qwen2.5-Coder-7B", "owned_by": "vllm", "max_model_len": 8192}]}
    routes = {"/v1/models": models, "/v1/completions": reply(events(" a + b"), headers=STREAM)}
    async with raw_server(playing(routes)) as server:
        report = await probed(server, "/v1", model="Qwen/Qwen2.5-Coder-7B", api_key_env="SOME_KEY_THAT_IS_SET")

    assert report.server.preset == "vllm"
    found = tomllib.loads(report.settings)["target"]
    assert found["preset"] == "vllm"
    assert found["fim_model"] == "qwen2.5-coder-1.5b"
    assert found["api_key_env"] == "SOME_KEY_THAT_IS_SET"
    assert "<|fim_middle|>" in server.posts[0].body["prompt"]


@pytest.fixture(autouse=True)
def key(monkeypatch) -> None:
    monkeypatch.setenv("SOME_KEY_THAT_IS_SET", "sk-1")


async def test_a_server_that_tells_nothing_is_tried_in_each_common_form() -> None:
    routes = {"/v1/models": {"data": []}, "/v1/chat/completions": reply(events("a + b", api="chat"), headers=STREAM)}
    async with raw_server(playing(routes)) as server:
        report = await probed(server, "/v1")

    assert report.server.preset == "compatible"
    assert [(trial.api, trial.fills) for trial in report.trials] == [("chat", True), ("suffix", False), ("fim", False)]
    assert tomllib.loads(report.settings)["target"]["base_url"] == f"{server.url}/v1"


async def test_a_server_that_fills_nothing_gets_no_settings() -> None:
    async with raw_server(playing({"/v1/models": {"data": [{"id": "m"}]}})) as server:
        report = await probed(server, "/v1")

    assert report.settings == ""
    assert all(trial.error is not None for trial in report.trials)
    assert "No way of asking" in _as_text(report)


async def test_nobody_a_wrong_key_and_a_web_site() -> None:
    settings = settings_of({"target": {"base_url": "http://127.0.0.1:9/v1"}})
    with pytest.raises(TargetUnavailable, match="Nothing answers"):
        await probe(settings, settings.target)
    async with raw_server(reply("{}", status=401)) as server:
        with pytest.raises(TargetAuthError):
            await probed(server)
    async with raw_server(reply("<html>", headers={"content-type": "text/html"})) as server:
        with pytest.raises(TargetReplyError):
            await probed(server)


@pytest.mark.parametrize(
    ("models", "wanted", "chosen"),
    [
        ((), "x", "x"),
        (("a", "x"), "x", "x"),
        (("qwen2.5-coder:7b", "x:latest"), "x", "x:latest"),
        (("text-embedding-3", "gpt-5", "codestral-2508"), "default", "codestral-2508"),
        (("text-embedding-3", "gpt-5"), "default", "gpt-5"),
        (("text-embedding-3",), "default", "default"),
    ],
)
def test_which_model_is_tried(models, wanted, chosen) -> None:
    assert choose_model(Found("compatible", models), wanted) == chosen


async def test_the_command_says_what_is_wrong_and_ends_with_1(tmp_path) -> None:
    environment = {**os.environ, "EGATE_LSP_CONFIG": str(tmp_path / "none.toml")}

    async def run(*arguments: str) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "egate_lsp", "doctor", *arguments,
            env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        told, _ = await process.communicate()
        return process.returncode, told.decode()

    code, told = await run("--target", "http://127.0.0.1:9")
    assert code == 1
    assert "Nothing answers at http://127.0.0.1:9" in told
    code, told = await run("--target")
    assert code == 1
    assert "No target is configured" in told
    code, told = await run("--set", "target.api_key=sk-secret")
    assert code == 1
    assert "api_key_env" in told
    assert "sk-secret" not in told
