/** The commands about what the user's devices share: mutes, drafts, settings. */
import type { UserSettings } from '../sdk/mod.ts';
import { type Command, type CommandSession, invalid, settled } from './command.ts';
import { toSettingsLine } from './printer.ts';

const HOUR_MS = 3_600_000;
const LEVELS: readonly string[] = ['everybody', 'rooms', 'nobody'] satisfies UserSettings['last_seen'][];

export const SELF_COMMANDS = {
  mute: {
    usage: '/mute [HOURS]',
    help: 'want no notifications of the conversation, for good or for HOURS',
    async run(session, argument) {
      const hours = argument.trim();
      if (!/^\d{0,6}$/.test(hours)) throw invalid('/mute needs a number of HOURS, or nothing.');
      const untilMs = hours === '' ? Number.MAX_SAFE_INTEGER : Date.now() + Number(hours) * HOUR_MS;
      await mute(session, untilMs);
    },
  },
  unmute: {
    usage: '/unmute',
    help: 'want them again',
    run: (session) => mute(session, 0),
  },
  draft: {
    usage: '/draft [TEXT]',
    help: 'keep TEXT for later, on all your devices; without TEXT, nothing',
    async run(session, argument) {
      const conversation = await settled(session);
      const { text, atMs } = await session.client.saveDraft(conversation, argument);
      session.printer.print({ event: 'draft', conversation, text, at: new Date(atMs).toISOString() });
    },
  },
  drafts: {
    usage: '/drafts',
    help: 'show your drafts, mutes and settings',
    async run({ client, printer, settle }) {
      await settle();
      const { mutes, drafts, settings } = await client.self();
      for (const { conversation, text, atMs } of drafts)
        printer.print({ event: 'draft', conversation, text, at: new Date(atMs).toISOString() });
      for (const { conversation, untilMs: until_ms } of mutes)
        printer.print({ event: 'mute', conversation, until_ms });
      if (settings !== undefined) printer.print({ event: 'settings', ...toSettingsLine(settings) });
    },
  },
  invisible: {
    usage: '/invisible on|off',
    help: 'show the others that you are offline, or not',
    run: (session, argument) => set(session, { invisible: isOn(argument, '/invisible') }),
  },
  receipts: {
    usage: '/receipts on|off',
    help: 'let others see what you have received and read, and see what they have, or neither',
    run: (session, argument) => set(session, { receipts: isOn(argument, '/receipts') }),
  },
  lastseen: {
    usage: '/lastseen everybody|rooms|nobody',
    help: 'choose who may see when you were last online: all, who is in a room with you, or nobody',
    async run(session, argument) {
      const level = argument.trim();
      if (!LEVELS.includes(level)) throw invalid('/lastseen needs everybody, rooms or nobody.');
      await set(session, { last_seen: level as UserSettings['last_seen'] });
    },
  },
} satisfies Record<string, Command>;

async function mute(session: CommandSession, untilMs: number): Promise<void> {
  const conversation = await settled(session);
  await session.client.mute(conversation, untilMs);
  session.printer.print({ event: 'mute', conversation, until_ms: untilMs });
}

async function set(
  { client, settle, showSettings }: CommandSession,
  changes: Partial<UserSettings>,
): Promise<void> {
  await settle();
  showSettings(await client.setSettings(changes));
}

function isOn(argument: string, command: string): boolean {
  const word = argument.trim();
  if (word !== 'on' && word !== 'off') throw invalid(`${command} needs on or off.`);
  return word === 'on';
}
