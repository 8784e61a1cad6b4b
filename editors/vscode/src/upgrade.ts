/**
 * Late answers of the target. When one is there, the server says for which place; the editor then asks anew, and the
 * visible text is replaced only by one that begins with it, so that it grows and never flickers.
 */

import * as vscode from "vscode";
import type { Upgraded } from "./protocol";

interface Shown {
  uri: string;
  start: vscode.Position;
  text: string;
  result: Answer;
}

type Answer = vscode.InlineCompletionItem[] | vscode.InlineCompletionList | null | undefined;
export type Next = (
  document: vscode.TextDocument,
  position: vscode.Position,
  context: vscode.InlineCompletionContext,
  token: vscode.CancellationToken,
) => vscode.ProviderResult<Answer>;

export class Upgrades {
  #shown: Shown | undefined;
  #asking = false;

  /** Middleware of the language client's inline completions. */
  readonly provide = async (
    document: vscode.TextDocument,
    position: vscode.Position,
    context: vscode.InlineCompletionContext,
    token: vscode.CancellationToken,
    next: Next,
  ): Promise<Answer> => {
    const ours = this.#asking;
    const before = this.#shown;
    if (!ours) {
      return this.#remember(document, position, await next(document, position, context, token));
    }
    // The editor's command asks as by hand; this is not the user's doing, and the answer is there already.
    const automatic = { ...context, triggerKind: vscode.InlineCompletionTriggerKind.Automatic };
    const answer = await next(document, position, automatic, token);
    const rest = before === undefined ? undefined : remaining(document, position, before);
    const text = firstText(answer);
    if (before !== undefined && rest !== undefined && (!text?.startsWith(rest))) {
      return itemsOf(before.result).slice(0, 1);
    }
    return this.#remember(document, position, answer);
  };

  /** The server's notification. */
  async arrived(params: Upgraded): Promise<void> {
    const editor = vscode.window.activeTextEditor;
    const shown = this.#shown;
    if (shown === undefined || editor?.document.uri.toString() !== shown.uri) {
      return;
    }
    const at = editor.selection;
    if (!at.isEmpty || vscode.Uri.parse(params.textDocument.uri).toString() !== shown.uri) {
      return;
    }
    const place = new vscode.Position(params.position.line, params.position.character);
    const left = remaining(editor.document, at.active, shown);
    if (at.active.isBefore(place) || left === undefined) {
      return;
    }
    this.#asking = true;
    try {
      await vscode.commands.executeCommand("editor.action.inlineSuggest.trigger");
      if (left !== "") {
        // VS Code keeps what is visible in the first place and puts the answer behind it.
        await vscode.commands.executeCommand("editor.action.inlineSuggest.showNext");
      }
    } finally {
      this.#asking = false;
    }
  }

  #remember(document: vscode.TextDocument, position: vscode.Position, answer: Answer): Answer {
    // Nothing shown is remembered too: the draft's first line may be the one that awaits the target.
    const [item] = itemsOf(answer);
    const start = item?.range?.start ?? position;
    this.#shown = { uri: document.uri.toString(), start, text: firstText(answer) ?? "", result: answer };
    return answer;
  }
}

/** What is left of a suggestion whose beginning stands before the cursor; undefined if something else does. */
export function remaining(
  document: Pick<vscode.TextDocument, "getText">,
  cursor: vscode.Position,
  shown: { start: vscode.Position; text: string },
): string | undefined {
  if (cursor.isBefore(shown.start)) {
    return undefined;
  }
  const typed = document.getText(new vscode.Range(shown.start, cursor)).replaceAll("\r\n", "\n");
  return shown.text.startsWith(typed) ? shown.text.slice(typed.length) : undefined;
}

function itemsOf(answer: Answer): vscode.InlineCompletionItem[] {
  if (answer === null || answer === undefined) {
    return [];
  }
  return Array.isArray(answer) ? answer : answer.items;
}

function firstText(answer: Answer): string | undefined {
  const [item] = itemsOf(answer);
  return item === undefined ? undefined : typeof item.insertText === "string" ? item.insertText : item.insertText.value;
}
