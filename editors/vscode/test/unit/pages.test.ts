import assert from "node:assert/strict";
import { test } from "node:test";
import { sealed, statisticsPage } from "../../src/pages";

const POLICY = `default-src 'none'; style-src 'unsafe-inline'`;

test("a page gets our policy first, whatever it says itself", () => {
  const page = sealed(`<html><head><meta charset="utf-8"></head><body>x</body></html>`, true);
  assert.ok(page.includes(`<head><meta http-equiv="Content-Security-Policy" content="${POLICY}">`));
});

test("something that is no page gets one around it", () => {
  assert.match(sealed("<script>1</script>", true), /^<!DOCTYPE html><html><head><meta http-equiv="Content-Security-Policy"/);
});

test("the editor's colours, not the operating system's", () => {
  const page = "<head><style>@media (prefers-color-scheme: dark) { a {} }</style></head>";
  assert.match(sealed(page, true), /@media all \{/);
  assert.match(sealed(page, false), /@media not all \{/);
});

test("statistics as a table; nothing of them is markup", () => {
  const page = statisticsPage({
    session: { accepted: 3, draft: { tokensPerSecond: 12.34567 }, "<b>": 1, note: "<script>" },
    today: { day: "2026-11-25", lines: 10, linesTarget: 2, share: 0.2, requests: 2, tokensIn: 10, tokensOut: 5, estimated: true, cost: 0.01, currency: "USD", cap: 1, warning: "" },
  });
  assert.match(page, /<th scope="row">accepted<\/th><td>3<\/td>/);
  assert.match(page, /draft: tokens per second<\/th><td>12\.346/);
  assert.match(page, /about \$0\.010 of \$1\.00/);
  assert.ok(!page.includes("<b>") && !page.includes("<script>"));
  assert.match(statisticsPage({ session: {}, today: null }), /Nothing yet/);
});
