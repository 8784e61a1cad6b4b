/** Ids of our commands. The server's own are `egate.*`; the language client registers those, so these differ. */
export const COMMAND = {
  menu: "egate-lsp.menu",
  toggle: "egate-lsp.toggle",
  toggleLanguage: "egate-lsp.toggleLanguage",
  trigger: "egate-lsp.trigger",
  explain: "egate-lsp.explain",
  pauseTarget: "egate-lsp.pauseTarget",
  pickModel: "egate-lsp.pickModel",
  fetchModel: "egate-lsp.fetchModel",
  setApiKey: "egate-lsp.setApiKey",
  clearApiKey: "egate-lsp.clearApiKey",
  restart: "egate-lsp.restart",
  openLog: "egate-lsp.openLog",
  statistics: "egate-lsp.statistics",
  walkthrough: "egate-lsp.walkthrough",
  /** Desktop only. */
  install: "egate-lsp.install",
  /** Browser only. */
  connect: "egate-lsp.connect",
} as const;
