/** The commands about threads. A thread is named by the number of its root. */
import { type Command, invalid, settled } from './command.ts';
import { numberOf } from './entry-commands.ts';
import { messageLine, toSummaryLine, toThreadLine } from './printer.ts';

/** Replies shown: the server's most in a page. */
const MAX_REPLIES = 100;

/** Makes the command that follows or does not. */
function following(name: string, help: string, follows: boolean): Command {
  return {
    usage: `/${name} N`,
    help,
    async run(session, argument) {
      const thread = numberOf(argument, `/${name}`);
      const conversation = await settled(session);
      await session.client.followThread(conversation, thread, follows);
      session.printer.print({ event: 'followed', conversation, thread, followed: follows });
    },
  };
}

export const THREAD_COMMANDS = {
  thread: {
    usage: '/thread N [TEXT]',
    help: `reply in the thread of message N; without TEXT, show its last ${MAX_REPLIES} replies`,
    async run(session, argument) {
      const [, number, text] = /^([1-9]\d*)(?:\s+(.+))?$/su.exec(argument.trim()) ?? [];
      if (number === undefined) throw invalid('/thread needs the number of a message.');
      const root = Number(number);
      if (text !== undefined) {
        await session.say(text, { thread: root });
        return;
      }
      const conversation = await settled(session);
      const { printer, client } = session;
      const page = await client.thread(conversation, root, { limit: MAX_REPLIES });
      for (const message of [page.root, ...page.replies])
        if (message !== undefined) printer.print(messageLine(message, true));
      const summary = page.summary ? toSummaryLine(page.summary) : null;
      printer.print({ event: 'thread', conversation, root, summary, more: page.more });
    },
  },
  threads: {
    usage: '/threads [NEXT]',
    help: 'list the threads that you follow, the last active first; NEXT is what the page before ends with',
    async run({ client, printer, settle }, argument) {
      await settle();
      const { threads, next = null } = await client.threads({ after: argument.trim() });
      printer.print({ event: 'threads', threads: threads.map(toThreadLine), next });
    },
  },
  follow: following('follow', 'follow the thread of message N', true),
  unfollow: following('unfollow', 'follow the thread of message N no longer', false),
  'read-all': {
    usage: '/read-all [here]',
    help: 'have read everything, threads too, in all conversations or here',
    async run(session, argument) {
      if (!['', 'here'].includes(argument.trim())) throw invalid('/read-all takes here, or nothing.');
      await session.settle();
      const conversation = argument.trim() === '' ? undefined : session.conversation().id;
      await session.client.markAllRead(conversation);
      session.printer.print({ event: 'read_all', conversation: conversation ?? null });
    },
  },
  'read-thread': {
    usage: '/read-thread N',
    help: 'have read all of the thread of message N',
    async run(session, argument) {
      const thread = numberOf(argument, '/read-thread');
      const conversation = await settled(session);
      const { summary } = await session.client.thread(conversation, thread, { limit: 1 });
      const { lastSeq: read_seq = 0, readEpoch: read_epoch = 0 } = summary ?? {};
      const { unread, threadsUnread: threads_unread } = await session.client.markThreadRead(
        conversation,
        thread,
        read_seq,
        read_epoch,
      );
      const read = { conversation, thread, read_seq, read_epoch, unread, threads_unread };
      session.printer.print({ event: 'read', ...read });
    },
  },
} satisfies Record<string, Command>;
