import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { COMMAND } from "../../src/commandIds";
import { collect, serverKeys, switches, type Inspected } from "../../src/settings";

interface Manifest {
  contributes: {
    commands: { command: string }[];
    configuration: { properties: Record<string, { scope: string; default: unknown; markdownDescription: string }> }[];
  };
}
const manifest = JSON.parse(readFileSync(join(__dirname, "..", "..", "package.json"), "utf8")) as Manifest;
const properties = Object.assign({}, ...manifest.contributes.configuration.map((part) => part.properties)) as Manifest["contributes"]["configuration"][0]["properties"];

function from(values: Record<string, Inspected>, apiKey?: string): Record<string, unknown> {
  return collect(serverKeys(Object.keys(properties)), (key) => values[key], apiKey);
}

test("only what the user wrote is sent, as a tree", () => {
  const sent = from({ "gate.deferralRate": { globalValue: 0.3 }, "gate.syntax": { globalValue: false }, logLevel: { globalValue: "debug" }, "draft.model": {} });
  assert.deepEqual(sent, { gate: { deferralRate: 0.3, syntax: false }, logLevel: "debug" });
});

test("a workspace's value is never sent, whichever setting it is", () => {
  for (const key of serverKeys(Object.keys(properties))) {
    assert.deepEqual(from({ [key]: { workspaceValue: "evil", workspaceFolderValue: "evil" } }), {}, key);
  }
});

test("the API key comes from the secret store alone", () => {
  assert.ok(!("egate.target.apiKey" in properties));
  assert.deepEqual(from({ "target.model": { globalValue: "m" } }, "key"), { target: { model: "m", apiKey: "key" } });
  assert.deepEqual(from({}, ""), {});
});

test("the tree does not share objects with the settings", () => {
  const extra = { a: 1 };
  assert.deepEqual(from({ "target.extraBody": { globalValue: extra } }), { target: { extraBody: extra } });
});

test("all but the two switches are the machine's, and each is described", () => {
  const free = Object.entries(properties).filter(([, setting]) => setting.scope !== "machine").map(([key]) => key);
  assert.deepEqual(free.sort(), ["egate.disabledLanguages", "egate.enable"]);
  for (const [key, setting] of Object.entries(properties)) {
    assert.ok(setting.markdownDescription.length > 0, key);
  }
});

test("a workspace can turn off, and not on", () => {
  assert.deepEqual(switches({ globalValue: false, workspaceValue: true }, undefined), { enabled: false, languagesOff: [] });
  assert.equal(switches({ workspaceValue: false }, undefined).enabled, false);
  assert.equal(switches({}, {}).enabled, true);
  const languages = { globalValue: ["python", 7], workspaceValue: ["lua", "python"] };
  assert.deepEqual(switches(undefined, languages).languagesOff, ["lua", "python"]);
});

test("commands in package.json and in the code are the same, and none has the server's prefix", () => {
  const declared = manifest.contributes.commands.map((each) => each.command).sort();
  assert.deepEqual(declared, Object.values(COMMAND).sort());
  assert.ok(declared.every((id) => !id.startsWith("egate.")));
});
