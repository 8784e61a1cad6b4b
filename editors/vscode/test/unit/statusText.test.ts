import assert from "node:assert/strict";
import { test } from "node:test";
import { completeStatus, type Status, type Usage } from "../../src/protocol";
import { amount, escaped, money, present, type Absent } from "../../src/statusText";

const USAGE: Usage = {
  day: "2026-11-25", lines: 50, linesTarget: 9, share: 0.18, requests: 9, tokensIn: 2900, tokensOut: 300,
  estimated: false, cost: 0.0123, currency: "USD", cap: null, warning: "",
}; // prettier-ignore

function status(given: Partial<Status>): Status {
  return completeStatus({ state: "ready", enabled: true, model: "draft", ...given });
}

function text(given: Partial<Status>, language?: string): string {
  return present(status(given), language).text;
}

test("each state has words of its own", () => {
  assert.equal(text({}), "$(sparkle) egate");
  assert.equal(text({ state: "working" }), text({ state: "ready" }));
  assert.equal(text({ state: "loading", progress: 0.456 }), "$(loading~spin) egate: loading 46 %");
  assert.equal(text({ state: "fetching", progress: 0.1 }), "$(cloud-download) egate: fetching the model 10 %");
  assert.equal(text({ state: "asking-target", target: "larger" }), "$(sync~spin) egate: asking larger");
  assert.equal(text({ state: "off", enabled: false }), "$(circle-slash) egate: off");
  assert.equal(text({ targetPaused: true, target: "larger" }), "$(debug-pause) egate: local only");
  assert.equal(text({ state: "paused", target: "larger" }), "$(debug-pause) egate: target paused");
  assert.equal(text({ languagesOff: ["python"] }, "python"), "$(circle-slash) egate: off for python");
  assert.equal(text({ languagesOff: ["python"] }, "lua"), "$(sparkle) egate");
});

test("an error has its reason, on red", () => {
  const shown = present(status({ state: "error", reason: "The model is not here.", hint: "Fetch it." }), undefined);
  assert.equal(shown.text, "$(error) egate: The model is not here");
  assert.equal(shown.severity, "error");
  assert.match(shown.tooltip, /Fetch it\\\./);
});

test("an absent server: the reason, and the one action", () => {
  const absent: Absent = { state: "absent", reason: "egate-lsp is not installed.", hint: "", remedy: { title: "Install", command: "egate-lsp.install" } };
  const shown = present(absent, undefined);
  assert.equal(shown.text, "$(warning) egate: egate-lsp is not installed");
  assert.equal(shown.severity, "warning");
  assert.match(shown.tooltip, /\[Install\]\(command:egate-lsp\.install\)/);
});

test("today's share, tokens and cost", () => {
  assert.equal(text({ target: "larger", today: USAGE }), "$(sparkle) egate 18 % · 3.2k tok · $0.012");
  assert.equal(text({ today: { ...USAGE, estimated: true } }), "$(sparkle) egate 18 % · 3.2k tok · ~$0.012");
  assert.equal(text({ today: { ...USAGE, cost: null } }), "$(sparkle) egate 18 % · 3.2k tok");
  assert.equal(text({ today: { ...USAGE, requests: 0 } }), "$(sparkle) egate");
  const { tooltip } = present(status({ target: "larger", today: { ...USAGE, cap: 2, warning: "Nearly spent" } }), undefined);
  assert.match(tooltip, /9 of 50 lines by the target \(18 %\)/);
  assert.match(tooltip, /2\.9k tokens out, 300 back, \$0\.012 of \$2\.00/);
  assert.match(tooltip, /Nearly spent/);
});

test("without a target the tooltip says that nothing leaves the machine", () => {
  assert.match(present(status({}), undefined).tooltip, /nothing leaves this machine/);
});

test("a long reason is cut, a line break ends it, an icon in it stays text", () => {
  assert.equal(text({ state: "error", reason: "x".repeat(100) }).length, "$(error) egate: ".length + 40);
  assert.equal(text({ state: "error", reason: "first\nsecond" }), "$(error) egate: first");
  assert.ok(!text({ state: "error", reason: "$(trash) full" }).includes("$(trash)"));
});

test("no link or markup comes of the server's words", () => {
  const reason = "[click](command:evil) <b>x</b> $(icon) `code`";
  const { tooltip } = present(status({ state: "error", reason, hint: "*x*" }), "a](command:evil)");
  assert.ok(!tooltip.replaceAll("\\]", "").includes('](command:evil'), tooltip);
  assert.equal(escaped("a\n b"), "a b");
});

test("figures as people read them", () => {
  assert.deepEqual([0, 950, 1000, 9960, 99_500, 999_499, 1_400_000].map(amount), ["0", "950", "1.0k", "10k", "100k", "999k", "1.4M"]);
  assert.deepEqual([0, 0.00012, 0.0123, 0.5, 12].map((value) => money(value, "USD")), ["$0.00", "$0.00012", "$0.012", "$0.50", "$12.00"]);
  assert.equal(money(1, "EUR"), "1.00 EUR");
});
