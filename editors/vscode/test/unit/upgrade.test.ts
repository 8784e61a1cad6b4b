import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import type * as vscode from "vscode";
import { Upgrades, type Next } from "../../src/upgrade";
import { fake, InlineCompletionItem, InlineCompletionTriggerKind, Position, Range, TextDocument, Uri, window } from "../fake/vscode";

const URI = "untitled:Untitled-1";
const TRIGGER = "editor.action.inlineSuggest.trigger";

interface Asked {
  items: string[] | undefined;
  kind: unknown;
}

/** The upgrades of an editor with this text; `ask` is what the editor does, with the server's answer given. */
function editor(text: string, at: [number, number]) {
  const document = new TextDocument(Uri.parse(URI), "python", text);
  const cursor = new Position(...at);
  window.activeTextEditor = { document, selection: { isEmpty: true, active: cursor } };
  return { document, cursor };
}

async function ask(upgrades: Upgrades, where: ReturnType<typeof editor>, answer: string | undefined): Promise<Asked> {
  let kind: unknown;
  const next = ((_document: unknown, position: Position, context: { triggerKind: unknown }) => {
    kind = context.triggerKind;
    return answer === undefined ? [] : [new InlineCompletionItem(answer, new Range(position, position))];
  }) as unknown as Next;
  const context = { triggerKind: InlineCompletionTriggerKind.Invoke } as unknown as vscode.InlineCompletionContext;
  const result = await upgrades.provide(where.document as never, where.cursor as never, context, {} as never, next);
  return { items: (result as InlineCompletionItem[] | undefined)?.map((item) => item.insertText), kind };
}

function late(line: number, character: number, uri = URI): Parameters<Upgrades["arrived"]>[0] {
  return { textDocument: { uri }, position: { line, character }, id: "1" };
}

beforeEach(() => {
  fake.executed.length = 0;
  fake.commands.clear();
});

/** The editor's answer to the trigger: it asks its provider. */
function onTrigger(then: () => Promise<Asked>): () => Asked | undefined {
  let asked: Asked | undefined;
  fake.commands.set(TRIGGER, async () => {
    asked = await then();
  });
  return () => asked;
}

test("an answer for the visible place is asked for, as an automatic request", async () => {
  const upgrades = new Upgrades();
  const place = editor("x = ", [0, 4]);
  await ask(upgrades, place, "a + ");
  const asked = onTrigger(() => ask(upgrades, place, "a + b"));
  await upgrades.arrived(late(0, 4));
  assert.deepEqual(asked(), { items: ["a + b"], kind: InlineCompletionTriggerKind.Automatic });
  assert.deepEqual(fake.executed.map(([id]) => id), [TRIGGER, "editor.action.inlineSuggest.showNext"]);
});

test("typed along: still asked for", async () => {
  const upgrades = new Upgrades();
  await ask(upgrades, editor("x = ", [0, 4]), "a + ");
  const typed = editor("x = a +", [0, 7]);
  const asked = onTrigger(() => ask(upgrades, typed, " b"));
  await upgrades.arrived(late(0, 4));
  assert.deepEqual(asked()?.items, [" b"]);
});

test("a request of the user's own stays one by hand", async () => {
  const upgrades = new Upgrades();
  const place = editor("x = ", [0, 4]);
  assert.equal((await ask(upgrades, place, "a")).kind, InlineCompletionTriggerKind.Invoke);
});

test("an answer that does not begin with what is visible changes nothing", async () => {
  const upgrades = new Upgrades();
  const place = editor("x = ", [0, 4]);
  await ask(upgrades, place, "a + ");
  for (const answer of ["b", undefined, "a"]) {
    const asked = onTrigger(() => ask(upgrades, place, answer));
    await upgrades.arrived(late(0, 4));
    assert.deepEqual(asked()?.items, ["a + "], answer);
  }
});

test("nothing was visible yet, and the cursor waits", async () => {
  const upgrades = new Upgrades();
  const place = editor("x = ", [0, 4]);
  await ask(upgrades, place, undefined);
  const asked = onTrigger(() => ask(upgrades, place, "a"));
  await upgrades.arrived(late(0, 4));
  assert.deepEqual(asked()?.items, ["a"]);
  assert.deepEqual(fake.executed, [[TRIGGER]]);
});

test("the cursor is elsewhere, something else was typed, or another file is shown: not asked for", async () => {
  const upgrades = new Upgrades();
  await ask(upgrades, editor("x = \ny", [0, 4]), "a + ");
  editor("x = z\ny", [0, 5]);
  await upgrades.arrived(late(0, 4));
  editor("x = \ny", [1, 1]);
  await upgrades.arrived(late(0, 4));
  editor("x = \ny", [0, 2]);
  await upgrades.arrived(late(0, 4));
  editor("x = \ny", [0, 4]);
  await upgrades.arrived(late(0, 4, "untitled:Untitled-2"));
  window.activeTextEditor = undefined;
  await upgrades.arrived(late(0, 4));
  assert.deepEqual(fake.executed, []);
});
