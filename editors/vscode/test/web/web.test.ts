/** Stories in the real VS Code, with the real server and a scripted draft. */

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { Folder, python, WsServer, type Rule } from "../serverProcess";
import { browser, codeOss, Site, Workbench } from "./workbench";

const found = python();
const program = browser();
const missing = "missing" in found ? found.missing : program === undefined ? "no Chromium here: apt-get install chromium" : false;

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
    const file = (found as { file: string }).file;
    server = await WsServer.start(file, folder.environment(rules, toml), folder.file("server.log"));
    await workbench.connect(server.address);
    await workbench.untilStatus(/^egate$/);
    return server;
  }

  test("type, see grey text, Tab takes it whole", async () => {
    await serve([["    retu", [["rn", 0.1], [" 42\n", 0.1]]]]);
    await workbench.file("def answer():\n|\nprint(answer())\n");
    await workbench.type("    retu");
    await workbench.untilGhost("rn 42");
    await workbench.press("Tab");
    await workbench.untilText("def answer():\n    return 42\nprint(answer())");
    assert.deepEqual(workbench.outside, []);
  });
});
