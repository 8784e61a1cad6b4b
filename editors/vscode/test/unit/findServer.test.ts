import assert from "node:assert/strict";
import { test } from "node:test";
import { findInstaller, findServer, type Machine, type Wishes } from "../../src/findServer";

function linux(files: string[], env: Record<string, string> = {}): Machine {
  return machine("linux", "/home/me", files, env);
}

function machine(platform: NodeJS.Platform, home: string, files: string[], env: Record<string, string>): Machine {
  const separator = platform === "win32" ? "\\" : "/";
  return {
    platform,
    env,
    home,
    isExecutable: (file) => files.includes(file),
    list: (folder) => [
      ...new Set(
        files.filter((file) => file.startsWith(folder + separator)).map((file) => file.slice(folder.length + 1).split(separator)[0] ?? ""),
      ),
    ],
  };
}

const NOTHING: Wishes = { command: undefined, python: undefined, barred: [] };

function where(on: Machine, wishes: Partial<Wishes> = {}): string {
  const found = findServer(on, { ...NOTHING, ...wishes });
  return "command" in found ? [found.command, ...found.args].join(" ") : `none: ${found.reason}`;
}

const EVERYWHERE = ["/set/egate-lsp", "/venv/bin/egate-lsp", "/act/bin/egate-lsp", "/home/me/.local/bin/egate-lsp", "/usr/bin/egate-lsp"];

test("setting, active Python, VIRTUAL_ENV, the user's tools, PATH: in this order", () => {
  const env = { VIRTUAL_ENV: "/venv", PATH: "/usr/bin" };
  const python = "/act/bin/python";
  const files = [...EVERYWHERE];
  const order: string[] = [];
  for (;;) {
    const command = files.includes("/set/egate-lsp") ? "/set/egate-lsp" : undefined;
    const found = where(linux(files, env), { command, python });
    if (found.startsWith("none")) {
      break;
    }
    order.push(found);
    files.splice(files.indexOf(found), 1);
  }
  assert.deepEqual(order, ["/set/egate-lsp", "/act/bin/egate-lsp", "/venv/bin/egate-lsp", "/home/me/.local/bin/egate-lsp", "/usr/bin/egate-lsp"]);
});

test("a conda environment by its variable", () => {
  assert.equal(where(linux(["/c/bin/egate-lsp"], { CONDA_PREFIX: "/c" })), "/c/bin/egate-lsp");
});

test("pipx and uv may have folders of their own", () => {
  assert.equal(where(linux(["/t/egate-lsp"], { UV_TOOL_BIN_DIR: "/t" })), "/t/egate-lsp");
  assert.equal(where(linux(["/t/egate-lsp"], { PIPX_BIN_DIR: "/t" })), "/t/egate-lsp");
});

test("the setting: a name on the PATH, a home, a list with arguments", () => {
  const on = linux(["/usr/bin/uv", "/home/me/e/egate-lsp"], { PATH: "/bin:/usr/bin" });
  assert.equal(where(on, { command: ["uv", "run", "egate-lsp"] }), "/usr/bin/uv run egate-lsp");
  assert.equal(where(on, { command: "~/e/egate-lsp" }), "/home/me/e/egate-lsp");
});

test("a setting that is wrong is named, and nothing else is started in its place", () => {
  assert.match(where(linux(EVERYWHERE, { PATH: "/usr/bin" }), { command: "/gone/egate-lsp" }), /none: .*\/gone\/egate-lsp/);
  assert.match(where(linux(EVERYWHERE), { command: 7 }), /none: The setting egate.command/);
});

test("relative entries of the PATH are the open folder's, and are passed over", () => {
  assert.match(where(linux(["bin/egate-lsp", "./egate-lsp"], { PATH: "bin:.:" })), /^none/);
});

test("a workspace that is not trusted provides no program", () => {
  const on = linux(["/w/.venv/bin/egate-lsp"], { VIRTUAL_ENV: "/w/.venv", PATH: "/w/.venv/bin" });
  assert.equal(where(on), "/w/.venv/bin/egate-lsp");
  assert.match(where(on, { barred: ["/w"] }), /^none/);
  assert.equal(where(linux(["/work/bin/egate-lsp"], { PATH: "/work/bin" }), { barred: ["/w"] }), "/work/bin/egate-lsp");
});

test("Windows: Scripts, .exe, the folder of pip --user with the newest Python first", () => {
  const home = "C:\\Users\\me";
  const env = { Path: "C:\\bin", APPDATA: "C:\\Users\\me\\AppData\\Roaming" };
  const on = (...files: string[]): Machine => machine("win32", home, files, env);
  const user = (version: string): string => `C:\\Users\\me\\AppData\\Roaming\\Python\\${version}\\Scripts\\egate-lsp.exe`;
  assert.equal(where(on("C:\\bin\\egate-lsp.exe")), "C:\\bin\\egate-lsp.exe");
  assert.equal(where(on(user("Python39"), user("Python311"))), user("Python311"));
  assert.equal(where(on("C:\\p\\Scripts\\egate-lsp.exe"), { python: "C:\\p\\python.exe" }), "C:\\p\\Scripts\\egate-lsp.exe");
  assert.match(where(on("C:\\bin\\egate-lsp.cmd")), /^none/);
});

test("macOS: pip --user", () => {
  const file = "/Users/me/Library/Python/3.12/bin/egate-lsp";
  assert.equal(where(machine("darwin", "/Users/me", [file], {})), file);
});

test("the installer: uv, pipx, or pip", () => {
  const env = { PATH: "/usr/bin" };
  const all = ["/usr/bin/uv", "/usr/bin/pipx", "/usr/bin/python3"];
  const said = (files: string[]): string | undefined => {
    const found = findInstaller(linux(files, env), []);
    return found && [found.command, ...found.args].join(" ");
  };
  assert.equal(said(all), "/usr/bin/uv tool install egate-lsp");
  assert.equal(said(all.slice(1)), "/usr/bin/pipx install egate-lsp");
  assert.equal(said(all.slice(2)), "/usr/bin/python3 -m pip install --user egate-lsp");
  assert.equal(said([]), undefined);
});
