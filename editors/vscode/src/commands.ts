/** The commands that the desktop and a browser share. */

import * as vscode from "vscode";
import { COMMAND } from "./commandIds";
import type { Egate } from "./egate";
import { sealed, statisticsPage } from "./pages";
import { Panel } from "./panel";
import * as protocol from "./protocol";

const HIDE = "editor.action.inlineSuggest.hide";
const TRIGGER = "editor.action.inlineSuggest.trigger";

export function registerCommands(context: vscode.ExtensionContext, egate: Egate): void {
  const why = new Panel("egate-lsp.explain", "Why this suggestion");
  const figures = new Panel("egate-lsp.statistics", "egate-lsp: statistics");
  context.subscriptions.push(why, figures);

  const handlers: Record<string, () => Promise<void> | void> = {
    [COMMAND.menu]: () => menu(egate),
    [COMMAND.toggle]: () => toggle(egate),
    [COMMAND.toggleLanguage]: () => toggleLanguage(egate),
    [COMMAND.trigger]: async () => {
      await vscode.commands.executeCommand(TRIGGER);
    },
    [COMMAND.explain]: () => explain(egate, why),
    [COMMAND.pauseTarget]: () => pauseTarget(egate),
    [COMMAND.pickModel]: () => pickModel(egate),
    [COMMAND.fetchModel]: () => fetchModel(egate),
    [COMMAND.setApiKey]: () => setApiKey(egate),
    [COMMAND.clearApiKey]: async () => {
      await egate.apiKey.clear();
      void vscode.window.showInformationMessage("egate-lsp: the API key is removed from the secret store.");
    },
    [COMMAND.restart]: () => egate.restart(),
    [COMMAND.openLog]: () => openLog(egate),
    [COMMAND.statistics]: async () => {
      const statistics = await egate.request<protocol.Statistics>(protocol.STATISTICS, {});
      figures.show(() => statisticsPage(statistics));
    },
    [COMMAND.walkthrough]: async () => {
      await vscode.commands.executeCommand("workbench.action.openWalkthrough", `${context.extension.id}#start`, false);
    },
  };
  for (const [id, handler] of Object.entries(handlers)) {
    context.subscriptions.push(vscode.commands.registerCommand(id, guarded(egate, handler)));
  }
}

/** A command's failure is told where the user looks. */
export function guarded(egate: Egate, handler: () => Promise<void> | void): () => Promise<void> {
  return async () => {
    try {
      await handler();
    } catch (error) {
      const message = egate.redactor.clean(error instanceof Error ? error.message : String(error));
      egate.log.error(message);
      void vscode.window.showErrorMessage(`egate-lsp: ${message}`);
    }
  };
}

async function menu(egate: Egate): Promise<void> {
  const shown = egate.shown;
  const language = vscode.window.activeTextEditor?.document.languageId;
  const entries: (vscode.QuickPickItem & { command: string })[] = [];
  const add = (label: string, command: string, description = ""): void => {
    entries.push({ label, command, description });
  };
  if (shown.state === "absent") {
    if (shown.remedy !== undefined) {
      add(shown.remedy.title, shown.remedy.command);
    }
  } else {
    add(shown.enabled ? "Turn off" : "Turn on", COMMAND.toggle);
    if (language !== undefined) {
      add(`Turn ${shown.languagesOff.includes(language) ? "on" : "off"} for ${language}`, COMMAND.toggleLanguage);
    }
    if (shown.target !== null) {
      add(shown.targetPaused ? "Use the target again" : "Local only: pause the target", COMMAND.pauseTarget, shown.target);
    }
    add("Why this suggestion", COMMAND.explain);
    add("Pick the draft model", COMMAND.pickModel, shown.model);
    add("Statistics", COMMAND.statistics);
  }
  add("Restart", COMMAND.restart);
  add("Open log", COMMAND.openLog);
  const placeHolder = shown.reason === "" ? `egate-lsp: ${shown.state}` : `egate-lsp: ${shown.reason}`;
  const chosen = await vscode.window.showQuickPick(entries, { placeHolder });
  if (chosen !== undefined) {
    await vscode.commands.executeCommand(chosen.command);
  }
}

async function toggle(egate: Egate): Promise<void> {
  await write("enable", !egate.switches().enabled);
  await vscode.commands.executeCommand(HIDE);
}

async function toggleLanguage(egate: Egate): Promise<void> {
  const language = vscode.window.activeTextEditor?.document.languageId;
  if (language === undefined) {
    void vscode.window.showInformationMessage("egate-lsp: open a file of the language first.");
    return;
  }
  const off = egate.switches().languagesOff;
  await write("disabledLanguages", off.includes(language) ? off.filter((name) => name !== language) : [...off, language]);
  await vscode.commands.executeCommand(HIDE);
}

/** Writes a setting where it is set: in the workspace if that has it, else in the user's settings. */
async function write(key: string, value: unknown): Promise<void> {
  const settings = vscode.workspace.getConfiguration("egate");
  const inWorkspace = settings.inspect(key)?.workspaceValue !== undefined;
  const target = inWorkspace ? vscode.ConfigurationTarget.Workspace : vscode.ConfigurationTarget.Global;
  await settings.update(key, value, target);
}

async function explain(egate: Egate, panel: Panel): Promise<void> {
  const document = vscode.window.activeTextEditor?.document;
  const place = document === undefined ? {} : { textDocument: { uri: document.uri.toString() } };
  const answer = await egate.request<{ html: string } | null>(protocol.EXPLAIN, { ...place, format: "html" });
  if (answer === null) {
    void vscode.window.showInformationMessage("egate-lsp: there was no suggestion in this file yet.");
    return;
  }
  panel.show((dark) => sealed(answer.html, dark));
}

async function pauseTarget(egate: Egate): Promise<void> {
  if (egate.shown.state !== "absent" && egate.shown.target === null) {
    void vscode.window.showInformationMessage("egate-lsp: no target is set; everything stays on this machine anyway.");
    return;
  }
  const paused = (await egate.execute(protocol.SERVER_COMMAND.pauseTarget)) === true;
  const message = paused ? "local only; nothing is sent to the target." : "unsure lines go to the target again.";
  void vscode.window.setStatusBarMessage(`egate-lsp: ${message}`, 5000);
}

async function pickModel(egate: Egate): Promise<void> {
  const models = await egate.request<protocol.ModelEntry[]>(protocol.MODELS, {});
  const entries = models.map((entry) => ({
    name: entry.name,
    label: `${entry.active ? "$(check) " : ""}${entry.name}`,
    description: [entry.bytes === null ? "" : `${Math.round(entry.bytes / 1e6)} MB`, entry.license ?? ""]
      .filter((part) => part !== "")
      .join(", "),
    detail: entry.installed ? "on this machine" : "not here yet; it is fetched when you choose it",
  }));
  const chosen = await vscode.window.showQuickPick(entries, { placeHolder: "The model that drafts on this machine" });
  if (chosen === undefined) {
    return;
  }
  const settings = vscode.workspace.getConfiguration("egate");
  if (models.find((entry) => entry.name === chosen.name)?.installed === false) {
    await settings.update("models.autoPull", true, vscode.ConfigurationTarget.Global);
  }
  await settings.update("draft.model", chosen.name, vscode.ConfigurationTarget.Global);
}

/** The server fetches it; its status says how far it is. */
async function fetchModel(egate: Egate): Promise<void> {
  const settings = vscode.workspace.getConfiguration("egate");
  if (settings.inspect("models.autoPull")?.globalValue === true) {
    await egate.execute(protocol.SERVER_COMMAND.restart);
  } else {
    await settings.update("models.autoPull", true, vscode.ConfigurationTarget.Global);
  }
}

async function setApiKey(egate: Egate): Promise<void> {
  const key = await vscode.window.showInputBox({
    title: "API key of the target",
    prompt: "Kept in the editor's secret store, given to egate-lsp at its start, never logged.",
    password: true,
    ignoreFocusOut: true,
  });
  if (key !== undefined && key.trim() !== "") {
    await egate.apiKey.set(key.trim());
  }
}

async function openLog(egate: Egate): Promise<void> {
  const file = egate.shown.state === "absent" ? null : egate.shown.logFile;
  if (file !== null && vscode.env.uiKind === vscode.UIKind.Desktop) {
    try {
      await vscode.window.showTextDocument(vscode.Uri.file(file), { preview: true });
      return;
    } catch (error) {
      egate.log.warn(`${file} cannot be opened: ${String(error)}`);
    }
  }
  if (file !== null) {
    egate.log.info(`the server's own log: ${file}`);
  }
  egate.log.show();
}
