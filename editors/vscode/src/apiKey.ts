/** The target's API key, in the editor's secret store and nowhere else. */

import type * as vscode from "vscode";
import type { Redactor } from "./redact";

const NAME = "egate.target.apiKey";

export class ApiKey {
  #value: string | undefined;

  constructor(
    private readonly secrets: vscode.SecretStorage,
    private readonly redactor: Redactor,
  ) {}

  get value(): string | undefined {
    return this.#value;
  }

  async load(): Promise<void> {
    this.#value = await this.secrets.get(NAME);
    this.redactor.add(this.#value);
  }

  async set(value: string): Promise<void> {
    this.redactor.add(value);
    await this.secrets.store(NAME, value);
    this.#value = value;
  }

  async clear(): Promise<void> {
    await this.secrets.delete(NAME);
    this.#value = undefined;
  }

  /** Set or cleared in another window. */
  onChange(react: () => void): vscode.Disposable {
    return this.secrets.onDidChange((event) => {
      if (event.key === NAME) {
        void this.load().then(react);
      }
    });
  }
}
