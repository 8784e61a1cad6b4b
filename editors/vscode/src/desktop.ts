/** Entry point where processes can be started: the server is a child that speaks over its standard streams. */

import { accessSync, constants, readdirSync, statSync } from "node:fs";
import { homedir } from "node:os";
import * as vscode from "vscode";
import { LanguageClient, type BaseLanguageClient, type LanguageClientOptions } from "vscode-languageclient/node";
import { COMMAND } from "./commandIds";
import { guarded, registerCommands } from "./commands";
import { Egate } from "./egate";
import { findInstaller, findServer, type Machine } from "./findServer";
import { Unavailable, type Host, type Remedy } from "./host";
import { userValue } from "./settings";

let egate: Egate | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<Egate> {
  const host = new Desktop();
  const own = new Egate(context, host);
  egate = own;
  context.subscriptions.push(own);
  registerCommands(context, own);
  context.subscriptions.push(
    vscode.commands.registerCommand(
      COMMAND.install,
      guarded(own, () => install(own)),
    ),
    // Installed meanwhile, in a terminal or by a new environment: look again.
    vscode.window.onDidCloseTerminal(() => again(own)),
    vscode.workspace.onDidGrantWorkspaceTrust(() => again(own)),
    vscode.window.onDidChangeWindowState((state) => {
      if (state.focused) {
        again(own);
      }
    }),
  );
  await own.start();
  host.onPythonChange(context, () => again(own));
  return own;
}

export async function deactivate(): Promise<void> {
  await egate?.stop();
  egate = undefined;
}

function again(own: Egate): void {
  if (own.shown.state === "absent" && own.client === undefined) {
    void own.start();
  }
}

class Desktop implements Host {
  readonly restartOn = ["command"];
  readonly retries = false;

  async createClient(options: LanguageClientOptions): Promise<BaseLanguageClient> {
    const command = userValue(vscode.workspace.getConfiguration("egate").inspect("command"));
    const found = findServer(thisMachine(), { command, python: await activePython(), barred: barred() });
    if ("reason" in found) {
      throw new Unavailable(found.reason, found.hint, remedyFor(found.settingIsWrong));
    }
    options.outputChannel?.info(`${found.command}, from ${found.origin}`);
    // Not in the workspace: a module there must not be taken for one of the server's.
    const serverOptions = { command: found.command, args: [...found.args, "serve"], options: { cwd: homedir() } };
    return new LanguageClient("egate", "egate-lsp", serverOptions, options);
  }

  onPythonChange(context: vscode.ExtensionContext, react: () => void): void {
    const api = pythonApi();
    const listener = api?.environments?.onDidChangeActiveEnvironmentPath?.(react);
    if (listener !== undefined) {
      context.subscriptions.push(listener);
    }
  }
}

function remedyFor(settingIsWrong: boolean): Remedy {
  if (settingIsWrong) {
    return { title: "Open the setting", command: COMMAND.install };
  }
  const installer = findInstaller(thisMachine(), barred());
  return installer === undefined
    ? { title: "How to install", command: COMMAND.walkthrough }
    : { title: `Install with ${installer.name}`, command: COMMAND.install };
}

/** Mends what `createClient` found: opens the setting that is wrong, or installs the server before the user's eyes. */
async function install(own: Egate): Promise<void> {
  const command = userValue(vscode.workspace.getConfiguration("egate").inspect("command"));
  const found = findServer(thisMachine(), { command, python: await activePython(), barred: barred() });
  if (!("reason" in found)) {
    await own.restart();
    return;
  }
  if (found.settingIsWrong) {
    await vscode.commands.executeCommand("workbench.action.openSettings", "egate.command");
    return;
  }
  const installer = findInstaller(thisMachine(), barred());
  if (installer === undefined) {
    await vscode.commands.executeCommand(COMMAND.walkthrough);
    return;
  }
  const task = new vscode.Task(
    { type: "egate-lsp" },
    vscode.TaskScope.Global,
    `install with ${installer.name}`,
    "egate-lsp",
    new vscode.ProcessExecution(installer.command, installer.args, { cwd: homedir() }),
  );
  task.presentationOptions = { reveal: vscode.TaskRevealKind.Always, panel: vscode.TaskPanelKind.Dedicated };
  const execution = await vscode.tasks.executeTask(task);
  const ended = vscode.tasks.onDidEndTaskProcess((event) => {
    if (event.execution === execution) {
      ended.dispose();
      void own.restart();
    }
  });
}

/** What of the ms-python.python extension's interface is used. */
interface PythonApi {
  environments?: {
    getActiveEnvironmentPath?(resource?: vscode.Uri): { path: string };
    resolveEnvironment?(path: { path: string }): Promise<{ executable: { uri?: vscode.Uri } } | undefined>;
    onDidChangeActiveEnvironmentPath?(react: () => void): vscode.Disposable;
  };
}

function pythonApi(): PythonApi | undefined {
  const extension = vscode.extensions.getExtension<PythonApi>("ms-python.python");
  return extension?.isActive === true ? extension.exports : undefined;
}

/** The active interpreter; undefined in a workspace that is not trusted, because a workspace can choose it. */
async function activePython(): Promise<string | undefined> {
  if (!vscode.workspace.isTrusted) {
    return undefined;
  }
  const environments = pythonApi()?.environments;
  const active = environments?.getActiveEnvironmentPath?.(vscode.workspace.workspaceFolders?.[0]?.uri);
  if (active !== undefined) {
    const resolved = await environments?.resolveEnvironment?.(active);
    return resolved?.executable.uri?.fsPath ?? active.path;
  }
  const setting = userValue(vscode.workspace.getConfiguration("python").inspect("defaultInterpreterPath"));
  return typeof setting === "string" && setting !== "" && setting !== "python" ? setting : undefined;
}

/** Folders whose programs are not run. */
function barred(): string[] {
  const folders = vscode.workspace.workspaceFolders ?? [];
  return vscode.workspace.isTrusted ? [] : folders.map((folder) => folder.uri.fsPath);
}

function thisMachine(): Machine {
  return {
    platform: process.platform,
    env: process.env,
    home: homedir(),
    isExecutable: (file) => {
      try {
        accessSync(file, constants.X_OK);
        return statSync(file).isFile();
      } catch {
        return false;
      }
    },
    list: (folder) => {
      try {
        return readdirSync(folder);
      } catch {
        return [];
      }
    },
  };
}
