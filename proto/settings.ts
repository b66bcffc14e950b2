/** The settings of a user that all clients share: names, values and defaults. Pure and browser-safe. */

/** Who may know when a user was last online; whoever hides it from others is not told of theirs. */
export const LAST_SEEN_LEVELS = ['everybody', 'rooms', 'nobody'] as const;
export type LastSeenLevel = (typeof LAST_SEEN_LEVELS)[number];

/** mentions: of direct conversations too. */
export const NOTIFICATION_LEVELS = ['all', 'mentions', 'none'] as const;
export type NotificationLevel = (typeof NOTIFICATION_LEVELS)[number];

/** Longest JSON of a text, characters. */
const MAX_TEXT_JSON = 4096;
/** Control, unassigned and private-use characters, line separators, and those that change the direction of text. */
const UNSHOWN = /[\p{Cc}\p{Cn}\p{Co}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;
/** Most characters of a status text. */
export const MAX_STATUS_TEXT = 100;
const STATUS_TEXT = new RegExp(`^.{0,${MAX_STATUS_TEXT}}$`, 'u');

/** Settings by name, as they are stored, sent as JSON values and named over HTTP. */
export interface UserSettings {
  /** 'rooms': who is in a room with the user. @default 'everybody' */
  readonly last_seen: LastSeenLevel;
  /** Whether others are shown the user as offline. @default false */
  readonly invisible: boolean;
  /** Whether others may know what the user has received and read, and the user what they have. @default true */
  readonly receipts: boolean;
  /** What the user is notified of where nothing else is said: a conversation's mute. @default 'all' */
  readonly notifications: NotificationLevel;
  /** Language of what the server writes for the user, a BCP 47 tag; empty: that of the client. @default '' */
  readonly language: string;
  /** What the user says of themselves. @default '' */
  readonly status_text: string;
}

export type SettingName = keyof UserSettings;

/** The accepted values of each setting that has a few; the first is the default. */
export const SETTINGS = {
  last_seen: LAST_SEEN_LEVELS,
  invisible: [false, true],
  receipts: [true, false],
  notifications: NOTIFICATION_LEVELS,
} as const satisfies { readonly [Name in Exclude<SettingName, TextSetting>]: readonly UserSettings[Name][] };

/** Settings that are texts, with what each must be. Empty is the default. */
export const TEXT_SETTINGS = {
  language: { expected: 'a language tag such as "de" or "pt-BR", or ""', accepts: isLanguage },
  status_text: {
    expected: `text of at most ${MAX_STATUS_TEXT} characters without control or direction characters`,
    accepts: isStatusText,
  },
} as const;
type TextSetting = 'language' | 'status_text';

export const DEFAULT_SETTINGS: UserSettings = Object.freeze({
  last_seen: SETTINGS.last_seen[0],
  invisible: SETTINGS.invisible[0],
  receipts: SETTINGS.receipts[0],
  notifications: SETTINGS.notifications[0],
  language: '',
  status_text: '',
});

export const SETTING_NAMES = Object.keys(DEFAULT_SETTINGS) as readonly SettingName[];

export function isSettingName(name: string): name is SettingName {
  return Object.hasOwn(DEFAULT_SETTINGS, name);
}

/** Says what the value of a setting must be. */
export function expectedOf(name: SettingName): string {
  if (isTextSetting(name)) return TEXT_SETTINGS[name].expected;
  return SETTINGS[name].map((each) => JSON.stringify(each)).join(' or ');
}

/** Returns a value of a setting from its JSON text; undefined if it is none. */
export function parseSetting(name: SettingName, json: string): UserSettings[SettingName] | undefined {
  if (isTextSetting(name)) {
    const text = parseText(json);
    return text !== undefined && TEXT_SETTINGS[name].accepts(text) ? text : undefined;
  }
  const values: readonly UserSettings[SettingName][] = SETTINGS[name];
  return values.find((value) => JSON.stringify(value) === json);
}

function isTextSetting(name: SettingName): name is TextSetting {
  return Object.hasOwn(TEXT_SETTINGS, name);
}

function parseText(json: string): string | undefined {
  if (json.length > MAX_TEXT_JSON) return undefined;
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'string' ? value : undefined;
  } catch {
    // What is no JSON is no value either.
    return undefined;
  }
}

function isLanguage(text: string): boolean {
  return text === '' || (text.length <= 35 && /^[a-z]{2,3}(-[a-z0-9]{1,8})*$/i.test(text));
}

function isStatusText(text: string): boolean {
  return STATUS_TEXT.test(text) && text.isWellFormed() && !UNSHOWN.test(text);
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
