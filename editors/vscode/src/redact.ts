/** Keeps secrets out of the log: at its most talkative level the language client writes whole messages. */

import type { LogOutputChannel } from "vscode";

export class Redactor {
  readonly #secrets = new Set<string>();

  /** From now on this text is not logged. Former keys stay secret too. */
  add(secret: string | undefined): void {
    if (secret !== undefined && secret !== "") {
      this.#secrets.add(secret);
      // As it stands within JSON.
      this.#secrets.add(JSON.stringify(secret).slice(1, -1));
    }
  }

  clean(text: string): string {
    let result = text;
    for (const secret of this.#secrets) {
      result = result.replaceAll(secret, "•••");
    }
    return result;
  }

  /** The channel, with everything that is written to it cleaned. */
  wrap(channel: LogOutputChannel): LogOutputChannel {
    const writers = new Set<PropertyKey>(["append", "appendLine", "replace", "trace", "debug", "info", "warn", "error"]);
    return new Proxy(channel, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== "function") {
          return value;
        }
        const method = value as (...given: unknown[]) => unknown;
        return (...given: unknown[]) =>
          method.apply(target, writers.has(name) ? given.map((part) => this.#cleanAny(part)) : given);
      },
    });
  }

  #cleanAny(value: unknown): unknown {
    if (typeof value === "string") {
      return this.clean(value);
    }
    if (value instanceof Error) {
      return this.clean(value.stack ?? value.message);
    }
    if (typeof value === "object" && value !== null) {
      return this.clean(JSON.stringify(value));
    }
    return value;
  }
}
