// Bundles the extension, `node esbuild.mjs [--watch]`, or its tests, `node esbuild.mjs --tests`.
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as esbuild from "esbuild";

const root = import.meta.dirname;
const shared = { absWorkingDir: root, bundle: true, format: "cjs", target: "es2022", legalComments: "none", logLevel: "info" };

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

/** The licences of the packages that went into the bundles, which ask to be passed on. */
function notices(inputs) {
  const names = new Set(inputs.map((file) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1]).filter(Boolean));
  return [...names]
    .sort()
    .map((name) => {
      const folder = join(root, "node_modules", name);
      const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
      const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
      if (file === undefined || !existsSync(join(folder, file))) {
        throw new Error(`${name} ${version} goes into the bundle and has no licence file`);
      }
      return `${name} ${version}\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
    })
    .join(`\n${"-".repeat(80)}\n\n`);
}

if (process.argv.includes("--tests")) {
  await esbuild.build(tests());
} else if (process.argv.includes("--watch")) {
  for (const options of extension) {
    await (await esbuild.context({ ...options, minify: false })).watch();
  }
} else {
  rmSync(join(root, "dist"), { recursive: true, force: true });
  const built = await Promise.all(extension.map((options) => esbuild.build({ ...options, metafile: true })));
  writeFileSync(join(root, "dist", "THIRD-PARTY.txt"), notices(built.flatMap(({ metafile }) => Object.keys(metafile.inputs))));
}
