/**
 * The desktop's entry point against the real server, over its standard streams: found, started, asked, told, stopped.
 * VS Code's module is a fake, the language client and the server are real.
 */

import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { activate, deactivate } from "../../src/desktop";
import type { Egate } from "../../src/egate";
import { context, EventEmitter, fake, InlineCompletionTriggerKind, Position, TextDocument, Uri, window, type InlineCompletionItem } from "../fake/vscode";
import { EXTENSION, Folder, hasDraftModel, PATIENCE_MS, python, Target, type Rule } from "../serverProcess";

const found = python();
const missing = "missing" in found ? found.missing : false;
const manifest: unknown = JSON.parse(readFileSync(join(EXTENSION, "package.json"), "utf8"));
const SURE: Rule[] = [["retu", [["rn", 0.1], [" 42\n", 0.1]]]];
const DOCUMENT = new TextDocument(Uri.parse("file:///tmp/egate/sample.py"), "python", "def answer():\n    retu\nprint(answer())\n");
const AT = new Position(1, 8);

describe("the desktop", { skip: missing }, () => {
  let folder: Folder;
  let environment: NodeJS.ProcessEnv;
  let subscriptions: { dispose(): void }[] = [];

  beforeEach(() => {
    folder = new Folder();
    environment = { ...process.env };
    fake.settings.clear();
    fake.secrets.clear();
    fake.commands.clear();
    for (const list of [fake.executed, fake.notifications, fake.log, fake.statusItems, fake.statusTexts, fake.tasks, fake.documents, fake.panels, fake.answers]) {
      list.length = 0;
    }
    fake.trusted = true;
    fake.logLevel = 3;
  });
  afterEach(async () => {
    await deactivate();
    subscriptions.splice(0).forEach((each) => each.dispose());
    process.env = environment;
    window.activeTextEditor = undefined;
    folder.remove();
  });

  /** A folder on the PATH, alone, with egate-lsp in it as an installation would have it. */
  function installed(rules: Rule[] | undefined, toml = "", name = "egate-lsp"): string {
    const bin = join(folder.path, "bin");
    mkdirSync(bin, { recursive: true });
    const file = join(bin, name);
    const { file: interpreter } = found as { file: string };
    writeFileSync(file, `#!/bin/sh\nexec ${interpreter} -m egate_lsp "$@" --log-file "${join(folder.path, "server.log")}"\n`);
    chmodSync(file, 0o755);
    alone({ ...folder.environment(rules, toml), PATH: bin });
    return file;
  }

  /** No program but those below this folder can be found. */
  function alone(variables: NodeJS.ProcessEnv): void {
    process.env = { ...variables, HOME: folder.path };
    for (const name of ["VIRTUAL_ENV", "CONDA_PREFIX", "UV_TOOL_BIN_DIR", "PIPX_BIN_DIR", "XDG_BIN_HOME"]) {
       
      delete process.env[name];
    }
    if (process.env.XDG_CACHE_HOME === undefined && environment.HOME !== undefined) {
      process.env.XDG_CACHE_HOME = join(environment.HOME, ".cache");
    }
  }

  async function started(): Promise<Egate> {
    const given = context(manifest) as { subscriptions: { dispose(): void }[] };
    subscriptions = given.subscriptions;
    return activate(given as never);
  }

  async function until(condition: () => boolean, told: string): Promise<void> {
    const end = Date.now() + PATIENCE_MS;
    while (!condition()) {
      assert.ok(Date.now() < end, `${told} did not come true; log:\n${fake.log.join("\n")}\nstatus: ${fake.statusTexts.join(" | ")}`);
      await new Promise((wake) => setTimeout(wake, 20));
    }
  }

  const status = (): string => fake.statusItems.at(-1)?.text ?? "";
  const untilStatus = (wanted: RegExp): Promise<void> => until(() => wanted.test(status()), `status ${wanted.source}`);

  /** A token as VS Code gives it, and how it is cancelled. */
  function cancellable() {
    const event = new EventEmitter<void>();
    const token = { isCancellationRequested: false, onCancellationRequested: event.event };
    const cancel = (): void => {
      token.isCancellationRequested = true;
      event.fire();
    };
    return { token, cancel };
  }

  async function ask(document = DOCUMENT, at = AT, { token } = cancellable()): Promise<InlineCompletionItem[]> {
    if (!fake.documents.includes(document)) {
      fake.open(document);
    }
    const [provider] = fake.providers;
    assert.ok(provider !== undefined, "no provider");
    const asked = { triggerKind: InlineCompletionTriggerKind.Automatic, selectedCompletionInfo: undefined };
    const result = await provider.provideInlineCompletionItems(document, at, asked, token);
    return Array.isArray(result) ? result : ((result)?.items ?? []);
  }

  const run = async (command: string): Promise<void> => {
    await fake.commands.get(command)?.();
  };

  test("on the PATH: started, suggests, is told of the acceptance, and ends", async () => {
    const file = installed(SURE);
    const egate = await started();
    await untilStatus(/^\$\(sparkle\) egate$/);
    assert.ok(fake.log.some((line) => line === `${file}, from the PATH`), fake.log.join("\n"));
    const [item] = await ask();
    assert.equal(item?.insertText, "rn 42");
    assert.deepEqual(item.command?.command, "egate.accepted");
    await fake.commands.get(item.command.command)?.(...(item.command.arguments ?? []));
    const statistics = await egate.request<{ session: { accepted: number } }>("egate/statistics", {});
    assert.equal(statistics.session.accepted, 1);
    await deactivate();
    assert.equal(egate.client, undefined);
    assert.deepEqual(fake.providers, []);
  });

  test("the setting wins, with arguments; its workspace value is not even looked at", async () => {
    const file = installed(SURE, "", "other");
    fake.settings.set("egate.command", { globalValue: [file], workspaceValue: "/evil/egate-lsp" });
    await started();
    await untilStatus(/egate$/);
    assert.ok(fake.log.some((line) => line === `${file}, from the setting egate.command`));
  });

  test("missing: said once, with the one action that mends it, which installs and then starts it", async () => {
    const bin = join(folder.path, "bin");
    mkdirSync(bin);
    writeFileSync(join(bin, "uv"), "#!/bin/sh\n");
    chmodSync(join(bin, "uv"), 0o755);
    alone({ PATH: bin });
    await started();
    assert.equal(status(), "$(warning) egate: egate-lsp is not installed");
    assert.equal(fake.statusItems.at(-1)?.command, "egate-lsp.install");
    assert.deepEqual(fake.notifications.map((each) => each.buttons), [["Install with uv"]]);
    await run("egate-lsp.install");
    const [task] = fake.tasks;
    assert.deepEqual([task?.execution.process, ...(task?.execution.args ?? [])], [join(bin, "uv"), "tool", "install", "egate-lsp"]);
    installed(SURE);
    await run("egate-lsp.install"); // found now: it is started
    await untilStatus(/egate$/);
  });

  test("a wrong setting: the action opens it", async () => {
    installed(SURE);
    fake.settings.set("egate.command", { globalValue: "/gone/egate-lsp" });
    await started();
    assert.match(status(), /The setting egate\.command names/);
    assert.deepEqual(fake.notifications.map((each) => each.buttons), [["Open the setting"]]);
    await run("egate-lsp.install");
    assert.deepEqual(fake.executed.at(-1), ["workbench.action.openSettings", "egate.command"]);
    fake.set("egate.command", {});
    await untilStatus(/^\$\(sparkle\) egate$/);
  });

  test("a program that is no language server: an error with the log, not silence", async () => {
    const file = installed(SURE);
    writeFileSync(file, "#!/bin/sh\necho 'no module named egate_lsp' >&2\nexit 1\n");
    await started();
    await until(() => /could not be started|ended 5 times/.test(status()), "an error");
    assert.ok(fake.notifications.some((each) => each.buttons.includes("Open log")), JSON.stringify(fake.notifications));
    await until(() => fake.log.some((line) => line.includes("no module named egate_lsp")), "its words in the log");
  });

  test("cancelled: nothing is shown, the server stops at once, and the next request is served", async () => {
    installed([["slow", [["ly", 0.1]], [], 3600], ...SURE]);
    const egate = await started();
    await untilStatus(/^\$\(sparkle\) egate$/);
    const slow = new TextDocument(Uri.parse("file:///tmp/egate/slow.py"), "python", "slow");
    const asking = cancellable();
    const answer = ask(slow, new Position(0, 4), asking);
    await until(() => egate.shown.state === "working", "the draft at work");
    asking.cancel();
    assert.deepEqual(await answer, []);
    await until(() => egate.shown.state === "ready", "the draft stopped");
    assert.equal((await ask()).length, 1);
    assert.deepEqual(fake.notifications, []);
  });

  test("a crash: the server is started again, and serves", async () => {
    installed(SURE);
    const egate = await started();
    await untilStatus(/egate$/);
    assert.equal((await ask()).length, 1);
    const before = fake.statusTexts.length;
    const child = (egate.client as unknown as { _serverProcess: { pid: number } })._serverProcess;
    process.kill(child.pid, "SIGKILL");
    await until(() => fake.statusTexts.slice(before).some((text) => text.includes("starting")), "the crash seen");
    await untilStatus(/^\$\(sparkle\) egate/);
    await until(() => fake.providers.length === 1, "one provider");
    assert.equal((await ask())[0]?.insertText, "rn 42");
  });

  test("settings of the user reach the server at its start and when they change; a workspace's never do", async () => {
    installed(SURE);
    fake.settings.set("egate.gate.tau", { workspaceValue: 0 });
    fake.settings.set("egate.target.baseUrl", { workspaceValue: "http://evil.example/v1" });
    const egate = await started();
    await untilStatus(/egate$/);
    assert.equal(egate.shown.state !== "absent" && egate.shown.target, null);
    fake.set("egate.target.baseUrl", { globalValue: "http://127.0.0.1:9/v1" });
    await until(() => egate.shown.state !== "absent" && egate.shown.target !== null, "the target");
    fake.set("egate.target.baseUrl", {});
    await until(() => egate.shown.state !== "absent" && egate.shown.target === null, "no target any more");
  });

  test("the API key goes from the secret store to the target, and into no log", async () => {
    const target = await Target.start(" 43\n", false);
    try {
      installed(SURE, `${target.toml}[gate]\ntau = 0.0\n`);
      fake.logLevel = 1; // trace: the client logs its messages
      fake.settings.set("egate.trace.server", { globalValue: "verbose" });
      await started();
      await untilStatus(/egate/);
      fake.answers.push("sk-very-secret");
      await run("egate-lsp.setApiKey");
      assert.equal(fake.secrets.get("egate.target.apiKey"), "sk-very-secret");
      await run("egate-lsp.restart");
      await untilStatus(/egate/);
      await ask();
      await target.whenAsked();
      assert.equal(target.authorization, "Bearer sk-very-secret");
      assert.ok(fake.log.some((line) => line.includes("initializationOptions")), "the trace was on");
      assert.ok(!fake.log.join("\n").includes("sk-very-secret"));
      assert.ok(!readFileSync(join(folder.path, "server.log"), "utf8").includes("sk-very-secret"));
      await run("egate-lsp.clearApiKey");
      assert.equal(fake.secrets.size, 0);
    } finally {
      await target.stop();
    }
  });

  test("off is a setting, so it outlives the server; a language too", async () => {
    installed(SURE);
    await started();
    await untilStatus(/^\$\(sparkle\) egate$/);
    await run("egate-lsp.toggle");
    await untilStatus(/egate: off$/);
    assert.deepEqual(await ask(), []);
    await run("egate-lsp.restart");
    await untilStatus(/egate: off$/);
    await run("egate-lsp.toggle");
    await untilStatus(/^\$\(sparkle\) egate$/);
    window.activeTextEditor = { document: DOCUMENT, selection: { isEmpty: true, active: AT } };
    await run("egate-lsp.toggleLanguage");
    await untilStatus(/egate: off for python$/);
    assert.deepEqual(fake.settings.get("egate.disabledLanguages")?.globalValue, ["python"]);
    assert.deepEqual(await ask(), []);
    await run("egate-lsp.toggleLanguage");
    await untilStatus(/^\$\(sparkle\) egate$/);
    assert.equal((await ask()).length, 1);
  });

  test("why: the server's page, without scripts; statistics; models", async () => {
    installed(SURE);
    await started();
    await untilStatus(/^\$\(sparkle\) egate$/);
    window.activeTextEditor = { document: DOCUMENT, selection: { isEmpty: true, active: AT } };
    await run("egate-lsp.explain");
    assert.match(fake.notifications.at(-1)?.message ?? "", /no suggestion in this file yet/);
    await ask();
    await run("egate-lsp.explain");
    const page = fake.panels[0]?.webview.html ?? "";
    assert.match(page, /Content-Security-Policy" content="default-src 'none'/);
    assert.ok(page.includes("42") && !page.includes("<script"), page.slice(0, 500));
    assert.ok(page.includes("@media all"), "the dark colours");
    assert.deepEqual((fake.panels[0]?.options as { enableScripts: boolean }).enableScripts, false);
    await run("egate-lsp.statistics");
    assert.match(fake.panels[1]?.webview.html ?? "", /Lines suggested/);
    fake.answers.push({ name: "qwen2.5-coder-1.5b" });
    await run("egate-lsp.pickModel");
    assert.equal(fake.settings.get("egate.draft.model")?.globalValue, "qwen2.5-coder-1.5b");
  });

  test("untitled files and notebook cells are served, the output panel and settings are not", async () => {
    installed(SURE);
    await started();
    await untilStatus(/egate$/);
    for (const [uri, served] of [["untitled:Untitled-1", 1], ["vscode-notebook-cell:/a.ipynb#X1", 1], ["output:log", 0], ["vscode-userdata:/settings.json", 0]] as const) {
      assert.equal((await ask(new TextDocument(Uri.parse(uri), "python", "retu"), new Position(0, 4))).length, served, uri);
    }
  });

  test("with the real draft model", { skip: hasDraftModel() ? false : "the draft model is not here: egate-lsp models pull qwen2.5-coder-0.5b" }, async () => {
    installed(undefined);
    await started();
    await untilStatus(/^\$\(sparkle\) egate$/);
    const text = "def add(a, b):\n    \n\nprint(add(1, 2))\n";
    const [item] = await ask(new TextDocument(Uri.parse("file:///tmp/egate/add.py"), "python", text), new Position(1, 4));
    assert.match(item?.insertText ?? "", /return a \+ b/);
  });
});
