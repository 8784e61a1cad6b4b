"""The rules of docs/architecture.md that can be read off the source: who may import whom, and what."""

from __future__ import annotations

import ast
from pathlib import Path

import egate_lsp

ROOT = Path(egate_lsp.__file__).parent

# A module imports only from rings before its own. A new module must be given its place here.
RINGS: list[set[str]] = [
    {"languages"},
    {"snippets"},
    {
        "models.presets", "child", "workspace", "workspace.words", "workspace.questions", "workspace.imports",
        "workspace.postings",
        "egate_lsp", "values", "errors", "files", "status",
    },
    {
        "models.logprobs", "models.frames",
        "records", "stats_words",
        "cache", "metrics", "debounce", "ahead",
        "workspace_paths", "outline", "explanation", "config", "documents", "framing", "logs", "signals", "feedback",
        "workspace.alignment", "workspace.excerpts",
        "menu", "render", "models", "models.fim", "progress", "editor_options", "git_ignore", "consent", "secret_scan",
    },
    {
        "models.dialects", "models.keys",
        "prices", "kept", "ledger_file", "figures", "plots",
        "line_outline", "tree_outline",
        "context", "triggers", "merge", "places", "gate", "calibration", "tree_triggers", "models.entropy",
        "models.lookup", "models.trail", "underway",
        "models.wrapped", "models.slots", "models.healing", "models.reply", "models.catalogue", "models.scripted",
        "suggestions", "lsp_values",
    },
    {
        "stats_html", "stats_terminal", "ledger", "syntax", "windows", "models.connection", "terms", "snippet_choice",
        "project_note", "recent_edits", "recent_places", "workspace.chunks",
    },
    {"windowed", "workspace.index", "workspace.scan", "budget", "outlines", "guard", "explain_view", "names", "pace",
     "punctuality"},
    {"accounted", "chronicle", "assess", "pace_file", "workspace.folder", "workspace.client"},
    {
        "accounts", "draft", "models.llamacpp", "models.openai_target", "models.sources", "models.engine_process",
        "explain_html", "explain_terminal", "explain_text",
        "gathering", "workspace.worker",
    },
    {"models.probing", "repair"},
    {
        "escalate", "alternatives", "models.store", "models.engine_worker", "models.local_server",
        "models.local_server_worker",
    },
    {"cascade"},
    {"service"},
    {"notebooks"},
    {"protocol", "client", "controls", "asking"},
    {"copilot"},
    {"server"},
    {"transport"},
    {"evaluation"},
    {"evaluation.journal"},
    {"evaluation.problems", "evaluation.recordings", "evaluation.asked", "evaluation.curves", "evaluation.sources",
     "evaluation.sandbox_child"},
    {"evaluation.sandbox", "evaluation.crossfile"},
    {"evaluation.verdicts"},
    {"evaluation.metered"},
    {"evaluation.typing_script", "evaluation.latency_figures", "evaluation.process_load", "evaluation.llama_vim",
     "evaluation.raw_client", "evaluation.delaying_proxy", "evaluation.loop_holds"},
    {"evaluation.tools", "evaluation.storm"},
    {"evaluation.egate_tool", "evaluation.peer_tool", "evaluation.player"},
    {"evaluation.latency_bench", "evaluation.latency_report"},
    {"evaluation.outcomes"},
    {"evaluation.rules", "evaluation.server_gate"},
    {
        "evaluation.packages", "evaluation.context_bench", "evaluation.gate_bench", "evaluation.tier_bench",
        "evaluation.calibrating",
    },
    {
        "evaluation.gate_report", "evaluation.context_report", "evaluation.engine_overhead",
        "evaluation.server_overhead", "evaluation.bare_loop",
        "evaluation.startup", "evaluation.repair_cost", "evaluation.first_text", "evaluation.fault_alarms",
        "evaluation.index_load", "evaluation.beside_cost",
    },
    {"cli"},
    {"cli.spans", "cli.settings", "cli.config_file", "cli.probe"},
    {"cli.bench_tiers"},
    {"cli.bench_gate"},
    {"cli.bench_served", "cli.bench_context", "cli.latency_others"},
    {"cli.bench_latency"},
    {"cli.serve", "cli.ledger", "cli.stats", "cli.complete", "cli.models", "cli.doctor", "cli.bench", "cli.calibrate"},
    {"cli.demo"},
    {"__main__"},
]  # fmt: skip

OWNERS = {
    "llama_cpp": {"models.llamacpp", "evaluation.bare_loop"},
    "openai": {"models.connection"},
    "numpy": {
        "models.entropy",
        "models.healing",
        "models.llamacpp",
        "models.lookup",
        "models.trail",
        "evaluation.bare_loop",
        "evaluation.curves",
        "evaluation.context_bench",
        "evaluation.gate_bench",
        "evaluation.server_gate",
        "evaluation.tier_bench",
        "evaluation.calibrating",
        "workspace.postings",
    },
    "tree_sitter": {"syntax", "tree_triggers", "tree_outline"},
    "pyflakes": {"names"},
    "rapidfuzz": {"evaluation.calibrating", "evaluation.context_bench", "kept"},
    "sklearn": {"evaluation.calibrating"},
    "tomlkit": {"cli.config_file"},
    "pygls": {"server", "protocol", "client", "progress", "asking"},
    "lsprotocol": {"notebooks", "server", "protocol", "client", "progress", "lsp_values", "asking"},
    "httpx2": {"models.sources", "models.connection", "evaluation.peer_tool"},
    "keyring": {"models.keys"},
    "xllamacpp": {"models.local_server_worker"},
    "pydantic": {"config"},
    "filelock": {"ledger_file", "models.store"},
    "pathspec": {"terms", "git_ignore", "evaluation.sources"},
    "detect_secrets": {"secret_scan"},
    "websockets": {"transport"},
}

PURE = {
    "models.presets", "models.frames", "models.dialects",
    "records", "prices", "kept", "figures", "plots", "stats_html", "stats_words",
    "values", "errors", "languages", "snippets", "cache", "metrics", "debounce", "explanation", "documents", "context",
    "triggers", "merge", "gate", "pace", "punctuality", "tree_triggers", "signals", "syntax", "names", "assess",
    "calibration",
    "outline", "tree_outline", "line_outline", "outlines", "windows", "windowed",
    "feedback", "framing",
    "workspace.words", "workspace.questions", "workspace.imports", "workspace.postings", "workspace.alignment",
    "workspace.excerpts", "workspace.chunks", "workspace.index",
    "models.lookup", "models.trail",
    "models.wrapped", "models.slots", "models", "models.fim", "models.entropy", "models.healing", "models.reply",
    "explain_view", "explain_html", "explain_terminal", "explain_text", "menu", "models.logprobs", "status",
    "suggestions", "secret_scan", "editor_options", "snippet_choice",
    "evaluation.latency_figures", "evaluation.llama_vim", "recent_edits", "recent_places",
    "evaluation.latency_report",
}  # fmt: skip
EFFECTS = {"asyncio", "logging", "os", "pathlib", "random", "socket", "subprocess", "threading", "time"}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(parts) or "egate_lsp"


def imports_of(path: Path) -> set[str]:
    """Absolute names of what is imported at run time; `if TYPE_CHECKING` counts for our own rings too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def test_every_module_has_its_place() -> None:
    placed = set().union(*RINGS)

    assert set(MODULES) - placed == set()
    assert placed - set(MODULES) == set()


def test_imports_go_one_way() -> None:
    ring = {name: index for index, names in enumerate(RINGS) for name in names}
    wrong = []
    for name, path in MODULES.items():
        for imported in imports_of(path):
            inner = imported.removeprefix("egate_lsp.")
            if imported.startswith("egate_lsp.") and inner in ring and ring[inner] >= ring[name]:
                wrong.append(f"{name} imports {inner}")

    assert wrong == []


def test_each_foreign_library_has_its_importers() -> None:
    wrong = []
    for name, path in MODULES.items():
        for imported in imports_of(path):
            owners = OWNERS.get(imported.partition(".")[0])
            if owners is not None and name not in owners:
                wrong.append(f"{name} imports {imported}")

    assert wrong == []


def test_pure_modules_have_no_effects() -> None:
    wrong = [
        f"{name} imports {imported}"
        for name in PURE
        for imported in imports_of(MODULES[name])
        if imported.partition(".")[0] in EFFECTS
    ]

    assert wrong == []
