/** Schemas of what the devices of a user share. */
import { z } from 'zod';
import { MAX_STATUS_TEXT, type SettingName, SETTINGS, type UserSettings } from '../../proto/mod.ts';
import { After, At, AtMs, ChangeHeaders, Count, Id, limit, Next } from './basic.ts';

export const SelfQuery = z.object({ after: After, limit: limit(1000, 500) });

export const Draft = z
  .object({ conversation: Id, text: z.string(), at: At, at_ms: AtMs })
  .describe('A text that the user has begun to write');

export const DraftBody = z.object({
  text: z.string().max(4096).describe('At most 4096 bytes of UTF-8; empty: there is none any more'),
});

export const MuteBody = z
  .object({
    until_ms: z
      .int()
      .min(1)
      .max(Number.MAX_SAFE_INTEGER)
      .optional()
      .describe('Unix time in ms until which it is muted; absent: for good'),
  })
  .nullish();

const settings = {
  last_seen: z
    .enum(SETTINGS.last_seen)
    .describe('Who may know when the user was last online; rooms: who is in a room with the user'),
  invisible: z.boolean().describe('Others are shown that the user is offline'),
  receipts: z
    .boolean()
    .describe('Others may know what the user has received and read, and the user what they have'),
  notifications: z
    .enum(SETTINGS.notifications)
    .describe('What the user is notified of; mentions: of direct conversations too'),
  language: z
    .string()
    .max(35)
    .describe('Language of what the server writes for the user, a BCP 47 tag; empty: that of the client'),
  status_text: z
    .string()
    .max(2 * MAX_STATUS_TEXT)
    .describe(`At most ${MAX_STATUS_TEXT} characters`),
} satisfies { readonly [Name in SettingName]: z.ZodType<UserSettings[Name]> };

/** All settings of a user: those of proto/settings.ts. */
export const Settings = z
  .object({ version: Count.describe('Grows with each change'), ...settings })
  .describe('The settings');

/** Changes of settings. Strict, so that a misspelled name is not dropped in silence. */
export const SettingsChanges = z.strictObject(settings).partial();

/** Loose: the other headers stay. */
export const IfMatchHeaders = ChangeHeaders.extend({
  'if-match': z
    .string()
    .max(64)
    .optional()
    .describe('ETag of the settings that are to be changed; other settings are left alone'),
});

export const SelfAnswer = z
  .object({
    reads: z
      .array(z.object({ conversation: Id, read_seq: Count, read_epoch: Count }))
      .describe('Read cursors, ascending by conversation'),
    mutes: z.array(z.object({ conversation: Id, until_ms: Count })),
    drafts: z.array(Draft),
    settings: Settings.optional(),
    next: Next,
  })
  .describe('What the devices of the caller share');
