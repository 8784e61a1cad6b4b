/** One LSP message per WebSocket text message, as `egate-lsp serve --ws` speaks it. */

import { AbstractMessageReader, AbstractMessageWriter } from "vscode-languageserver-protocol";
import type { DataCallback, Disposable, Message, MessageTransports } from "vscode-languageclient/browser";

const PATIENCE_MS = 10_000;

/** Where the server listens, without its secret: fit for messages and logs. */
export function place(address: URL): string {
  return `${address.protocol}//${address.host}`;
}

/**
 * The address as a URL, or what is wrong with it.
 *
 * Only this machine: what is typed would travel unencrypted otherwise, and the token with it.
 */
export function checked(text: string): URL | string {
  let address: URL;
  try {
    address = new URL(text.trim());
  } catch {
    return "This is no address. egate-lsp prints it at its start: ws://127.0.0.1:PORT/?token=TOKEN";
  }
  if (address.protocol !== "ws:") {
    return "The address must begin with ws://";
  }
  if (!["127.0.0.1", "localhost", "[::1]"].includes(address.hostname)) {
    return "Only a server on this machine can be used: ws://127.0.0.1:PORT/?token=TOKEN";
  }
  if (!address.searchParams.has("token")) {
    return "The address lacks its token: ws://127.0.0.1:PORT/?token=TOKEN";
  }
  return address;
}

/**
 * Opens a connection.
 *
 * @throws Error with a message for the user: nothing listens, or the token is not the server's (a browser tells a page
 *   nothing more).
 */
export async function open(address: URL): Promise<MessageTransports> {
  const socket = new WebSocket(address.href);
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      socket.close();
      reject(new Error(`${place(address)} does not answer.`));
    }, PATIENCE_MS);
    socket.onopen = () => {
      clearTimeout(timer);
      resolve();
    };
    socket.onerror = () => {
      clearTimeout(timer);
      reject(new Error(`Nothing that takes this token listens at ${place(address)}.`));
    };
  });
  return { reader: new Reader(socket), writer: new Writer(socket) };
}

class Reader extends AbstractMessageReader {
  readonly #held: Message[] = [];
  #callback: DataCallback | undefined;

  constructor(socket: WebSocket) {
    super();
    socket.onmessage = (event: MessageEvent<unknown>) => {
      try {
        this.#take(JSON.parse(String(event.data)) as Message);
      } catch (error) {
        this.fireError(error);
      }
    };
    socket.onerror = () => this.fireError(new Error("The connection to egate-lsp failed."));
    socket.onclose = () => this.fireClose();
  }

  listen(callback: DataCallback): Disposable {
    this.#callback = callback;
    for (const message of this.#held.splice(0)) {
      callback(message);
    }
    return {
      dispose: () => {
        this.#callback = undefined;
      },
    };
  }

  #take(message: Message): void {
    if (this.#callback === undefined) {
      this.#held.push(message);
    } else {
      this.#callback(message);
    }
  }
}

class Writer extends AbstractMessageWriter {
  constructor(private readonly socket: WebSocket) {
    super();
  }

  write(message: Message): Promise<void> {
    if (this.socket.readyState !== WebSocket.OPEN) {
      const error = new Error("The connection to egate-lsp is closed.");
      this.fireError(error, message);
      return Promise.reject(error);
    }
    this.socket.send(JSON.stringify(message));
    return Promise.resolve();
  }

  end(): void {
    this.socket.close();
  }
}
