/** Where egate-lsp is on this machine. Pure: the machine is given, so that each system can be tested on any. */

import { posix, win32, type PlatformPath } from "node:path";

export interface Machine {
  platform: NodeJS.Platform;
  env: Readonly<Record<string, string | undefined>>;
  home: string;
  /** Is there such a file, and may it be run? */
  isExecutable(file: string): boolean;
  /** Names in a folder; empty if there is none. */
  list(folder: string): string[];
}

export interface Wishes {
  /** The setting egate.command as the user has it. */
  command: unknown;
  /** The interpreter of the active Python environment; undefined where the workspace is not trusted. */
  python: string | undefined;
  /** Nothing below these folders is run unless it is the user's setting. Empty for a trusted workspace. */
  barred: readonly string[];
}

export interface Found {
  command: string;
  args: string[];
  /** For the log: where it was found. */
  origin: string;
}

export interface NotFound {
  reason: string;
  hint: string;
  /** The setting is wrong, so installing would not help. */
  settingIsWrong: boolean;
}

const NAME = "egate-lsp";

/** egate-lsp by the user's setting, the active Python environment, pipx and uv's folder, the PATH. In this order. */
export function findServer(machine: Machine, wishes: Wishes): Found | NotFound {
  const path = pathsOf(machine);
  const given = commandOf(wishes.command);
  if (given === "malformed") {
    return {
      reason: "The setting egate.command is neither a command nor a list of a command and its arguments.",
      hint: 'For example "/home/me/.local/bin/egate-lsp".',
      settingIsWrong: true,
    };
  }
  if (given !== undefined) {
    const [program = "", ...args] = given;
    const expanded = program.startsWith("~") ? path.join(machine.home, program.slice(1)) : program;
    const file = path.isAbsolute(expanded) ? runnable(machine, expanded) : onPath(machine, expanded, wishes.barred);
    if (file === undefined) {
      return {
        reason: `The setting egate.command names ${program}, which is not here.`,
        hint: "Give the whole path of egate-lsp, or clear the setting to have it looked for.",
        settingIsWrong: true,
      };
    }
    return { command: file, args, origin: "the setting egate.command" };
  }
  for (const [folder, origin] of folders(machine, wishes)) {
    if (allowed(machine, folder, wishes.barred)) {
      const file = runnable(machine, path.join(folder, NAME));
      if (file !== undefined) {
        return { command: file, args: [], origin };
      }
    }
  }
  const file = onPath(machine, NAME, wishes.barred);
  if (file !== undefined) {
    return { command: file, args: [], origin: "the PATH" };
  }
  return {
    reason: "egate-lsp is not installed.",
    hint: "It is a Python program; the extension only talks to it.",
    settingIsWrong: false,
  };
}

export interface Installer {
  command: string;
  args: string[];
  /** As the user knows it. */
  name: string;
}

/** The best way to install it that this machine has. */
export function findInstaller(machine: Machine, barred: readonly string[]): Installer | undefined {
  const uv = onPath(machine, "uv", barred) ?? inUserFolders(machine, "uv");
  if (uv !== undefined) {
    return { command: uv, args: ["tool", "install", NAME], name: "uv" };
  }
  const pipx = onPath(machine, "pipx", barred) ?? inUserFolders(machine, "pipx");
  if (pipx !== undefined) {
    return { command: pipx, args: ["install", NAME], name: "pipx" };
  }
  for (const name of machine.platform === "win32" ? ["py", "python"] : ["python3", "python"]) {
    const python = onPath(machine, name, barred);
    if (python !== undefined) {
      return { command: python, args: ["-m", "pip", "install", "--user", NAME], name: "pip" };
    }
  }
  return undefined;
}

function commandOf(value: unknown): string[] | "malformed" | undefined {
  if (value === undefined || value === null || value === "") {
    return undefined;
  }
  if (typeof value === "string") {
    return [value];
  }
  if (Array.isArray(value) && value.every((part): part is string => typeof part === "string")) {
    return value.length === 0 ? undefined : value;
  }
  return "malformed";
}

function* folders(machine: Machine, wishes: Wishes): Iterable<[string, string]> {
  const path = pathsOf(machine);
  const scripts = machine.platform === "win32" ? "Scripts" : "bin";
  if (wishes.python !== undefined) {
    const folder = path.dirname(wishes.python);
    yield [folder, "the active Python environment"];
    // A conda environment or an installed Python on Windows: the interpreter stands beside the folder of scripts.
    yield [path.join(folder, scripts), "the active Python environment"];
  }
  for (const name of ["VIRTUAL_ENV", "CONDA_PREFIX"]) {
    const root = machine.env[name];
    if (root !== undefined && root !== "") {
      yield [path.join(root, scripts), `the environment variable ${name}`];
    }
  }
  for (const folder of userFolders(machine)) {
    yield [folder, "the folder of pipx, uv and pip --user"];
  }
}

/** Where pipx, uv and `pip install --user` put commands. */
function* userFolders(machine: Machine): Iterable<string> {
  const path = pathsOf(machine);
  for (const name of ["UV_TOOL_BIN_DIR", "PIPX_BIN_DIR", "XDG_BIN_HOME"]) {
    const folder = machine.env[name];
    if (folder !== undefined && folder !== "" && path.isAbsolute(folder)) {
      yield folder;
    }
  }
  yield path.join(machine.home, ".local", "bin");
  const appData = machine.env.APPDATA;
  if (machine.platform === "win32" && appData !== undefined) {
    yield* below(machine, path.join(appData, "Python"), "Scripts");
    yield path.join(appData, "Python", "Scripts");
  } else if (machine.platform === "darwin") {
    yield* below(machine, path.join(machine.home, "Library", "Python"), "bin");
  }
}

/** `ROOT/VERSION/LEAF`, the newest version first. */
function below(machine: Machine, root: string, leaf: string): string[] {
  const path = pathsOf(machine);
  return machine
    .list(root)
    .sort((a, b) => b.localeCompare(a, "en", { numeric: true }))
    .map((version) => path.join(root, version, leaf));
}

function inUserFolders(machine: Machine, name: string): string | undefined {
  for (const folder of userFolders(machine)) {
    const file = runnable(machine, pathsOf(machine).join(folder, name));
    if (file !== undefined) {
      return file;
    }
  }
  return undefined;
}

function onPath(machine: Machine, name: string, barred: readonly string[]): string | undefined {
  const path = pathsOf(machine);
  const value = machine.env.PATH ?? machine.env.Path ?? "";
  for (const folder of value.split(path.delimiter)) {
    // A relative entry means the folder that is open in the editor.
    if (path.isAbsolute(folder) && allowed(machine, folder, barred)) {
      const file = runnable(machine, path.join(folder, name));
      if (file !== undefined) {
        return file;
      }
    }
  }
  return undefined;
}

function runnable(machine: Machine, file: string): string | undefined {
  // No .cmd and .bat: they need a shell, and pip, pipx and uv make an .exe.
  const names = machine.platform === "win32" && !/\.(exe|com)$/i.test(file) ? [`${file}.exe`] : [file];
  return names.find((name) => machine.isExecutable(name));
}

function allowed(machine: Machine, folder: string, barred: readonly string[]): boolean {
  const path = pathsOf(machine);
  return !barred.some((root) => {
    const relative = path.relative(root, folder);
    return relative === "" || (!relative.startsWith("..") && !path.isAbsolute(relative));
  });
}

function pathsOf(machine: Machine): PlatformPath {
  return machine.platform === "win32" ? win32 : posix;
}
