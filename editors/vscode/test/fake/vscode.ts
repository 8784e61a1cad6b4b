/**
 * Enough of VS Code's module to run the extension and the real language client under node. What a test looks at is in
 * `fake`; what is not here is a class without members, so that the client's subclasses of VS Code's types can be defined.
 */

type Listener = (value: never) => unknown;

export class EventEmitter<T> {
  readonly #listeners = new Set<(value: T) => unknown>();
  readonly event = (listener: (value: T) => unknown): Disposable => {
    this.#listeners.add(listener);
    return new Disposable(() => this.#listeners.delete(listener));
  };
  fire(value: T): void {
    this.#listeners.forEach((listener) => listener(value));
  }
  dispose(): void {
    this.#listeners.clear();
  }
}

export class Disposable {
  static from(...parts: { dispose(): unknown }[]): Disposable {
    return new Disposable(() => parts.forEach((part) => part.dispose()));
  }
  constructor(private readonly end: () => unknown) {}
  dispose(): void {
    this.end();
  }
}

export class Position {
  constructor(
    readonly line: number,
    readonly character: number,
  ) {}
  isBefore(other: Position): boolean {
    return this.line < other.line || (this.line === other.line && this.character < other.character);
  }
}

export class Range {
  readonly start: Position;
  readonly end: Position;
  constructor(start: Position | number, end: Position | number, endLine?: number, endCharacter?: number) {
    this.start = typeof start === "number" ? new Position(start, end as number) : start;
    this.end = typeof end === "number" ? new Position(endLine ?? 0, endCharacter ?? 0) : end;
  }
}

export class Uri {
  private constructor(private readonly text: string) {}
  static parse(text: string): Uri {
    return new Uri(text);
  }
  static file(path: string): Uri {
    return new Uri(`file://${path}`);
  }
  get scheme(): string {
    return this.text.slice(0, this.text.indexOf(":"));
  }
  get path(): string {
    return this.text.replace(/^[a-z-]+:(\/\/)?/, "");
  }
  get fsPath(): string {
    return this.path;
  }
  toString(): string {
    return this.text;
  }
}

export class TextDocument {
  version = 1;
  readonly isClosed = false;
  constructor(
    readonly uri: Uri,
    readonly languageId: string,
    private readonly text: string,
  ) {}
  get fileName(): string {
    return this.uri.fsPath;
  }
  getText(range?: Range): string {
    if (range === undefined) {
      return this.text;
    }
    return this.text.slice(this.#offset(range.start), this.#offset(range.end));
  }
  #offset(at: Position): number {
    const before = this.text.split("\n").slice(0, at.line);
    return before.reduce((sum, line) => sum + line.length + 1, 0) + at.character;
  }
}

export class InlineCompletionItem {
  constructor(
    readonly insertText: string,
    readonly range?: Range,
    readonly command?: { command: string; arguments?: unknown[] },
  ) {}
}
export class InlineCompletionList {
  constructor(readonly items: InlineCompletionItem[]) {}
}
export class MarkdownString {
  isTrusted: unknown;
  constructor(readonly value = "") {}
}
export class ThemeColor {
  constructor(readonly id: string) {}
}
export class CancellationError extends Error {}
export class CancellationTokenSource {
  readonly token = { isCancellationRequested: false, onCancellationRequested: new EventEmitter<void>().event };
  cancel(): void {}
  dispose(): void {}
}
export class ProcessExecution {
  constructor(
    readonly process: string,
    readonly args: string[],
  ) {}
}
export class Task {
  presentationOptions: unknown;
  constructor(
    readonly definition: unknown,
    readonly scope: unknown,
    readonly name: string,
    readonly source: string,
    readonly execution: ProcessExecution,
  ) {}
}

export const InlineCompletionTriggerKind = { Invoke: 0, Automatic: 1 };
export const LogLevel = { Off: 0, Trace: 1, Debug: 2, Info: 3, Warning: 4, Error: 5 };
export const StatusBarAlignment = { Left: 1, Right: 2 };
export const ConfigurationTarget = { Global: 1, Workspace: 2, WorkspaceFolder: 3 };
export const ColorThemeKind = { Light: 1, Dark: 2, HighContrast: 3, HighContrastLight: 4 };
export const UIKind = { Desktop: 1, Web: 2 };
export const ViewColumn = { Beside: -2 };
export const TaskScope = { Global: 1 };
export const TaskRevealKind = { Always: 1 };
export const TaskPanelKind = { Dedicated: 2 };
export const ProgressLocation = { Window: 10 };

interface Value {
  globalValue?: unknown;
  workspaceValue?: unknown;
}
interface Provider {
  provideInlineCompletionItems(...given: unknown[]): Promise<InlineCompletionItem[] | InlineCompletionList | null>;
}

/** What tests set and read. */
export const fake = {
  settings: new Map<string, Value>(),
  secrets: new Map<string, string>(),
  commands: new Map<string, (...given: unknown[]) => unknown>(),
  executed: [] as unknown[][],
  notifications: [] as { message: string; buttons: string[] }[],
  log: [] as string[],
  statusItems: [] as { text: string; tooltip: MarkdownString; command: string; backgroundColor?: ThemeColor }[],
  statusTexts: [] as string[],
  tasks: [] as Task[],
  taskEnded: new EventEmitter<{ execution: unknown; exitCode: number }>(),
  providers: [] as Provider[],
  panels: [] as { webview: { html: string }; options: unknown }[],
  answers: [] as unknown[],
  trusted: true,
  documents: [] as TextDocument[],
  opened: new EventEmitter<TextDocument>(),
  logLevel: 3,
  configurationChanged: new EventEmitter<{ affectsConfiguration(section: string): boolean }>(),
  set(key: string, value: Value): void {
    fake.settings.set(key, value);
    fake.configurationChanged.fire({ affectsConfiguration: (section) => key === section || key.startsWith(`${section}.`) });
  },
  open(document: TextDocument): void {
    fake.documents.push(document);
    fake.opened.fire(document);
  },
};

const never = (): Disposable => new Disposable(() => undefined);

function configuration(section = ""): unknown {
  const full = (key: string): string => (section === "" ? key : `${section}.${key}`);
  return {
    inspect: (key: string) => ({ key: full(key), defaultValue: null, ...fake.settings.get(full(key)) }),
    get: (key: string, otherwise: unknown) => fake.settings.get(full(key))?.globalValue ?? otherwise,
    has: (key: string) => fake.settings.has(full(key)),
    update: (key: string, value: unknown, target: number) => {
      const kind = target === ConfigurationTarget.Workspace ? "workspaceValue" : "globalValue";
      fake.set(full(key), { ...fake.settings.get(full(key)), [kind]: value });
      return Promise.resolve();
    },
  };
}

const told = (message: string, ...buttons: string[]): Promise<unknown> => {
  fake.notifications.push({ message, buttons });
  return Promise.resolve(undefined);
};

const windowMembers = {
  activeTextEditor: undefined as unknown,
  activeColorTheme: { kind: ColorThemeKind.Dark },
  visibleTextEditors: [],
  tabGroups: { all: [], onDidChangeTabs: never, onDidChangeTabGroups: never },
  state: { focused: true },
  createOutputChannel: () => {
    const write = (...parts: unknown[]): void => {
      fake.log.push(parts.map(String).join(" "));
    };
    return {
      logLevel: fake.logLevel, onDidChangeLogLevel: never, append: write, appendLine: write, replace: write, trace: write,
      debug: write, info: write, warn: write, error: write, show: () => undefined, dispose: () => undefined,
    }; // prettier-ignore
  },
  createStatusBarItem: () => {
    const item = { text: "", tooltip: new MarkdownString(), command: "", show: () => fake.statusTexts.push(item.text), dispose: () => undefined };
    fake.statusItems.push(item);
    return item;
  },
  createWebviewPanel: (_id: string, _title: string, _column: unknown, options: unknown) => {
    const panel = { webview: { html: "" }, options, onDidDispose: never, reveal: () => undefined, dispose: () => undefined };
    fake.panels.push(panel);
    return panel;
  },
  showErrorMessage: told,
  showWarningMessage: told,
  showInformationMessage: told,
  setStatusBarMessage: never,
  showQuickPick: () => Promise.resolve(fake.answers.shift()),
  showInputBox: () => Promise.resolve(fake.answers.shift()),
  withProgress: (_options: unknown, work: (progress: unknown, token: unknown) => unknown) =>
    work({ report: () => undefined }, new CancellationTokenSource().token),
};

const workspaceMembers = {
  get isTrusted() {
    return fake.trusted;
  },
  get textDocuments() {
    return fake.documents;
  },
  workspaceFolders: undefined,
  notebookDocuments: [],
  getConfiguration: configuration,
  onDidChangeConfiguration: fake.configurationChanged.event as (listener: Listener) => Disposable,
  onDidOpenTextDocument: fake.opened.event,
  createFileSystemWatcher: () => ({ onDidCreate: never, onDidChange: never, onDidDelete: never, dispose: () => undefined }),
};

/** Events that nobody fires need no line of their own. */
function withEvents<T extends object>(members: T): T {
  return new Proxy(members, {
    get: (target, name) => (name in target || typeof name === "symbol" || !name.startsWith("on") ? Reflect.get(target, name) : never) as unknown,
  });
}

export const window = withEvents(windowMembers);
export const workspace = withEvents(workspaceMembers);

export const commands = {
  registerCommand: (id: string, handler: (...given: unknown[]) => unknown) => {
    if (fake.commands.has(id)) {
      throw new Error(`command '${id}' already exists`);
    }
    fake.commands.set(id, handler);
    return new Disposable(() => fake.commands.delete(id));
  },
  executeCommand: (id: string, ...given: unknown[]): Promise<unknown> => {
    fake.executed.push([id, ...given]);
    return Promise.resolve(fake.commands.get(id)?.(...given));
  },
};

export const languages = {
  registerInlineCompletionItemProvider: (_selector: unknown, provider: Provider) => {
    fake.providers.push(provider);
    return new Disposable(() => fake.providers.splice(fake.providers.indexOf(provider), 1));
  },
  createDiagnosticCollection: () => ({ set: () => undefined, clear: () => undefined, dispose: () => undefined }),
  match: (selector: { scheme?: string }[], document: TextDocument) =>
    [selector].flat().some((filter) => filter.scheme === document.uri.scheme) ? 10 : 0,
};
export const extensions = { getExtension: () => undefined };
export const tasks = {
  executeTask: (task: Task) => {
    fake.tasks.push(task);
    return Promise.resolve({ task });
  },
  onDidEndTaskProcess: fake.taskEnded.event,
};
export const env = { appName: "test", language: "en", uiKind: UIKind.Desktop, appHost: "desktop" };
export const version = "1.91.0";

/** What `activate` is given. */
export function context(packageJSON: unknown): unknown {
  return {
    subscriptions: [] as { dispose(): void }[],
    extension: { id: "egate-lsp.egate-lsp", packageJSON },
    secrets: {
      get: (name: string) => Promise.resolve(fake.secrets.get(name)),
      store: (name: string, value: string) => Promise.resolve(void fake.secrets.set(name, value)),
      delete: (name: string) => Promise.resolve(void fake.secrets.delete(name)),
      onDidChange: never,
    },
  };
}

// Base classes and enumerations of the language client that no test uses.
class Nothing {}
export {
  Nothing as CallHierarchyItem, Nothing as CodeAction, Nothing as CodeLens, Nothing as CompletionItem,
  Nothing as Diagnostic, Nothing as DocumentLink, Nothing as InlayHint, Nothing as Location,
  Nothing as SymbolInformation, Nothing as TypeHierarchyItem, Nothing as WorkspaceSymbol, Nothing as CodeActionKind,
  Nothing as RelativePattern, Nothing as TabInputText, Nothing as TabInputTextDiff, Nothing as TabInputCustom,
  Nothing as TabInputNotebook, Nothing as NotebookCellOutputItem, Nothing as FileType, Nothing as SnippetString,
}; // prettier-ignore
