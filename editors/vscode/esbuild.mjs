// Bundles the extension, `node esbuild.mjs [--watch]`, or its tests, `node esbuild.mjs --tests`.
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import * as esbuild from "esbuild";

const root = import.meta.dirname;
const shared = { absWorkingDir: root, bundle: true, format: "cjs", target: "es2022", legalComments: "linked", logLevel: "info" };

/** The two outputs: for the desktop (and remotes), where processes can be started, and for a browser, where not. */
const extension = [
  { ...shared, entryPoints: ["src/desktop.ts"], outfile: "dist/desktop.js", platform: "node", external: ["vscode"], minify: true, sourcemap: "linked" },
  // The conditions choose vscode-languageclient's and vscode-jsonrpc's browser halves.
  { ...shared, entryPoints: ["src/web.ts"], outfile: "dist/web.js", platform: "browser", conditions: ["browser"], mainFields: ["browser", "module", "main"], external: ["vscode"], minify: true, sourcemap: "linked", define: { global: "globalThis" } },
];

function tests() {
  rmSync(join(root, "out"), { recursive: true, force: true });
  const entryPoints = ["unit", "server", "web"].flatMap((folder) =>
    readdirSync(join(root, "test", folder))
      .filter((name) => name.endsWith(".test.ts"))
      .map((name) => `test/${folder}/${name}`),
  );
  return {
    ...shared,
    entryPoints,
    outdir: "out",
    outbase: "test",
    outExtension: { ".js": ".cjs" },
    platform: "node",
    sourcemap: "inline",
    alias: { vscode: join(root, "test/fake/vscode.ts") },
    external: ["playwright-core"],
  };
}

if (process.argv.includes("--tests")) {
  await esbuild.build(tests());
} else if (process.argv.includes("--watch")) {
  for (const options of extension) {
    await (await esbuild.context({ ...options, minify: false })).watch();
  }
} else {
  rmSync(join(root, "dist"), { recursive: true, force: true });
  await Promise.all(extension.map((options) => esbuild.build(options)));
}
