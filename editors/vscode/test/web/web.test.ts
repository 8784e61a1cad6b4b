/** Stories in the real VS Code, with the real server and a scripted draft. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { Folder, python, Shop, Target, WsServer, type Rule, type Tokens } from "../serverProcess";
import { browser, codeOss, Site, Workbench } from "./workbench";

const found = python();
const program = browser();
const missing = "missing" in found ? found.missing : program === undefined ? "no Chromium here: apt-get install chromium" : false;

const file = (): string => (found as { file: string }).file;

describe("VS Code in a browser", { skip: missing }, () => {
  let site: Site;
  let folder: Folder;
  let workbench: Workbench;
  let server: WsServer | undefined;

  before(async () => {
    site = await Site.start(codeOss());
  });
  after(() => site.stop());
  beforeEach(async () => {
    folder = new Folder();
    workbench = await Workbench.open(program!, site);
  });
  afterEach(async (context) => {
    await workbench.screenshot(`after ${context.name}`.replaceAll(/[^a-z0-9]+/gi, "-"));
    await workbench.close();
    await server?.stop();
    server = undefined;
    folder.remove();
  });

  async function serve(rules: Rule[], toml = ""): Promise<WsServer> {
    server = await WsServer.start(file(), folder.environment(rules, toml), folder.file("server.log"));
    await workbench.connect(server.address);
    await workbench.untilStatus(/^egate$/);
    return server;
  }

  /** A server that drafts `answer` after "retu", and a file with the cursor where that is typed. */
  async function opened(tokens: Tokens, toml = ""): Promise<void> {
    await serve([["    retu", tokens]], toml);
    await workbench.file("def answer():\n|\nprint(answer())\n");
  }

  const SURE: Tokens = [["rn", 0.1], [" forty", 0.1], [" + two\n", 0.1]];

  test("type, see grey text, Tab takes it whole", async () => {
    await opened(SURE);
    await workbench.type("    retu");
    await workbench.untilGhost("rn forty + two");
    assert.equal(await workbench.text(), "def answer():\n    retu\nprint(answer())\n");
    await workbench.press("Tab");
    await workbench.untilText("def answer():\n    return forty + two\nprint(answer())");
    await workbench.untilGhost("");
    assert.deepEqual(workbench.outside, []);
  });

  test("several lines", async () => {
    await serve([["    ", [["one = 1\n", 0.1], ["    return one\n", 0.1]]]]);
    await workbench.file("def answer():\n|\nprint(answer())\n");
    await workbench.type("    ");
    await workbench.untilGhost("one = 1\n    return one");
    await workbench.press("Tab");
    await workbench.untilText("def answer():\n    one = 1\n    return one\nprint(answer())");
  });

  test("word by word", async () => {
    await opened(SURE);
    await workbench.type("    retu");
    await workbench.untilGhost("rn forty + two");
    await workbench.press("Control+ArrowRight");
    await workbench.untilGhost(" forty + two");
    await workbench.press("Control+ArrowRight"); // VS Code takes the space alone
    await workbench.untilGhost("forty + two");
    await workbench.press("Control+ArrowRight");
    await workbench.untilText("def answer():\n    return forty\nprint(answer())");
    await workbench.untilGhost(" + two");
    await workbench.press("Tab");
    await workbench.untilText("def answer():\n    return forty + two\nprint(answer())");
  });

  test("line by line, with a key of one's own", async () => {
    await workbench.keybinding("Ctrl+Alt+L", "editor.action.inlineSuggest.acceptNextLine");
    await serve([["    ", [["one = 1\n", 0.1], ["    return one\n", 0.1]]]]);
    await workbench.file("def answer():\n|\nprint(answer())\n");
    await workbench.type("    ");
    await workbench.untilGhost("one = 1\n    return one");
    await workbench.press("Control+Alt+KeyL");
    await workbench.until(() => workbench.text(), (text) => text.startsWith("def answer():\n    one = 1\n"), "the first line");
    await workbench.until(() => workbench.ghost(), (ghost) => ghost.trim() === "return one", "the second line in grey");
    await workbench.press("Control+Alt+KeyL"); // Tab would indent here
    await workbench.untilText("def answer():\n    one = 1\n    return one\nprint(answer())");
  });

  test("what is typed along stays grey text", async () => {
    await opened(SURE);
    await workbench.type("    retu");
    await workbench.untilGhost("rn forty + two");
    await workbench.type("rn f");
    await workbench.untilGhost("orty + two");
  });

  test("Esc refuses", async () => {
    await opened(SURE);
    await workbench.type("    retu");
    await workbench.untilGhost("rn forty + two");
    await workbench.press("Escape");
    await workbench.untilGhost("");
    assert.equal(await workbench.text(), "def answer():\n    retu\nprint(answer())\n");
  });

  test("by hand, after Esc", async () => {
    await opened(SURE);
    await workbench.type("    retu");
    await workbench.untilGhost("rn forty + two");
    await workbench.press("Escape");
    await workbench.untilGhost("");
    await workbench.command("egate-lsp: Suggest Now");
    await workbench.untilGhost("rn forty + two");
  });

  test("other drafts, by hand: forth and back", async () => {
    const FIRST: Tokens = [["rn", 0.1], [" 40", 0.1], [" + 2\n", 0.1]];
    await serve([["    retu", FIRST, [[["rn 43\n", 0.2]]]]]);
    await workbench.file("def answer():\n|\nprint(answer())\n");
    await workbench.type("    retu");
    await workbench.untilGhost("rn 40 + 2");
    await workbench.press("Alt+Backslash");
    await workbench.press("Alt+BracketRight");
    await workbench.untilGhost("rn 43");
    await workbench.press("Alt+BracketLeft");
    await workbench.untilGhost("rn 40 + 2");
    await workbench.press("Alt+BracketRight");
    await workbench.untilGhost("rn 43");
    await workbench.press("Tab");
    await workbench.untilText("def answer():\n    return 43\nprint(answer())");
  });

  test("off and on again, for all and for one language", async () => {
    await opened(SURE);
    await workbench.command("egate-lsp: Turn Suggestions On or Off");
    await workbench.untilStatus(/^egate: off$/);
    await workbench.type("    retu");
    await workbench.command("egate-lsp: Suggest Now");
    assert.equal(await workbench.ghost(), "");
    await workbench.command("egate-lsp: Turn Suggestions On or Off");
    await workbench.untilStatus(/^egate$/);
    await workbench.command("egate-lsp: Turn Suggestions On or Off for This Language");
    await workbench.untilStatus(/^egate: off for python$/);
    await workbench.command("egate-lsp: Turn Suggestions On or Off for This Language");
    await workbench.untilStatus(/^egate$/);
    await workbench.command("egate-lsp: Suggest Now");
    await workbench.untilGhost("rn forty + two");
  });

  test("a late answer of the target makes the grey text grow, without a gap", async () => {
    const target = await Target.start("    return sum(values)\n", true);
    try {
      const toml = `${target.toml}[gate]\ntau = 0.3\nmeasure = "entropy"\nscore = "max"\ntriggers = []\nsyntax = false\n[cascade]\ndeadline_ms = 4000\n`;
      await serve([["    ", [["x = 1\n", 0.1], ["    return y\n", 6.0]]]], toml);
      await workbench.file("def answer():\n|\nprint(answer())\n");
      await workbench.type("    ");
      await target.whenAsked();
      await workbench.untilStatus(/^egate: asking larger/);
      await workbench.untilGhost("x = 1");
      const gaps = await workbench.watchGhost();
      target.release();
      await workbench.until(() => workbench.ghost(), (ghost) => ghost.startsWith("x = 1\n"), "the longer text");
      assert.equal(await gaps(), 0);
      await workbench.untilStatus(/^egate \d+ % · \d+ tok/);
      await workbench.press("Tab");
      await workbench.untilText("def answer():\n    x = 1\n    return sum(values)\nprint(answer())");
    } finally {
      await target.stop();
    }
  });

  test("local only", async () => {
    const target = await Target.start("\n", false);
    try {
      await serve([], target.toml);
      await workbench.file("|");
      await workbench.command("egate-lsp: Local Only");
      await workbench.untilStatus(/^egate: local only$/);
      await workbench.command("egate-lsp: Local Only");
      await workbench.untilStatus(/^egate$/);
      assert.equal(target.asked, 0);
    } finally {
      await target.stop();
    }
  });

  test("a target that is down costs no suggestion", async () => {
    const target = await Target.start("\n", false);
    const toml = `${target.toml}[gate]\ntau = 0.0\n`;
    await target.stop();
    await opened(SURE, toml);
    await workbench.type("    retu");
    await workbench.untilGhost("rn forty + two");
  });

  test("why: the panel shows each token, and runs no script", async () => {
    await opened(SURE);
    await workbench.type("    retu");
    await workbench.untilGhost("rn forty + two");
    await workbench.command("egate-lsp: Why This Suggestion");
    const frame = await workbench.webview("forty");
    assert.match(await frame.evaluate(() => document.body.innerText), /entropy/i);
    const policies = await frame.evaluate(() =>
      [...document.querySelectorAll<HTMLMetaElement>('meta[http-equiv="Content-Security-Policy"]')].map((meta) => meta.content),
    );
    assert.ok(policies.includes("default-src 'none'; style-src 'unsafe-inline'"), policies.join("\n"));
    assert.equal(await frame.evaluate(() => document.scripts.length), 0);
    assert.equal(await frame.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(21, 22, 26)");
  });

  test("statistics", async () => {
    await opened(SURE);
    await workbench.type("    retu");
    await workbench.untilGhost("rn forty + two");
    await workbench.press("Tab");
    await workbench.command("egate-lsp: Statistics");
    const frame = await workbench.webview("Since the server started");
    assert.match(await frame.evaluate(() => document.body.innerText), /Lines suggested\s+1/);
  });

  test("pick the draft model", async () => {
    const other = folder.file("other.json", JSON.stringify([{ after: "", tokens: [["rn 43\n", 0.1]] }]));
    await opened(SURE, `[models.custom.second]\npath = "${other}"\n`);
    await workbench.command("egate-lsp: Pick the Draft Model");
    const row = workbench.page.locator(".quick-input-list .monaco-list-row", { hasText: "second" });
    assert.match((await row.textContent()) ?? "", /on this machine/);
    await workbench.press("Escape");
  });

  test("nothing listens: the item says so, and connects by itself when it does", async () => {
    await workbench.untilStatus(/egate: egate-lsp is not connected/);
    await workbench.notification("Run egate-lsp serve --ws in a terminal");
    const first = await WsServer.start(file(), folder.environment([]), folder.file("first.log"));
    const { port } = new URL(first.address);
    await first.stop();
    await workbench.connect(first.address);
    await workbench.untilStatus(/egate: Nothing that takes this token/);
    server = await WsServer.start(file(), folder.environment([]), folder.file("second.log"), Number(port));
    await workbench.untilStatus(/^egate$/);
    await server.stop();
    await workbench.untilStatus(/egate: (egate-lsp ended|Nothing that takes)/);
  });

  test("an address elsewhere is refused", async () => {
    await workbench.connect("ws://192.0.2.1:80/?token=x");
    await workbench.page.locator(".quick-input-message", { hasText: "Only a server on this machine" }).waitFor();
    await workbench.press("Escape");
  });

  test("the model is missing: one notification, which fetches it", async () => {
    const weights = Buffer.alloc(5_000_000, "no weights");
    const shop = await Shop.start(weights);
    try {
      const sha256 = createHash("sha256").update(weights).digest("hex");
      const custom = `[models.custom.mine]\nrepository = "me/mine"\nfile = "mine.gguf"\nsize = ${weights.length}\nsha256 = "${sha256}"\n`;
      const toml = `model = "mine"\n[models]\ncache_dir = "${folder.path}"\nsources = ["hugging-face"]\nhugging_face = "${shop.url}"\n${custom}`;
      server = await WsServer.start(file(), folder.environment(undefined, toml), folder.file("server.log"));
      await workbench.connect(server.address);
      await workbench.untilStatus(/^egate: mine has not been fetched/);
      const told = await workbench.notification("mine has not been fetched");
      assert.match(told, /Fetch it \(5 MB\)/);
      assert.equal(await workbench.toasts("mine has not been fetched").count(), 1);
      await workbench.toasts("mine has not been fetched").locator(".monaco-button").click();
      await workbench.untilStatus(/^egate: fetching the model \d+ %$/);
      shop.finish();
      await workbench.untilStatus(/^egate: (?!fetching|starting|loading|mine has not)/); // it is no model, and that is said
    } finally {
      await shop.stop();
    }
  });
});
