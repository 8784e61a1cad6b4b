/** Pages for the webview. Pure. No script runs in them, and nothing is fetched. */

import { amount, money } from "./statusText";
import type { Statistics } from "./protocol";

const POLICY = `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">`;

/**
 * The server's page made fit for the webview: under our policy whatever its own is, and in the editor's light or dark
 * colours, not the operating system's.
 */
export function sealed(page: string, dark: boolean): string {
  const scheme = dark ? "all" : "not all";
  const themed = page.replaceAll("@media (prefers-color-scheme: dark)", `@media ${scheme}`);
  const style = `<style>:root { color-scheme: ${dark ? "dark" : "light"} !important; }</style>`;
  return /<head>/i.test(themed)
    ? themed.replace(/<head>/i, (head) => `${head}${POLICY}`).replace(/<\/head>/i, (end) => `${style}${end}`)
    : `<!DOCTYPE html><html><head>${POLICY}${style}</head><body>${themed}</body></html>`;
}

/** Today's and this session's figures as a table. */
export function statisticsPage(statistics: Statistics): string {
  const today = statistics.today;
  const rows: [string, string][] =
    today === null
      ? []
      : [
          ["Lines suggested", String(today.lines)],
          ["of these by the target", `${today.linesTarget} (${Math.round(today.share * 100)} %)`],
          ["Requests to the target", String(today.requests)],
          ["Tokens sent", amount(today.tokensIn)],
          ["Tokens received", amount(today.tokensOut)],
          ["Cost", today.cost === null ? "unknown: no prices are set" : cost(today.cost, today)],
          ...(today.warning === "" ? [] : ([["Warning", today.warning]] as [string, string][])),
        ];
  const session = flattened(statistics.session).map(([name, value]): [string, string] => [spaced(name), value]);
  return `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">${POLICY}<title>egate-lsp: statistics</title>
<style>
body { font-family: var(--vscode-font-family); color: var(--vscode-foreground); padding: 0 1rem 2rem; }
table { border-collapse: collapse; min-width: 24rem; }
th, td { text-align: left; padding: .25rem 2rem .25rem 0; border-bottom: 1px solid var(--vscode-widget-border, #8884); }
th { font-weight: normal; } td { font-variant-numeric: tabular-nums; }
</style></head><body>
${section(today === null ? "Today" : `Today, ${today.day}`, rows)}
${section("Since the server started", session)}
</body></html>`;
}

function cost(value: number, today: { estimated: boolean; currency: string; cap: number | null }): string {
  const cap = today.cap === null ? "" : ` of ${money(today.cap, today.currency)}`;
  return `${today.estimated ? "about " : ""}${money(value, today.currency)}${cap}`;
}

function section(title: string, rows: [string, string][]): string {
  const body = rows.map(([name, value]) => `<tr><th scope="row">${html(name)}</th><td>${html(value)}</td></tr>`);
  const content = rows.length === 0 ? "<p>Nothing yet.</p>" : `<table>${body.join("\n")}</table>`;
  return `<h2>${html(title)}</h2>\n${content}`;
}

function flattened(value: Record<string, unknown>, prefix = ""): [string, string][] {
  return Object.entries(value).flatMap(([name, inner]): [string, string][] => {
    const full = prefix === "" ? name : `${prefix}: ${name}`;
    if (typeof inner === "object" && inner !== null && !Array.isArray(inner)) {
      return flattened(inner as Record<string, unknown>, full);
    }
    if (typeof inner === "number") {
      return [[full, Number.isInteger(inner) ? String(inner) : inner.toFixed(3)]];
    }
    return typeof inner === "string" || typeof inner === "boolean" ? [[full, String(inner)]] : [];
  });
}

function spaced(name: string): string {
  return name.replaceAll("_", " ").replace(/([a-z])([A-Z])/g, (_all, low: string, high: string) => `${low} ${high.toLowerCase()}`);
}

function html(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
