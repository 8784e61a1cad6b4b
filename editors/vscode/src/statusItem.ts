/** The item in the status bar. */

import * as vscode from "vscode";
import { COMMAND } from "./commandIds";
import { present, type Shown } from "./statusText";

export class StatusItem implements vscode.Disposable {
  readonly #item: vscode.StatusBarItem;
  readonly #disposables: vscode.Disposable[];
  #shown: Shown | undefined;

  constructor() {
    this.#item = vscode.window.createStatusBarItem("egate-lsp.status", vscode.StatusBarAlignment.Right, 100);
    this.#item.name = "egate-lsp";
    this.#disposables = [this.#item, vscode.window.onDidChangeActiveTextEditor(() => this.#draw())];
  }

  show(shown: Shown): void {
    this.#shown = shown;
    this.#draw();
  }

  dispose(): void {
    for (const disposable of this.#disposables) {
      disposable.dispose();
    }
  }

  #draw(): void {
    const shown = this.#shown;
    if (shown === undefined) {
      return;
    }
    const { text, tooltip, severity, label } = present(shown, vscode.window.activeTextEditor?.document.languageId);
    const markdown = new vscode.MarkdownString(tooltip, true);
    markdown.isTrusted = { enabledCommands: Object.values(COMMAND) };
    this.#item.text = text;
    this.#item.tooltip = markdown;
    this.#item.accessibilityInformation = { label, role: "button" };
    this.#item.backgroundColor =
      severity === "none" ? undefined : new vscode.ThemeColor(`statusBarItem.${severity}Background`);
    this.#item.command = shown.state === "absent" ? (shown.remedy?.command ?? COMMAND.restart) : COMMAND.menu;
    this.#item.show();
  }
}
