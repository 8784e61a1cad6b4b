/** What egate-lsp says beyond LSP: the shapes of its own requests and notifications. Times are dates, costs dollars. */

export const VERSION = 1;

export const STATUS = "egate/status";
export const STATUS_CHANGED = "egate/statusChanged";
export const EXPLAIN = "egate/explain";
export const STATISTICS = "egate/statistics";
export const MODELS = "egate/models";
export const UPGRADED = "egate/upgraded";

/** The server's commands. The language client registers them, so the extension's own have another prefix. */
export const SERVER_COMMAND = {
  toggle: "egate.toggle",
  toggleLanguage: "egate.toggleLanguage",
  pauseTarget: "egate.pauseTarget",
  restart: "egate.restart",
  dismissed: "egate.dismissed",
} as const;

export type State =
  | "starting"
  | "fetching"
  | "loading"
  | "ready"
  | "working"
  | "asking-target"
  | "paused"
  | "error"
  | "off";

export interface Usage {
  day: string;
  lines: number;
  linesTarget: number;
  /** Of today's lines, those that the target wrote: 0 to 1. */
  share: number;
  requests: number;
  tokensIn: number;
  tokensOut: number;
  estimated: boolean;
  cost: number | null;
  currency: string;
  cap: number | null;
  warning: string;
}

export interface Status {
  state: State;
  reason: string;
  hint: string;
  model: string;
  target: string | null;
  /** 0 to 1 while fetching or loading. */
  progress: number | null;
  enabled: boolean;
  targetPaused: boolean;
  languagesOff: string[];
  logFile: string | null;
  today: Usage | null;
}

export interface ModelEntry {
  name: string;
  installed: boolean;
  active: boolean;
  bytes: number | null;
  license: string | null;
}

export interface Upgraded {
  textDocument: { uri: string };
  position: { line: number; character: number };
  id: string;
}

export interface Statistics {
  session: Record<string, unknown>;
  today: Usage | null;
}

/** A status with all its fields, from what a server of another version may have sent. */
export function completeStatus(given: Partial<Status>): Status {
  return {
    state: given.state ?? "starting",
    reason: given.reason ?? "",
    hint: given.hint ?? "",
    model: given.model ?? "",
    target: given.target ?? null,
    progress: given.progress ?? null,
    enabled: given.enabled ?? given.state !== "off",
    targetPaused: given.targetPaused ?? false,
    languagesOff: given.languagesOff ?? [],
    logFile: given.logFile ?? null,
    today: given.today ?? null,
  };
}
