/** The extension's one object: it starts the client, follows the server's status, and passes the settings on. */

import * as vscode from "vscode";
import {
  CloseAction,
  ErrorAction,
  ExecuteCommandRequest,
  MessageType,
  ShowMessageNotification,
  State as ClientState,
  type BaseLanguageClient,
  type ClientCapabilities,
  type FeatureState,
  type LanguageClientOptions,
  type StaticFeature,
} from "vscode-languageclient";
import { ApiKey } from "./apiKey";
import { COMMAND } from "./commandIds";
import { Unavailable, type Host, type Remedy } from "./host";
import * as protocol from "./protocol";
import { Redactor } from "./redact";
import { collect, serverKeys, switches } from "./settings";
import { StatusItem } from "./statusItem";
import type { Absent, Shown } from "./statusText";
import { Upgrades } from "./upgrade";

/** The editors' documents that are offered to the server; not the output panel, settings or version control's texts. */
const SCHEMES = ["file", "untitled", "vscode-notebook-cell", "vscode-vfs", "vscode-remote", "vscode-test-web", "tmp"];

const CRASHES = 4;
const CRASH_WINDOW_MS = 3 * 60 * 1000;
const RETRY_FIRST_MS = 2000;
const RETRY_LONGEST_MS = 60_000;
/** The status that explains an error comes right behind its message. */
const MESSAGE_GRACE_MS = 250;

export class Egate implements vscode.Disposable {
  readonly log: vscode.LogOutputChannel;
  readonly apiKey: ApiKey;
  #client: BaseLanguageClient | undefined;
  #shown: Shown;
  #queue: Promise<void> = Promise.resolve();
  #retry: ReturnType<typeof setTimeout> | undefined;
  #retryMs = RETRY_FIRST_MS;
  /** Was this client ever connected? */
  #ran = false;
  /** The settings that the server has, as JSON. */
  #sent = "{}";
  #disposed = false;
  readonly #crashes: number[] = [];
  readonly #told = new Set<string>();
  readonly #item = new StatusItem();
  readonly #upgrades = new Upgrades();
  readonly #keys: string[];
  readonly #disposables: vscode.Disposable[] = [];

  constructor(
    context: vscode.ExtensionContext,
    private readonly host: Host,
    readonly redactor = new Redactor(),
  ) {
    this.log = redactor.wrap(vscode.window.createOutputChannel("egate-lsp", { log: true }));
    this.apiKey = new ApiKey(context.secrets, redactor);
    const manifest = context.extension.packageJSON as { contributes: { configuration: { properties: object }[] } };
    this.#keys = serverKeys(manifest.contributes.configuration.flatMap((part) => Object.keys(part.properties)));
    this.#shown = protocol.completeStatus({ state: "starting" });
    this.#show(this.#shown);
    this.#disposables.push(
      this.log,
      this.#item,
      this.apiKey.onChange(() => void this.#sendSettings()),
      vscode.workspace.onDidChangeConfiguration((event) => this.#configurationChanged(event)),
    );
  }

  get shown(): Shown {
    return this.#shown;
  }

  /** The client if it is running. */
  get client(): BaseLanguageClient | undefined {
    return this.#client?.state === ClientState.Running ? this.#client : undefined;
  }

  /** Starts the server, or says why that is not possible. Never throws. */
  start(): Promise<void> {
    return this.#inTurn(() => this.#start());
  }

  stop(): Promise<void> {
    return this.#inTurn(() => this.#stop());
  }

  /** A new process or connection, whatever became of the former. */
  restart(): Promise<void> {
    this.#crashes.length = 0;
    this.#told.clear();
    this.#retryMs = RETRY_FIRST_MS;
    return this.#inTurn(async () => {
      await this.#stop();
      await this.#start();
    });
  }

  dispose(): void {
    this.#disposed = true;
    clearTimeout(this.#retry);
    for (const disposable of this.#disposables) {
      disposable.dispose();
    }
  }

  /**
   * One of the server's commands.
   *
   * @throws Error if the server is not there or does not know it
   */
  async execute(command: string, ...args: unknown[]): Promise<unknown> {
    return this.#running().sendRequest(ExecuteCommandRequest.type, { command, arguments: args as never[] });
  }

  /** One of the server's own requests. */
  async request<T>(method: string, params: object): Promise<T> {
    return this.#running().sendRequest<T>(method, params);
  }

  switches(): ReturnType<typeof switches> {
    const settings = vscode.workspace.getConfiguration("egate");
    return switches(settings.inspect("enable"), settings.inspect("disabledLanguages"));
  }

  #running(): BaseLanguageClient {
    const client = this.client;
    if (client === undefined) {
      throw new Error(this.#shown.state === "absent" ? this.#shown.reason : "egate-lsp is not running.");
    }
    return client;
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    this.#queue = this.#queue.then(work).catch((error: unknown) => this.log.error(String(error)));
    return this.#queue;
  }

  async #start(): Promise<void> {
    if (this.#client !== undefined || this.#disposed) {
      return;
    }
    clearTimeout(this.#retry);
    let client: BaseLanguageClient | undefined;
    try {
      await this.apiKey.load();
      client = await this.host.createClient(this.#options());
      this.#show(protocol.completeStatus({ state: "starting" }));
      this.#client = client;
      this.#ran = false;
      this.#listen(client);
      await client.start();
      this.#retryMs = RETRY_FIRST_MS;
    } catch (error) {
      this.#client = undefined;
      void client?.dispose().catch(() => undefined);
      this.#failed(error);
    }
  }

  async #stop(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    clearTimeout(this.#retry);
    if (client !== undefined) {
      if (client.state === ClientState.Starting) {
        await client.start().catch(() => undefined); // it cannot be stopped before it has started, or failed to
      }
      // What it says of an ended process is of no interest.
      await client.dispose().catch((error: unknown) => this.log.debug(String(error)));
    }
  }

  #options(): LanguageClientOptions {
    return {
      documentSelector: SCHEMES.map((scheme) => ({ scheme })),
      outputChannel: this.log,
      traceOutputChannel: this.log,
      initializationOptions: () => {
        const settings = this.#settings();
        this.#sent = JSON.stringify(settings);
        return settings;
      },
      initializationFailedHandler: () => false,
      progressOnInitialization: false,
      errorHandler: {
        error: (error) => {
          this.log.warn(`connection: ${error.message}`);
          return { action: ErrorAction.Continue, handled: true };
        },
        closed: () => this.#closed(),
      },
      middleware: {
        provideInlineCompletionItems: this.#upgrades.provide,
        workspace: {
          // Were it passed on, workspace values and defaults would go with it.
          configuration: (params) =>
            params.items.map((item) => (item.section === "egate" ? this.#settings() : null)),
        },
      },
    };
  }

  #listen(client: BaseLanguageClient): void {
    client.registerFeature(new OwnCapabilities());
    client.onNotification(protocol.STATUS_CHANGED, (status: Partial<protocol.Status>) => {
      this.#statusChanged(protocol.completeStatus(status));
    });
    client.onNotification(protocol.UPGRADED, (params: protocol.Upgraded) => this.#upgrades.arrived(params));
    client.onDidChangeState(({ newState }) => {
      if (newState === ClientState.Running && this.#client === client) {
        this.#ran = true;
        void this.#started(client).catch((error: unknown) => this.log.error(String(error)));
      }
    });
  }

  /** After each start, also after one that the client made by itself. */
  async #started(client: BaseLanguageClient): Promise<void> {
    const info = client.initializeResult?.serverInfo;
    this.log.info(`connected to ${info?.name ?? "a server"} ${info?.version ?? ""}`);
    const experimental = client.initializeResult?.capabilities.experimental as
      | { egate?: { version?: number } }
      | undefined;
    if ((experimental?.egate?.version ?? 0) < protocol.VERSION) {
      this.#absent({
        reason: `egate-lsp ${info?.version ?? ""} is too old for this extension.`,
        hint: "Upgrade it: uv tool upgrade egate-lsp, pipx upgrade egate-lsp, or pip install --upgrade egate-lsp.",
        remedy: undefined,
      });
      return;
    }
    client.onNotification(ShowMessageNotification.type, ({ type, message }) => {
      setTimeout(() => this.#serverSays(type, message), MESSAGE_GRACE_MS);
    });
    await this.#applySwitches(true);
    this.#statusChanged(protocol.completeStatus(await client.sendRequest(protocol.STATUS, {})));
  }

  // ── when it fails ───────────────────────────────────────────────────────────────────────────────────────

  #closed(): { action: CloseAction; handled: boolean; message?: string } {
    const now = Date.now();
    this.#crashes.push(now);
    while (this.#crashes[0] !== undefined && now - this.#crashes[0] > CRASH_WINDOW_MS) {
      this.#crashes.shift();
    }
    if (!this.#ran) {
      // It never spoke to us: `#start` is told, and says so.
      return { action: CloseAction.DoNotRestart, handled: true, message: "egate-lsp ended before it was connected" };
    }
    if (this.host.retries) {
      this.#client = undefined;
      this.#failed(new Unavailable("egate-lsp ended or was cut off.", "Start it again: egate-lsp serve --ws"));
      return { action: CloseAction.DoNotRestart, handled: true, message: "the connection is closed" };
    }
    if (this.#crashes.length <= CRASHES) {
      this.#show(protocol.completeStatus({ state: "starting" }));
      return { action: CloseAction.Restart, handled: true, message: "egate-lsp ended; it is started again" };
    }
    this.#client = undefined;
    this.#failed(
      new Unavailable(
        `egate-lsp ended ${this.#crashes.length} times in three minutes.`,
        "The log says why; egate-lsp doctor in a terminal tells what works on this machine.",
        { title: "Open log", command: COMMAND.openLog },
      ),
    );
    return { action: CloseAction.DoNotRestart, handled: true, message: "egate-lsp ended too often" };
  }

  #failed(error: unknown): void {
    if (!(error instanceof Unavailable)) {
      this.log.error(messageOf(error));
    }
    const problem =
      error instanceof Unavailable
        ? error
        : new Unavailable("egate-lsp could not be started.", "The log says why.", {
            title: "Open log",
            command: COMMAND.openLog,
          });
    if (this.#shown.state !== "absent" || this.#shown.reason !== problem.reason) {
      this.log.error(`${problem.reason} ${problem.hint}`);
    }
    this.#absent({ reason: problem.reason, hint: problem.hint, remedy: problem.remedy });
    if (this.host.retries && !this.#disposed) {
      clearTimeout(this.#retry);
      this.#retry = setTimeout(() => void this.start(), this.#retryMs);
      this.#retryMs = Math.min(this.#retryMs * 2, RETRY_LONGEST_MS);
    }
  }

  #absent(absent: Omit<Absent, "state">): void {
    this.#show({ state: "absent", ...absent });
    this.#tell(`${absent.reason} ${absent.hint}`, absent.remedy, vscode.window.showWarningMessage);
  }

  /** One notification for each thing there is to tell, with at most one button. */
  #tell(
    message: string,
    remedy: Remedy | undefined,
    how: (message: string, ...buttons: string[]) => Thenable<string | undefined>,
  ): void {
    if (this.#told.has(message)) {
      return;
    }
    this.#told.add(message);
    const buttons = remedy === undefined ? [] : [remedy.title];
    void how(`egate-lsp: ${message.replace(/^egate-lsp /, "it ")}`.trim(), ...buttons).then((chosen) => {
      if (chosen !== undefined && remedy !== undefined) {
        void vscode.commands.executeCommand(remedy.command);
      }
    });
  }

  // ── status ──────────────────────────────────────────────────────────────────────────────────────────────

  #statusChanged(status: protocol.Status): void {
    if (this.#client === undefined) {
      return;
    }
    const before = this.#shown;
    this.#show(status);
    if (status.state === "error" && (before.state !== "error" || before.reason !== status.reason)) {
      void this.#explainError(status);
    }
    const warning = status.today?.warning ?? "";
    if (warning !== "") {
      this.#tell(warning, undefined, vscode.window.showWarningMessage);
    }
  }

  async #explainError(status: protocol.Status): Promise<void> {
    const model = await this.missingModel();
    const remedy: Remedy =
      model === undefined
        ? { title: "Open log", command: COMMAND.openLog }
        : { title: `Fetch it${megabytes(model.bytes)}`, command: COMMAND.fetchModel };
    this.#tell(`${status.reason} ${status.hint}`, remedy, vscode.window.showErrorMessage);
  }

  /** The draft model, if its file is not on the server's machine. */
  async missingModel(): Promise<protocol.ModelEntry | undefined> {
    try {
      const models = await this.request<protocol.ModelEntry[]>(protocol.MODELS, {});
      return models.find((entry) => entry.active && !entry.installed);
    } catch {
      return undefined;
    }
  }

  #serverSays(type: MessageType, message: string): void {
    if (this.#shown.state === "error" && this.#shown.reason !== "" && message.includes(this.#shown.reason)) {
      return; // told with its remedy by `#explainError`
    }
    const how =
      type === MessageType.Error
        ? vscode.window.showErrorMessage
        : type === MessageType.Warning
          ? vscode.window.showWarningMessage
          : vscode.window.showInformationMessage;
    void how(message);
  }

  #show(shown: Shown): void {
    this.#shown = shown;
    this.#item.show(shown);
    const ready = !["absent", "starting", "error"].includes(shown.state);
    void vscode.commands.executeCommand("setContext", "egate-lsp.ready", ready);
    void vscode.commands.executeCommand("setContext", "egate-lsp.found", shown.state !== "absent");
  }

  // ── settings ────────────────────────────────────────────────────────────────────────────────────────────

  #settings(): Record<string, unknown> {
    const settings = vscode.workspace.getConfiguration("egate");
    return collect(this.#keys, (key) => settings.inspect(key), this.apiKey.value);
  }

  #configurationChanged(event: vscode.ConfigurationChangeEvent): void {
    if (!event.affectsConfiguration("egate")) {
      return;
    }
    if (this.host.restartOn.some((key) => event.affectsConfiguration(`egate.${key}`))) {
      void this.restart();
      return;
    }
    void this.#sendSettings();
    void this.#applySwitches(false).catch((error: unknown) => this.log.error(String(error)));
  }

  async #sendSettings(): Promise<void> {
    const settings = this.#settings();
    const text = JSON.stringify(settings);
    if (text === this.#sent || this.client === undefined) {
      return;
    }
    if (text === "{}") {
      // The server takes an empty change for that of a client without settings, and keeps what it has.
      await this.restart();
      return;
    }
    this.#sent = text;
    await this.client.sendNotification("workspace/didChangeConfiguration", { settings: { egate: settings } });
  }

  /** What the user switched off stays off in a new server. */
  async #applySwitches(atStart: boolean): Promise<void> {
    const client = this.client;
    if (client === undefined) {
      return;
    }
    const wanted = this.switches();
    const status = protocol.completeStatus(await client.sendRequest(protocol.STATUS, {}));
    if (wanted.enabled !== status.enabled) {
      await this.execute(protocol.SERVER_COMMAND.toggle, wanted.enabled);
    }
    const off = new Set(wanted.languagesOff);
    const was = new Set(status.languagesOff);
    const changed = [...off].filter((name) => !was.has(name)).map((name): [string, boolean] => [name, false]);
    // At the start, what the server has off by settings of its own stays so.
    const back = atStart ? [] : [...was].filter((name) => !off.has(name)).map((name): [string, boolean] => [name, true]);
    for (const [name, on] of [...changed, ...back]) {
      await this.execute(protocol.SERVER_COMMAND.toggleLanguage, name, on);
    }
    if (!atStart) {
      this.#statusChanged(protocol.completeStatus(await client.sendRequest(protocol.STATUS, {})));
    }
  }
}

/** Tells the server that we show its status and refresh for late answers. */
class OwnCapabilities implements StaticFeature {
  fillClientCapabilities(capabilities: ClientCapabilities): void {
    const experimental = (capabilities.experimental ?? {}) as Record<string, unknown>;
    capabilities.experimental = { ...experimental, egateStatus: true, egateUpgrade: true };
  }

  initialize(): void {
    // Nothing to register.
  }

  getState(): FeatureState {
    return { kind: "static" };
  }

  clear(): void {
    // Nothing was kept.
  }
}

function megabytes(bytes: number | null): string {
  return bytes === null ? "" : ` (${Math.round(bytes / 1e6)} MB)`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
