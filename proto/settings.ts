/** The settings of a user that all clients share: names, values and defaults. Pure and browser-safe. */

/** Who may know when a user was last online; whoever hides it from others is not told of theirs. */
export const LAST_SEEN_LEVELS = ['everybody', 'rooms', 'nobody'] as const;
export type LastSeenLevel = (typeof LAST_SEEN_LEVELS)[number];

/** Settings by name, as they are stored, sent as JSON values and named over HTTP. */
export interface UserSettings {
  /** 'rooms': who is in a room with the user. @default 'everybody' */
  readonly last_seen: LastSeenLevel;
  /** Whether others are shown the user as offline. @default false */
  readonly invisible: boolean;
  /** Whether others may know what the user has received and read, and the user what they have. @default true */
  readonly receipts: boolean;
}

export type SettingName = keyof UserSettings;

/** The accepted values of each setting; the first is the default. */
export const SETTINGS = {
  last_seen: LAST_SEEN_LEVELS,
  invisible: [false, true],
  receipts: [true, false],
} as const satisfies { readonly [Name in SettingName]: readonly UserSettings[Name][] };

export const DEFAULT_SETTINGS: UserSettings = Object.freeze({
  last_seen: SETTINGS.last_seen[0],
  invisible: SETTINGS.invisible[0],
  receipts: SETTINGS.receipts[0],
});

export function isSettingName(name: string): name is SettingName {
  return Object.hasOwn(SETTINGS, name);
}

/** Returns a value of a setting from its JSON text; undefined if it is none. */
export function parseSetting(name: SettingName, json: string): UserSettings[SettingName] | undefined {
  const values: readonly UserSettings[SettingName][] = SETTINGS[name];
  return values.find((value) => JSON.stringify(value) === json);
}

/** Returns all settings: those that are given as JSON texts, the others with their defaults. Names that are none are left out. */
export function toUserSettings(
  given: Iterable<{ readonly name: string; readonly value: string }>,
): UserSettings {
  const known: Record<string, unknown> = {};
  for (const { name, value } of given) {
    const parsed = isSettingName(name) ? parseSetting(name, value) : undefined;
    if (parsed !== undefined) known[name] = parsed;
  }
  return { ...DEFAULT_SETTINGS, ...(known as Partial<UserSettings>) };
}
