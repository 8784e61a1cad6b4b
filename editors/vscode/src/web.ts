/** Entry point in a browser, where nothing can be started: the user runs `egate-lsp serve --ws`, and we connect. */

import * as vscode from "vscode";
import { LanguageClient, type BaseLanguageClient, type LanguageClientOptions } from "vscode-languageclient/browser";
import { COMMAND } from "./commandIds";
import { guarded, registerCommands } from "./commands";
import { Egate } from "./egate";
import { Unavailable, type Host } from "./host";
import { Redactor } from "./redact";
import { userValue } from "./settings";
import { checked, open, place } from "./webSocket";

const ADDRESS = "egate.serverAddress";
const START = "Run egate-lsp serve --ws in a terminal; it prints the address to connect to.";

let egate: Egate | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<Egate> {
  const redactor = new Redactor();
  const host = new Browser(context.secrets, redactor);
  const own = new Egate(context, host, redactor);
  egate = own;
  context.subscriptions.push(own);
  registerCommands(context, own);
  context.subscriptions.push(
    vscode.commands.registerCommand(
      COMMAND.connect,
      guarded(own, () => connect(context, own)),
    ),
  );
  await own.start();
  return own;
}

export async function deactivate(): Promise<void> {
  await egate?.stop();
  egate = undefined;
}

/** Asks for the address that the server printed and keeps it as a secret, because it holds the token. */
async function connect(context: vscode.ExtensionContext, own: Egate): Promise<void> {
  const text = await vscode.window.showInputBox({
    title: "Connect to egate-lsp",
    prompt: START,
    placeHolder: "ws://127.0.0.1:PORT/?token=TOKEN",
    ignoreFocusOut: true,
    validateInput: (value) => {
      const result = checked(value);
      return typeof result === "string" ? result : undefined;
    },
  });
  if (text !== undefined) {
    await context.secrets.store(ADDRESS, text.trim());
    await own.restart();
  }
}

class Browser implements Host {
  readonly restartOn = ["serverAddress"];
  readonly retries = true;

  constructor(
    private readonly secrets: vscode.SecretStorage,
    private readonly redactor: Redactor,
  ) {}

  async createClient(options: LanguageClientOptions): Promise<BaseLanguageClient> {
    const remedy = { title: "Connect", command: COMMAND.connect };
    const text = (await this.secrets.get(ADDRESS)) ?? setting();
    if (text === "") {
      throw new Unavailable("egate-lsp is not connected.", START, remedy);
    }
    const address = checked(text);
    if (typeof address === "string") {
      throw new Unavailable("The address of egate-lsp cannot be used.", address, remedy);
    }
    this.redactor.add(address.searchParams.get("token") ?? undefined);
    options.outputChannel?.info(`connecting to ${place(address)}`);
    // Opened before the client is made: that nothing listens is not the client's failure.
    const transports = await open(address).catch((error: unknown) => {
      throw new Unavailable(error instanceof Error ? error.message : String(error), START, remedy);
    });
    return new LanguageClient("egate", "egate-lsp", () => Promise.resolve(transports), options);
  }
}

function setting(): string {
  const value = userValue(vscode.workspace.getConfiguration("egate").inspect("serverAddress"));
  return typeof value === "string" ? value : "";
}
