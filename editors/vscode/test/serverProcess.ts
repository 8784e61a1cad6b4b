/** The real egate-lsp for tests: which Python has it, its settings, a draft by script, and a target that we hold back. */

import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { homedir, tmpdir } from "node:os";
import { join, resolve } from "node:path";

// The tests run as out/FOLDER/NAME.cjs.
export const EXTENSION = resolve(__dirname, "..", "..");
const REPOSITORY = resolve(EXTENSION, "..", "..");
export const PATIENCE_MS = 30_000;

/** A Python that can import egate_lsp, or why there is none. EGATE_PYTHON names one. */
export function python(): { file: string } | { missing: string } {
  const candidates = [process.env.EGATE_PYTHON, join(REPOSITORY, ".venv", "bin", "python"), "python3"];
  for (const file of candidates) {
    if (file !== undefined && spawnSync(file, ["-c", "import egate_lsp.server"], { cwd: REPOSITORY }).status === 0) {
      return { file };
    }
  }
  return { missing: "no Python here has egate_lsp: set EGATE_PYTHON, or pip install -e . in the repository" };
}

/** Is the real draft model on this machine? */
export function hasDraftModel(): boolean {
  const found = python();
  if ("missing" in found) {
    return false;
  }
  const args = ["-m", "egate_lsp", "models", "path", "qwen2.5-coder-0.5b"];
  const asked = spawnSync(found.file, args, { cwd: REPOSITORY, encoding: "utf8" });
  return asked.status === 0 && existsSync(asked.stdout.trim());
}

/** A rule of the scripted draft: after this end of the text come these tokens, each with its entropy in nats; and other
 * drafts that it finds when it is asked by hand. */
export type Rule = [after: string, tokens: Tokens, others?: Tokens[], delayS?: number];
export type Tokens = [text: string, nats: number][];

export class Folder {
  readonly path = mkdtempSync(join(tmpdir(), "egate-vscode-"));

  file(name: string, text = ""): string {
    const path = join(this.path, name);
    writeFileSync(path, text);
    return path;
  }

  /** Settings in the user's file, with a draft that follows the rules if some are given; the environment for it. */
  environment(rules: Rule[] | undefined, toml = ""): NodeJS.ProcessEnv {
    const script = rules?.map(([after, tokens, others = [], delay_s = 0]) => ({ after, tokens, others, delay_s }));
    const draft = script === undefined ? "" : `model = "scripted:${this.file("script.json", JSON.stringify(script))}"`;
    return {
      ...process.env,
      EGATE_LSP_CONFIG: this.file("config.toml", `[draft]\n${draft}\n${toml}`),
      PYTHONPATH: [process.env.PYTHONPATH, REPOSITORY].filter(Boolean).join(":"),
      XDG_STATE_HOME: join(this.path, "state"),
      XDG_DATA_HOME: join(this.path, "data"),
    };
  }

  remove(): void {
    // A server that was asked to exit may still be writing its state here: the editor does not wait for its end. With
    // `maxRetries` a folder is tried again, but not what was written to it meanwhile.
    for (let left = 100; ; left--) {
      try {
        rmSync(this.path, { recursive: true, force: true });
        return;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOTEMPTY" || left === 0) {
          throw error;
        }
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
      }
    }
  }
}

/** A running `egate-lsp serve --ws`. */
export class WsServer {
  private constructor(
    readonly process: ChildProcess,
    /** With the token. */
    readonly address: string,
  ) {}

  static async start(file: string, environment: NodeJS.ProcessEnv, log: string, port = 0): Promise<WsServer> {
    const args = ["-m", "egate_lsp", "serve", "--ws", "--port", String(port), "--token", "test-token", "--log-file", log];
    const child = spawn(file, args, { env: environment, cwd: homedir(), stdio: ["ignore", "ignore", "pipe"] });
    const address = await new Promise<string>((found, failed) => {
      let told = "";
      child.stderr.on("data", (data: Buffer) => {
        told += data.toString();
        const line = /ws:\/\/\S+/.exec(told);
        if (line !== null) {
          found(line[0]);
        }
      });
      child.on("exit", (code) => failed(new Error(`egate-lsp ended with ${code}: ${told}`)));
    });
    return new WsServer(child, address);
  }

  async stop(): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      const ended = new Promise((done) => this.process.once("exit", done));
      this.process.kill("SIGTERM");
      await ended;
    }
  }
}

/** An OpenAI-compatible target that answers when the test lets it. */
export class Target {
  readonly #waiting: ServerResponse[] = [];
  readonly #waiters: (() => void)[] = [];
  asked = 0;
  /** The last request's header. */
  authorization = "";

  private constructor(
    private readonly server: Server,
    private readonly text: string,
    private held: boolean,
  ) {}

  static async start(text: string, held: boolean): Promise<Target> {
    const server = createServer();
    const target = new Target(server, text, held);
    server.on("request", (request, response) => {
      request.resume();
      request.on("end", () => {
        target.asked += 1;
        target.authorization = request.headers.authorization ?? "";
        target.#waiting.push(response);
        target.#waiters.splice(0).forEach((wake) => wake());
        if (!target.held) {
          target.#answer();
        }
      });
    });
    await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
    return target;
  }

  get baseUrl(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/v1`;
  }

  /** The settings that make it the target. */
  get toml(): string {
    return `[target]\nbase_url = "${this.baseUrl}"\nmodel = "larger"\napi = "fim"\n`;
  }

  /** Waits until it has been asked. */
  async whenAsked(): Promise<void> {
    while (this.asked === 0) {
      await new Promise<void>((wake) => this.#waiters.push(wake));
    }
  }

  /** Answers what waits, and from now on at once. */
  release(): void {
    this.held = false;
    this.#answer();
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((closed) => this.server.close(closed));
  }

  #answer(): void {
    for (const response of this.#waiting.splice(0)) {
      const chunk = { id: "1", object: "text_completion", created: 1, model: "larger" };
      const choice = { index: 0, text: this.text, finish_reason: null, logprobs: null };
      const usage = { prompt_tokens: 100, completion_tokens: 10, total_tokens: 110 };
      const parts = [
        { ...chunk, choices: [choice] },
        { ...chunk, choices: [{ ...choice, text: "", finish_reason: "stop" }] },
        { ...chunk, choices: [], usage },
      ];
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.end(`${parts.map((part) => `data: ${JSON.stringify(part)}\n\n`).join("")}data: [DONE]\n\n`);
    }
  }
}

/** Where a model file can be fetched: it sends the first half, and the rest when the test lets it. */
export class Shop {
  readonly #held: (() => void)[] = [];
  #finished = false;

  private constructor(private readonly server: Server) {}

  static async start(file: Buffer): Promise<Shop> {
    const server = createServer();
    const shop = new Shop(server);
    server.on("request", (request, response) => {
      const [, from = "0"] = /bytes=(\d+)-/.exec(request.headers.range ?? "") ?? [];
      const rest = file.subarray(Number(from));
      const range = { "content-range": `bytes ${from}-${file.length - 1}/${file.length}` };
      response.writeHead(request.headers.range === undefined ? 200 : 206, {
        "content-length": rest.length,
        ...(request.headers.range === undefined ? {} : range),
      });
      if (request.method === "HEAD") {
        response.end();
        return;
      }
      const half = Math.floor(rest.length / 2);
      response.write(rest.subarray(0, half));
      const finish = (): void => void response.end(rest.subarray(half));
      if (shop.#finished) {
        finish();
      } else {
        shop.#held.push(finish);
      }
    });
    await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
    return shop;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  finish(): void {
    this.#finished = true;
    this.#held.splice(0).forEach((finish) => finish());
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((closed) => this.server.close(closed));
  }
}
