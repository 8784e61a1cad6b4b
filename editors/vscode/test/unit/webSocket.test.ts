import assert from "node:assert/strict";
import { test } from "node:test";
import { Redactor } from "../../src/redact";
import { checked, place } from "../../src/webSocket";

test("an address of this machine with its token is taken", () => {
  for (const host of ["127.0.0.1", "localhost", "[::1]"]) {
    assert.ok(checked(` ws://${host}:80/?token=abc\n`) instanceof URL, host);
  }
});

test("any other is refused, with the reason", () => {
  assert.match(String(checked("")), /no address/);
  assert.match(String(checked("http://127.0.0.1/?token=x")), /ws:/);
  assert.match(String(checked("ws://127.0.0.1.example.org/?token=x")), /this machine/);
  assert.match(String(checked("ws://10.0.0.1/?token=x")), /this machine/);
  assert.match(String(checked("ws://127.0.0.1:80/")), /token/);
});

test("what is said of it has no token", () => {
  assert.equal(place(new URL("ws://127.0.0.1:81/?token=secret")), "ws://127.0.0.1:81");
});

test("secrets do not reach the log, in whatever form", () => {
  const lines: unknown[] = [];
  const write = (...parts: unknown[]): void => void lines.push(...parts);
  const redactor = new Redactor();
  const log = redactor.wrap({ info: write, trace: write, logLevel: 1 } as never);
  redactor.add('sk-"quoted"');
  redactor.add("plain");
  redactor.add("");
  log.info('the key is sk-"quoted"', new Error("plain"));
  log.trace(JSON.stringify({ apiKey: 'sk-"quoted"' }));
  assert.equal(log.logLevel, 1);
  assert.ok(!lines.join("\n").includes("quoted") && !lines.join("\n").includes("plain"), lines.join("\n"));
  assert.match(lines.join("\n"), /•••/);
});
