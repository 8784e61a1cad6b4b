/** What differs between the desktop and a browser: how the server is reached. */

import type { BaseLanguageClient, LanguageClientOptions } from "vscode-languageclient";

export interface Remedy {
  title: string;
  /** A command's id. */
  command: string;
}

/** The server cannot be started or reached. */
export class Unavailable extends Error {
  /**
   * @param reason one sentence for the user
   * @param hint what to do about it
   * @param remedy the one action that mends it
   */
  constructor(
    readonly reason: string,
    readonly hint: string,
    readonly remedy?: Remedy,
  ) {
    super(reason);
  }
}

export interface Host {
  /** Settings that need a new server, without "egate.". */
  readonly restartOn: readonly string[];
  /** Is the server tried again by itself after it was lost or not found? A browser cannot start it. */
  readonly retries: boolean;
  /**
   * A client that is not started yet.
   *
   * @throws Unavailable
   */
  createClient(options: LanguageClientOptions): Promise<BaseLanguageClient>;
}
