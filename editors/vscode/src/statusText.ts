/** What the status bar item shows. Pure: no VS Code in it. */

import { COMMAND } from "./commandIds";
import type { Status, Usage } from "./protocol";

/** The server cannot be reached or started. */
export interface Absent {
  state: "absent";
  reason: string;
  hint: string;
  /** The one action that mends it. */
  remedy: { title: string; command: string } | undefined;
}

export type Shown = Status | Absent;

export interface Presentation {
  text: string;
  /** Markdown. */
  tooltip: string;
  severity: "none" | "warning" | "error";
  /** For screen readers. */
  label: string;
}

const REASON_CHARS = 40;

/**
 * @param language the active editor's, if there is one
 */
export function present(shown: Shown, language: string | undefined): Presentation {
  const [icon, words, severity] = headline(shown, language);
  const figures = shown.state !== "absent" && severity === "none" ? summary(shown.today) : "";
  const rest = [words, figures].filter((part) => part !== "").join(" · ");
  return {
    text: `${icon} egate${rest === "" ? "" : `${words === "" ? "" : ":"} ${rest}`}`,
    tooltip: tooltip(shown, language),
    severity,
    label: `egate-lsp, ${rest === "" ? "ready" : rest}`,
  };
}

function headline(shown: Shown, language: string | undefined): [string, string, Presentation["severity"]] {
  switch (shown.state) {
    case "absent":
      return ["$(warning)", clipped(shown.reason), "warning"];
    case "error":
      return ["$(error)", clipped(shown.reason), "error"];
    case "starting":
      return ["$(loading~spin)", "starting", "none"];
    case "fetching":
      return ["$(cloud-download)", `fetching the model${percent(shown.progress)}`, "none"];
    case "loading":
      return ["$(loading~spin)", `loading${percent(shown.progress)}`, "none"];
    case "off":
      return ["$(circle-slash)", "off", "none"];
    default:
  }
  if (!shown.enabled) {
    return ["$(circle-slash)", "off", "none"];
  }
  if (language !== undefined && shown.languagesOff.includes(language)) {
    return ["$(circle-slash)", `off for ${language}`, "none"];
  }
  if (shown.targetPaused || shown.state === "paused") {
    return ["$(debug-pause)", shown.target === null || shown.targetPaused ? "local only" : "target paused", "none"];
  }
  if (shown.state === "asking-target") {
    return ["$(sync~spin)", `asking ${shown.target ?? "the target"}`, "none"];
  }
  // "working" looks like "ready": an item that changes at each key is a nuisance.
  return ["$(sparkle)", "", "none"];
}

/** Today's share, tokens and cost; empty as long as nothing was sent to a target. */
function summary(today: Usage | null): string {
  if (today === null || today.requests === 0) {
    return "";
  }
  const parts = [`${Math.round(today.share * 100)} %`, `${amount(today.tokensIn + today.tokensOut)} tok`];
  if (today.cost !== null) {
    parts.push(`${today.estimated ? "~" : ""}${money(today.cost, today.currency)}`);
  }
  return parts.join(" · ");
}

function tooltip(shown: Shown, language: string | undefined): string {
  const lines: string[] = [];
  if (shown.state === "absent") {
    lines.push("**egate-lsp**", escaped(shown.reason), escaped(shown.hint));
    if (shown.remedy !== undefined) {
      lines.push(link(shown.remedy.title, shown.remedy.command));
    }
    lines.push(link("Restart", COMMAND.restart), link("Open log", COMMAND.openLog));
    return lines.filter((line) => line !== "").join("\n\n");
  }
  lines.push(`**egate-lsp** — ${escaped(state(shown))}`);
  if (shown.reason !== "") {
    lines.push(escaped(shown.reason));
  }
  if (shown.hint !== "") {
    lines.push(escaped(shown.hint));
  }
  const target = shown.target ?? "none: nothing leaves this machine";
  lines.push(`Draft: ${escaped(shown.model)}  \nTarget: ${escaped(target)}${shown.targetPaused ? " (paused)" : ""}`);
  if (shown.today !== null) {
    lines.push(day(shown.today));
  }
  const actions = [link(shown.enabled ? "Turn off" : "Turn on", COMMAND.toggle)];
  if (language !== undefined) {
    const off = shown.languagesOff.includes(language);
    actions.push(link(`Turn ${off ? "on" : "off"} for ${language}`, COMMAND.toggleLanguage));
  }
  if (shown.target !== null) {
    actions.push(link(shown.targetPaused ? "Use the target again" : "Local only", COMMAND.pauseTarget));
  }
  lines.push("---", actions.join(" · "));
  lines.push(
    [
      link("Why this suggestion", COMMAND.explain),
      link("Pick model", COMMAND.pickModel),
      link("Statistics", COMMAND.statistics),
      link("Restart", COMMAND.restart),
      link("Open log", COMMAND.openLog),
    ].join(" · "),
  );
  return lines.join("\n\n");
}

function state(status: Status): string {
  if (!status.enabled) {
    return "off";
  }
  switch (status.state) {
    case "asking-target":
      return `asking ${status.target ?? "the target"}`;
    case "fetching":
      return `fetching the model${percent(status.progress)}`;
    case "loading":
      return `loading the model${percent(status.progress)}`;
    default:
      return status.state;
  }
}

function day(today: Usage): string {
  const tokens = `${amount(today.tokensIn)} tokens out, ${amount(today.tokensOut)} back`;
  const cost = today.cost === null ? "" : `, ${today.estimated ? "about " : ""}${money(today.cost, today.currency)}`;
  const cap = today.cap === null ? "" : ` of ${money(today.cap, today.currency)}`;
  const share = `${today.linesTarget} of ${today.lines} lines by the target (${Math.round(today.share * 100)} %)`;
  const warning = today.warning === "" ? "" : `  \n${escaped(today.warning)}`;
  return `Today: ${share}  \n${today.requests} requests, ${tokens}${cost}${cap}${warning}`;
}

/** A whole number as people read it: 950, 3.2k, 1.4M. */
export function amount(value: number): string {
  if (value < 1000) {
    return String(Math.round(value));
  }
  const [scaled, unit] = value < 999_500 ? [value / 1000, "k"] : [value / 1_000_000, "M"];
  return `${scaled < 9.95 ? scaled.toFixed(1) : Math.round(scaled)}${unit}`;
}

/** Two digits of small sums too: a target's line costs hundredths of a cent. */
export function money(value: number, currency: string): string {
  const digits = value === 0 || value >= 0.1 ? 2 : Math.min(6, 1 - Math.floor(Math.log10(value)));
  return currency === "USD" ? `$${value.toFixed(digits)}` : `${value.toFixed(digits)} ${currency}`;
}

function percent(progress: number | null): string {
  return progress === null ? "" : ` ${Math.round(progress * 100)} %`;
}

function clipped(text: string): string {
  const [sentence = ""] = text.split("\n");
  // `$(name)` in a status bar item is an icon.
  const plain = sentence.replaceAll("$(", "$ (").replace(/\.$/, "");
  return plain.length <= REASON_CHARS ? plain : `${plain.slice(0, REASON_CHARS - 1)}…`;
}

function link(title: string, command: string): string {
  return `[${escaped(title)}](command:${command})`;
}

/** A text of the server's in Markdown: no link, icon or markup may come of it. */
export function escaped(text: string): string {
  return text.replace(/[\\`*_{}[\]()#+\-.!|~<>$&]/g, "\\$&").replace(/\s*\n\s*/g, " ");
}
