/** A page beside the editor: why a suggestion is what it is, or the statistics. */

import * as vscode from "vscode";

export class Panel implements vscode.Disposable {
  #panel: vscode.WebviewPanel | undefined;
  #page: ((dark: boolean) => string) | undefined;
  readonly #theme: vscode.Disposable;

  constructor(
    private readonly id: string,
    private readonly title: string,
  ) {
    this.#theme = vscode.window.onDidChangeActiveColorTheme(() => this.#draw());
  }

  /** @param page given whether the editor is dark */
  show(page: (dark: boolean) => string): void {
    this.#page = page;
    if (this.#panel === undefined) {
      const beside = { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true };
      const options = { enableScripts: false, enableCommandUris: false, enableForms: false, localResourceRoots: [] };
      this.#panel = vscode.window.createWebviewPanel(this.id, this.title, beside, options);
      this.#panel.onDidDispose(() => {
        this.#panel = undefined;
      });
    } else {
      this.#panel.reveal(undefined, true);
    }
    this.#draw();
  }

  dispose(): void {
    this.#theme.dispose();
    this.#panel?.dispose();
  }

  #draw(): void {
    if (this.#panel !== undefined && this.#page !== undefined) {
      const kind = vscode.window.activeColorTheme.kind;
      const dark = kind === vscode.ColorThemeKind.Dark || kind === vscode.ColorThemeKind.HighContrast;
      this.#panel.webview.html = this.#page(dark);
    }
  }
}
