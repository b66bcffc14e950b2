/** The commands about messages: reply, edit, retract, purge, pin. A message is named by its number. */
import type { GochatClient, Target } from '../sdk/mod.ts';
import { type Command, type CommandSession, invalid, settled } from './command.ts';
import { toListedPin } from './printer.ts';

/** Members looked at at once. */
const MEMBERS_PAGE = 1_000;

export const ENTRY_COMMANDS = {
  reply: {
    usage: '/reply N TEXT',
    help: 'answer message N, which is quoted',
    async run({ say }, argument) {
      const [, number, text = ''] = /^(\d+)\s+(.+)$/su.exec(argument) ?? [];
      if (number === undefined) throw invalid('/reply needs the number of a message, and a TEXT.');
      await say(text, { replyTo: Number(number) });
    },
  },
  edit: {
    usage: '/edit N|last TEXT',
    help: 'give your message N, or the last one that you said here, another text',
    async run(session, argument) {
      const [, which, text = ''] = /^(\d+|last)\s+(.+)$/su.exec(argument) ?? [];
      if (which === undefined) throw invalid('/edit needs the number of a message, or last, and a TEXT.');
      const target = targetOf(session, which);
      await session.send((conversation) => session.client.edit(conversation, target, text));
    },
  },
  retract: {
    usage: '/retract N|last [REASON]',
    help: 'take message N back, yours or, as a moderator, that of a member',
    async run(session, argument) {
      const [, which, reason = ''] = /^(\d+|last)(?:\s+(.+))?$/su.exec(argument.trim()) ?? [];
      if (which === undefined) throw invalid('/retract needs the number of a message, or last.');
      const target = targetOf(session, which);
      await session.send((conversation) => session.client.retract(conversation, target, { reason }));
    },
  },
  purge: {
    usage: '/purge USER FROM TO [REASON]',
    help: 'take all messages of USER, by name or id, with numbers from FROM to TO back',
    async run(session, argument) {
      const { client, send } = session;
      const [, user, from, to, reason = ''] =
        /^@?(\S+)\s+(\d+)\s+(\d+)(?:\s+(.+))?$/su.exec(argument.trim()) ?? [];
      if (user === undefined) throw invalid('/purge needs a USER and the numbers FROM and TO.');
      const sender = /^\d/.test(user) ? user : await memberId(client, await settled(session), user);
      const range = { sender, fromSeq: Number(from), toSeq: Number(to) };
      await send((conversation) => client.retractRange(conversation, range, { reason }));
    },
  },
  unread: {
    usage: '/unread N',
    help: 'have message N and what comes after it unread again, on all your devices',
    async run(session, argument) {
      const seq = numberOf(argument, '/unread');
      const conversation = await settled(session);
      const { readSeq, readEpoch, unread } = await session.client.markUnread(conversation, seq);
      session.printer.print({
        event: 'read',
        conversation,
        read_seq: readSeq,
        read_epoch: readEpoch,
        unread,
      });
    },
  },
  pin: {
    usage: '/pin N',
    help: 'pin message N',
    async run({ client, send }, argument) {
      const seq = numberOf(argument, '/pin');
      await send((conversation) => client.pin(conversation, seq));
    },
  },
  unpin: {
    usage: '/unpin N',
    help: 'unpin message N',
    async run({ client, send }, argument) {
      const seq = numberOf(argument, '/unpin');
      await send((conversation) => client.unpin(conversation, seq));
    },
  },
  pins: {
    usage: '/pins',
    help: 'show the pinned messages, the newest pin first',
    async run(session) {
      const conversation = await settled(session);
      const { pins, pinsVersion: pins_version } = await session.client.pins(conversation);
      session.printer.print({ event: 'pins', conversation, pins: pins.map(toListedPin), pins_version });
    },
  },
} satisfies Record<string, Command>;

function targetOf({ lastSaid }: CommandSession, which: string): Target {
  return which === 'last' ? lastSaid() : Number(which);
}

export function numberOf(argument: string, command: string): number {
  const text = argument.trim();
  if (!/^\d+$/.test(text)) throw invalid(`${command} needs the number of a message.`);
  return Number(text);
}

/** Returns the id of a member. @throws ClientError COMMAND_INVALID */
export async function memberId(client: GochatClient, conversation: string, name: string): Promise<string> {
  for (let after: string | undefined = ''; after !== undefined; ) {
    const page = await client.members(conversation, { after, limit: MEMBERS_PAGE });
    const member = page.members.find((each) => each.name === name);
    if (member !== undefined) return member.user;
    after = page.next;
  }
  throw invalid(`${name} is not a member; name who has left by id, which --json shows as sender.`);
}
