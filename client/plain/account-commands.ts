/** The commands about the user's account: password, sessions, bots, closing, profile. */
import type { BotWithToken, NotificationLevel } from '../sdk/mod.ts';
import { type Command, type CommandSession, invalid } from './command.ts';
import { toSettingsLine } from './printer.ts';

const LEVELS: readonly string[] = ['all', 'mentions', 'none'] satisfies NotificationLevel[];

export const ACCOUNT_COMMANDS = {
  password: {
    usage: '/password OLD NEW',
    help: 'change the password; your other sessions end',
    async run({ client, printer }, argument) {
      const [, old, next] = /^(\S+)\s+(\S.*)$/su.exec(argument) ?? [];
      if (old === undefined || next === undefined)
        throw invalid('/password needs the OLD one and a NEW one.');
      await client.account.changePassword(old, next);
      printer.print({ event: 'password' });
    },
  },
  sessions: {
    usage: '/sessions',
    help: 'list where you are logged in',
    run: listSessions,
  },
  endsession: {
    usage: '/endsession ID',
    help: 'log out there',
    async run(session, argument) {
      await session.client.account.endSession(argument.trim());
      await listSessions(session);
    },
  },
  profile: {
    usage: '/profile',
    help: 'show your names and settings',
    async run({ client, printer, settle }) {
      await settle();
      const { settings } = await client.self();
      if (settings !== undefined) printer.print({ event: 'settings', ...toSettingsLine(settings) });
    },
  },
  about: {
    usage: '/about [TEXT]',
    help: 'say something about yourself, or nothing',
    run: (session, argument) => set(session, { status_text: argument.trim() }),
  },
  language: {
    usage: '/language [TAG]',
    help: 'choose the language of what the server writes for you, such as de',
    run: (session, argument) => set(session, { language: argument.trim() }),
  },
  notify: {
    usage: '/notify all|mentions|none',
    help: 'choose what you are notified of where a conversation is not muted',
    async run(session, argument) {
      const level = argument.trim();
      if (!LEVELS.includes(level)) throw invalid('/notify needs all, mentions or none.');
      await set(session, { notifications: level as NotificationLevel });
    },
  },
  bot: {
    usage: '/bot NAME [DISPLAY NAME]',
    help: 'make a bot; its token is shown once',
    async run({ client, printer }, argument) {
      const [, name = '', display = ''] = /^@?(\S*)\s*(.*)$/su.exec(argument) ?? [];
      if (name === '') throw invalid('/bot needs a NAME.');
      printer.print(toBotLine(await client.account.createBot(name, display)));
    },
  },
  'renew-bot': {
    usage: '/renew-bot NAME',
    help: 'make a new token for a bot of yours; the old one is void',
    async run({ client, printer }, argument) {
      const name = toName(argument);
      if (name === '') throw invalid('/renew-bot needs a NAME.');
      printer.print(toBotLine(await client.account.renewBotToken(name)));
    },
  },
  bots: {
    usage: '/bots',
    help: 'list your bots',
    async run({ client, printer }) {
      const bots = await client.account.bots();
      printer.print({
        event: 'bots',
        bots: bots.map(({ id, name, displayName: display_name }) => ({ id, name, display_name })),
      });
    },
  },
  'close-bot': {
    usage: '/close-bot NAME',
    help: 'close a bot of yours; its messages stay',
    async run({ client, printer }, argument) {
      const name = toName(argument);
      if (name === '') throw invalid('/close-bot needs a NAME.');
      await client.account.closeBot(name);
      printer.print({ event: 'closed', name });
    },
  },
  'delete-account': {
    usage: '/delete-account PASSWORD [--retract]',
    help: 'close your account for good; with --retract, take all of your messages back',
    async run({ client, printer }, argument) {
      const password = argument.replace(/ --retract\s*$/, '').trim();
      if (password === '') throw invalid('/delete-account needs your PASSWORD.');
      await client.account.close(password, / --retract\s*$/.test(argument));
      printer.print({ event: 'closed', name: null });
    },
  },
} satisfies Record<string, Command>;

function toName(argument: string): string {
  return argument.trim().replace(/^@/, '');
}

function toBotLine({ id, name, displayName: display_name, token }: BotWithToken) {
  return { event: 'bot', id, name, display_name, token } as const;
}

async function listSessions({ client, printer }: CommandSession): Promise<void> {
  const sessions = await client.account.sessions();
  const at = (ms: number) => new Date(ms).toISOString();
  printer.print({
    event: 'sessions',
    sessions: sessions.map(({ id, client: software, address, createdAtMs, usedAtMs, current }) => ({
      id,
      client: software,
      address,
      created_at: at(createdAtMs),
      used_at: at(usedAtMs),
      current,
    })),
  });
}

async function set(
  { client, settle, showSettings }: CommandSession,
  changes: Parameters<CommandSession['client']['setSettings']>[0],
): Promise<void> {
  await settle();
  showSettings(await client.setSettings(changes));
}
