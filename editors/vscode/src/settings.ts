/**
 * What of VS Code's settings goes to the server. Pure: it is given the result of `inspect`.
 *
 * Only what the user wrote is sent, never a default: the server lays the editor's settings over the user's file, and a
 * default of ours would win over what stands there. What a workspace says is passed over, though VS Code does not let a
 * workspace set them either: where text is sent, and with which key, is not for a cloned folder to decide.
 */

/** The part of `WorkspaceConfiguration.inspect`'s result that is looked at. */
export interface Inspected {
  globalValue?: unknown;
  workspaceValue?: unknown;
  workspaceFolderValue?: unknown;
}

/** The value of a setting as the user has it, or undefined. */
export function userValue(inspected: Inspected | undefined): unknown {
  return inspected?.globalValue;
}

/**
 * The server's settings as a tree, such as `{ gate: { deferralRate: 0.3 } }`.
 *
 * @param keys the dotted names without "egate."
 * @param apiKey of the secret store; wins over one in a settings file
 */
export function collect(
  keys: readonly string[],
  inspect: (key: string) => Inspected | undefined,
  apiKey: string | undefined,
): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const key of keys) {
    const value = userValue(inspect(key));
    if (value !== undefined) {
      put(result, key.split("."), value);
    }
  }
  if (apiKey !== undefined && apiKey !== "") {
    put(result, ["target", "apiKey"], apiKey);
  }
  return result;
}

function put(tree: Record<string, unknown>, path: string[], value: unknown): void {
  const [head = "", ...rest] = path;
  if (rest.length === 0) {
    tree[head] = value;
    return;
  }
  const inner = tree[head];
  const next = typeof inner === "object" && inner !== null ? (inner as Record<string, unknown>) : {};
  tree[head] = next;
  put(next, rest, value);
}

/** Names of the extension's own settings; all others in package.json are the server's. */
export const OWN = ["command", "serverAddress", "enable", "disabledLanguages"] as const;

/** The server's settings among those that package.json declares, without "egate.". */
export function serverKeys(declared: readonly string[]): string[] {
  const own = new Set<string>(OWN);
  return declared
    .filter((key) => key.startsWith("egate."))
    .map((key) => key.slice("egate.".length))
    .filter((key) => !own.has(key));
}

export interface Switches {
  enabled: boolean;
  languagesOff: string[];
}

/** On or off. A workspace can turn suggestions off, not on. */
export function switches(enable: Inspected | undefined, languages: Inspected | undefined): Switches {
  const levels = [enable?.globalValue, enable?.workspaceValue, enable?.workspaceFolderValue];
  const names = [languages?.globalValue, languages?.workspaceValue, languages?.workspaceFolderValue]
    .flatMap((value) => (Array.isArray(value) ? (value as unknown[]) : []))
    .filter((name): name is string => typeof name === "string");
  return { enabled: !levels.includes(false), languagesOff: [...new Set(names)].sort() };
}
