/** One story with the real draft model; it makes the pictures of the README (EGATE_SCREENSHOTS=images). */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Folder, hasDraftModel, python, WsServer } from "../serverProcess";
import { browser, codeOss, Site, Workbench } from "./workbench";

const found = python();
const program = browser();
const missing =
  "missing" in found
    ? found.missing
    : program === undefined
      ? "no Chromium here: apt-get install chromium"
      : hasDraftModel()
        ? false
        : "the draft model is not here: egate-lsp models pull qwen2.5-coder-0.5b";

const FILE = `import re
from collections import Counter


def most_common_words(text, count=10):
    """The most common words of a text, in lower case."""
|


def longest_word(text):
    return max(re.findall(r"\\w+", text), key=len)
`;

describe("VS Code in a browser, with the real draft model", { skip: missing }, () => {
  let site: Site;
  let folder: Folder;
  let workbench: Workbench;
  let server: WsServer;

  before(async () => {
    folder = new Folder();
    site = await Site.start(codeOss());
    server = await WsServer.start((found as { file: string }).file, folder.environment(undefined, "[cascade]\ndeadline_ms = 20000\n"), folder.file("server.log"));
    workbench = await Workbench.open(program!, site, { width: 960, height: 480 });
  });
  after(async () => {
    await workbench.close();
    await server.stop();
    await site.stop();
    folder.remove();
  });

  test("from a clean profile to grey text, its acceptance, and why", async () => {
    workbench.patienceMs = 180_000; // a real model on a machine that may have other work
    await workbench.connect(server.address);
    await workbench.untilStatus(/^egate$/);
    await workbench.dismissToasts();
    await workbench.file(FILE);
    await workbench.type("    ");
    const ghost = await workbench.until(() => workbench.ghost(), (text) => text.split("\n", 1)[0]!.trim().length > 5, "grey text");
    await workbench.screenshot("ghost-text");
    await workbench.press("Tab");
    const lines = ghost.split("\n").map((line) => line.trim()).filter((line) => line !== "");
    await workbench.until(() => workbench.text(), (text) => lines.every((line) => text.includes(line)), "the accepted text");

    await workbench.command("egate-lsp: Why This Suggestion");
    const frame = await workbench.webview("entropy of a token");
    const page = await frame.evaluate(() => document.body.innerText);
    assert.ok(lines.every((line) => page.includes(line)), page);
    await workbench.page.mouse.move(400, 400);
    await workbench.page.setViewportSize({ width: 1280, height: 700 });
    await workbench.page.waitForTimeout(1000); // for the picture: the layout settles, a tooltip goes
    await workbench.screenshot("why");
  });
});
