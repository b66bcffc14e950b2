import { expect, onTestFinished, test } from 'vitest';
import { type Drawn, drawChat, layoutOf, timelineHeight } from './chat-screen.ts';
import { Display } from './display.ts';
import { drawNotice, drawSwitcher } from './popups.ts';
import { drawSignIn } from './sign-in-screen.ts';
import { emulate, type PaperScreen, paperScreen } from './testing/emulator.ts';
import { widthOf } from './text.ts';
import { itemRows } from './timeline-rows.ts';
import type {
  ChatView,
  EventView,
  InputView,
  ItemView,
  LineView,
  MessageView,
  SidebarRow,
  StatusView,
} from './view.ts';

const MOE = 'Möë Tëstër'.normalize('NFD');
const SHIN = '写作者';
const TEST_NAME = 'שם בדוק';
const TAJRIB = 'تجرب';
const TRAILING_MARK = /\u200e/g;

function message(time: string, author: string, text: string, more: Partial<MessageView> = {}): MessageView {
  const rest = {
    isBot: false,
    mentionsMe: false,
    quote: undefined,
    isEdited: false,
    files: [],
    reactions: [],
  };
  const none = { note: '', thread: '', receipt: '', refusal: undefined } as const;
  return {
    kind: 'message',
    key: `${time}${text}`,
    time,
    author,
    authorId: author,
    text,
    ...rest,
    ...none,
    ...more,
  };
}

const event = (time: string, author: string, text: string): EventView => ({
  kind: 'event',
  key: time,
  time,
  author,
  authorId: author,
  text,
});
const line = (text: string, isUnread = false): LineView => ({ kind: 'line', key: text, text, isUnread });

function row(mark: SidebarRow['mark'], name: string, more: Partial<SidebarRow> = {}): SidebarRow {
  const flags = { number: undefined, hasDraft: false, isMuted: false, isCurrent: false };
  return { mark, name, mentions: 0, threads: 0, unread: 0, ...flags, ...more };
}

const input = (text: string, more: Partial<InputView> = {}): InputView => ({
  prompt: '[demo]',
  text,
  cursor: text.length,
  hint: '',
  fold: undefined,
  ...more,
});

const status = (link: readonly [string, string], more: Partial<StatusView> = {}): StatusView => ({
  link,
  isOffline: false,
  typing: '',
  unread: '',
  help: '',
  ...more,
});

interface Filled extends Partial<Omit<ChatView, 'timeline'>> {
  readonly items: readonly ItemView[];
  readonly selected?: string;
  readonly last?: LineView;
}

/** Draws a chat as the program does: the newest items at the bottom unless all fit. */
function chat(paper: PaperScreen, { items, selected, last, ...filled }: Filled): Drawn {
  // The paper of seven rows has the bottom of a screen.
  const { width, height } = paper.size;
  const whole = layoutOf({ width, height: Math.max(height, 15) }, false);
  const layout = { ...whole, hasTitle: whole.hasTitle && height >= 15 };
  const sidebar = { me: 'demo', presence: 'online', sections: [], notes: [] } as const;
  const view = {
    sidebar,
    title: { name: '#ops-alerts', topic: '214, 37 here', right: '2 pins' },
    over: [],
    popup: undefined,
    status: status(['on 23ms', 'online gw-2 23 ms']),
    mode: undefined,
    input: input(''),
    ...filled,
  };
  const lines = timelineHeight(view, paper.size, layout) - (last === undefined ? 0 : 1);
  const drawn = items.flatMap((item) =>
    itemRows(item, { width: layout.timeline, isSelected: item.key === selected }),
  );
  const rows = drawn.slice(-lines);
  if (last !== undefined) rows.push(...itemRows(last, { width: layout.timeline, isSelected: false }));
  return drawChat({ ...view, timeline: rows }, paper.size, layout);
}

/** Compares what an emulator shows with the paper, cell by cell. */
async function expectScreen(drawn: Drawn, paper: PaperScreen): Promise<void> {
  const emulator = emulate(paper.size);
  onTestFinished(() => emulator.dispose());
  const display = new Display(emulator.output, { hasColour: true, isAscii: false });
  display.open();
  display.draw({ rows: drawn.rows, cursor: drawn.cursor, title: 'GoChat' });
  const shown = await emulator.rows();
  const plain = (rows: readonly string[]) => rows.map((each) => each.replaceAll(TRAILING_MARK, '').trimEnd());
  expect(plain(shown)).toEqual(plain(paper.rows));
  for (const each of drawn.rows)
    expect(each.reduce((sum, { text }) => sum + widthOf(text), 0)).toBe(paper.size.width);
  if (paper.cursor !== undefined)
    expect(emulator.cursor).toEqual({ x: widthOf(paper.cursor.before), y: paper.cursor.y });
}

const ROLLOUT =
  '@demo can you approve the rollout? Canary is green since 13:30,\np99 went from 41 to 38 ms. Two things are left:';

test('normal chat: sidebar, lines, quotes, reactions, receipts, files, voice, the newest indicator', async () => {
  const paper = paperScreen('normal chat');
  const unread = [
    row('#', 'ops-alerts', { number: 1, mentions: 2, unread: 14, isCurrent: true }),
    row('online', SHIN, { number: 2, unread: 3 }),
    row('#', '天気と地震', { threads: 2 }),
  ];
  const people = [
    row('online', 'ops-builder', { number: 3 }),
    row('idle', MOE, { number: 4 }),
    row('offline', TEST_NAME, { number: 5 }),
    row('online', TAJRIB, { hasDraft: true }),
    row('offline', 'Example Club 👨‍👩‍👧'),
    row('offline', 'deleted account'),
  ];
  const rooms = [
    row('#', 'lobby', { number: 6 }),
    row('#', 'release', { number: 7 }),
    row('#', 'builds', { isMuted: true }),
    row('#', 'random', { isMuted: true, mentions: 1 }),
    row('&', 'book club'),
  ];
  const items = [
    line('Sunday 29 November 2026'),
    message('17:40', 'ops-builder', 'Rolled back gw-3 to 1.8.2; errors went from 4 % to 0.', {
      reactions: ['[👍 4]', '[🎉 2]', '[❤️ 1]'],
    }),
    message('17:52', SHIN, '我看过日志了，没有别的异常。明天早上再看一次。'),
    line('Monday 30 November 2026'),
    message('09:02', TEST_NAME, 'בוקר טוב! הגרסה החדשה עלתה לייצור.'),
    message('09:03', '', 'Notes: https://wiki.example/releases/1.8.3'),
    message('09:05', MOE, 'Can we keep that build for the post-mortem?', {
      quote: { author: 'ops-builder', text: 'Rolled back gw-3 to 1.8.2; errors went from 4…' },
      isEdited: true,
      thread: '7 replies, 2 new · last 09:41 ops-builder',
    }),
    message('09:12', 'demo', 'Yes, kept as build 4417. Do not delete it.', {
      reactions: ['[✅ 3]', '[👨‍👩‍👧 1]'],
      note: 'read by 31 of 213',
      receipt: 'delivered',
    }),
    event('09:14', '·', `ops-builder made ${SHIN} a moderator`),
    message('09:20', TAJRIB, 'the heap over night', { files: ['[heap-gw3.png 1.2 MB 1280x720]'] }),
    message('09:21', '', '', { files: ['[voice 0:42 ▁▃▅▇▅▃▁▃▅▃▁]'] }),
    event('10:03', 'ops-builder', 'message retracted by its author'),
    line('14 unread since 13:58', true),
    message('14:01', 'deploybot', 'gw-3 drained: 48 210 connections moved in 12 s, 0 lost', { isBot: true }),
    message(
      '14:02',
      'ops-builder',
      `${ROLLOUT}\n- raise \`max_old_space\` on gw-3 … gw-6\n- tell @here before we start`,
      { mentionsMe: true },
    ),
    message('14:03', SHIN, '好的 👍 我这边没问题。日本語チームにも伝えました。', { reactions: ['[👍 2]'] }),
    message(
      '14:04',
      'ops-builder',
      '```\n$ gochat ctl drain gw-3 --deadline 30s\ndraining gw-3: 48 210 → 0\n```',
    ),
    message('14:05', 'demo', 'approved. go', { receipt: 'delivered' }),
    message('', '', 'on my way to a keyboard 🚶', { receipt: 'sent' }),
    message('14:06', '', 'retrying with a longer deadline', { receipt: 'queued' }),
    message(
      '14:06',
      MOE,
      'Thanks! This is what I see from the edge, all zones flat, and the error budget is back at 92 %. I will write it up after lunch.',
    ),
    message('14:07', TAJRIB, '@demo تمام، شكرا', { mentionsMe: true }),
  ];
  const drawn = chat(paper, {
    items,
    last: line('▾ 9 newer · 1 mentions you · Esc'),
    sidebar: {
      me: 'demo',
      presence: 'online',
      sections: [
        { title: 'UNREAD', rows: unread },
        { title: 'PEOPLE', rows: people },
        { title: 'ROOMS', rows: rooms },
      ],
      notes: ['INVITED 1 · REQUESTS 2', ' /invites   /requests'],
    },
    title: {
      name: '#ops-alerts',
      topic: '214 members, 37 here  Runbook: https://wiki.example/ops',
      right: '2 pins · F8 who',
    },
    status: status(['on 23ms', 'online gw-2 23 ms'], {
      typing: `ops, ${SHIN} typing`,
      unread: '2:3 天気:t2 random:@1',
      help: 'F1 help',
    }),
    input: input('looks good, I will watch the dash'),
  });
  await expectScreen(drawn, paper);
});

test('offline: queued and refused messages, a chosen one with its actions', async () => {
  const paper = paperScreen('offline');
  const actions = [
    'r reply  t thread  + 👍  : react  y copy  o open sky.jpg',
    's save  > quote  p pin  l link  u unread  i info     ? more',
  ];
  const chosen = message(
    '14:00',
    'ops-builder',
    'Same for me. Who brings an umbrella?\nIt looks like rain over there, see',
    {
      quote: { author: 'demo', text: 'I take the noodles' },
      files: ['[sky.jpg 640 kB]'],
      reactions: ['[☔ 2]'],
    },
  );
  const drawn = chat(paper, {
    selected: chosen.key,
    items: [
      line('Monday 30 November'),
      message('13:55', SHIN, '大家好！有人在吗？'),
      message('13:57', 'ops-builder', 'Here. Lunch at the usual place?', { reactions: ['[🍜 3]', '[👍 1]'] }),
      message('13:58', TAJRIB, 'قائمة اليوم', { files: ['[menu.pdf 84 kB]'] }),
      message('13:59', 'demo', 'I take the noodles', { receipt: 'read' }),
      chosen,
      message('14:02', TEST_NAME, 'אני מביאה'),
      line('connection lost 14:05'),
      message('14:05', 'demo', 'Leaving in ten minutes', { receipt: 'queued' }),
      message('', '', '', { files: ['[plan.pdf 310 kB] waits'], receipt: 'queued' }),
      message('14:06', '', 'this one was refused', {
        receipt: 'refused',
        refusal: { reason: 'muted in #lobby', remedy: 'Enter sends again · d drops' },
      }),
    ],
    sidebar: {
      me: 'demo',
      presence: 'offline',
      sections: [
        {
          title: 'UNREAD',
          rows: [
            row('#', 'ops-alert', { number: 1, mentions: 2, unread: 14 }),
            row('unknown', SHIN, { number: 2, unread: 3 }),
            row('#', '天気と地震', { threads: 2 }),
          ],
        },
        {
          title: 'PEOPLE',
          rows: [
            row('unknown', 'ops-builder', { number: 3 }),
            row('unknown', MOE, { number: 4 }),
            row('unknown', TEST_NAME, { number: 5 }),
            row('unknown', TAJRIB, { hasDraft: true }),
          ],
        },
        {
          title: 'ROOMS',
          rows: [
            row('#', 'lobby', { number: 6, unread: 2, isCurrent: true }),
            row('#', 'release', { number: 7 }),
            row('#', 'builds', { isMuted: true }),
            row('#', 'random', { isMuted: true, mentions: 1 }),
            row('&', 'book club'),
          ],
        },
      ],
      notes: ['INVITED 1 · REQ 2'],
    },
    title: { name: '#lobby', topic: 'Say hello here', right: 'offline copy' },
    over: actions.map((text) => [{ text }]),
    status: status(['', 'OFFLINE 0:48 · next try in 6 s · 2 queued'], {
      isOffline: true,
      unread: '1:@2 2:3',
    }),
    input: input('meet you at the corner', { hint: '       (Esc goes back to writing)' }),
  });
  await expectScreen(drawn, paper);
});

const NARROW = {
  status: status(['on 23ms', ''], { typing: 'ops typing', unread: '2:3 天気:t2 random:@1' }),
};

test('narrow: no sidebar, shorter names', async () => {
  const drawn = chat(paperScreen('narrow'), {
    ...NARROW,
    items: [
      message('09:05', MOE, 'Can we keep that build?', {
        quote: { author: 'ops-builder', text: 'Rolled back gw-3 to 1.8…' },
        isEdited: true,
        thread: '7 replies, 2 new',
      }),
      message('09:12', 'demo', 'Yes, kept as build 4417.', { receipt: 'delivered' }),
      message('09:20', TAJRIB, '', { files: ['[heap-gw3.png 1.2 MB]'] }),
      message('', '', '', { files: ['[voice 0:42 ▁▃▅▇▅▃▁]'] }),
      line('14 unread since 13:58', true),
      message('14:02', 'ops-builder', '@demo can you approve the rollout?\nCanary is green since 13:30.', {
        mentionsMe: true,
      }),
      message('14:03', SHIN, '好的 👍 我这边没问题。'),
      message('14:05', 'demo', 'approved. go', { receipt: 'delivered' }),
    ],
    last: line('▾ 9 newer · 1 mentions you · Esc'),
  });
  await expectScreen(drawn, paperScreen('narrow'));
});

test('first run', async () => {
  const first = paperScreen('first run', 1);
  const drawn = drawSignIn(
    {
      server: 'chat.example.org',
      isSignUp: false,
      actions: ['Log in', 'Sign up'],
      fields: [
        { field: 'handle', label: 'Handle', value: 'demo', note: '', isError: false },
        {
          field: 'password',
          label: 'Password',
          value: '*'.repeat(12),
          note: 'Alt-R shows it',
          isError: false,
        },
        { field: 'stay', label: 'Stay logged in', value: '[x]', note: 'on this computer', isError: false },
      ],
      focus: 'password',
      submit: 'Log in',
      notes: [
        {
          text: 'The password is sent once and never kept. What is kept is a refresh token in your config folder, for you alone.',
          isError: false,
        },
        { text: 'Folder is read-only: logged in until you quit.', isError: false },
      ],
      help: '↑↓ or Tab fields · ←→ choose · Enter · Esc quits',
      helpKey: 'F1 help',
    },
    first.size,
  );
  await expectScreen(drawn, first);
});

test('switcher: over the timeline, with what it finds', async () => {
  const paper = paperScreen('quick switcher');
  const choice = (mark: string, name: string, what = '', right = '') => ({ mark, name, what, right });
  const drawn = chat(paper, {
    ...NARROW,
    items: [
      message('14:03', SHIN, '好的 👍 我这边没问题。'),
      ...Array.from({ length: 12 }, () => event('', '', '')),
    ],
    input: input('half a sentence stays here'),
    popup: drawSwitcher(
      {
        title: 'Go to',
        count: '5 of 214',
        query: 'ops',
        selected: 0,
        choices: [
          choice('1 # ', 'ops-alerts', 'room · 214', '@2 14'),
          choice('  # ', 'ops-handover', 'room · 12'),
          choice('3 ◉ ', 'ops-builder', 'person · "ops lead"'),
          choice('  # ', '天気と地震', 'ops-jp', 't2'),
          choice('5 ◌ ', TEST_NAME, 'person'),
          choice('  + ', 'join #ops-public', 'public room, 88 members'),
          choice('  ? ', 'search messages for "ops"'),
        ],
        hint: ['# rooms  @ people  ! unread  > commands', 'Enter · Esc'],
      },
      60,
      11,
    ),
  });
  const timeline = drawn.rows.map((each, y) =>
    y === 1
      ? (itemRows(message('14:03', SHIN, '好的 👍 我这边没问题。'), { width: 60, isSelected: false })[0] ??
        each)
      : each,
  );
  await expectScreen({ ...drawn, rows: timeline }, { ...paper, cursor: { before: '│ ops', y: 3 } });
});

test('a reply of several lines', async () => {
  const paper = paperScreen('reply in several lines');
  const drawn = chat(paper, {
    ...NARROW,
    items: [message('14:02', 'ops-builder', '@demo can you approve the rollout?', { mentionsMe: true })],
    status: NARROW.status,
    mode: { text: '↳ reply to ops-builder: @demo can you approve t…', hint: 'Esc ' },
    input: input('Two conditions:\n- gw-3 … gw-6 get the new heap limit\n- 我们先通知日本的同事 ', {
      hint: '                     3 lines · Enter sends · Alt-Enter line ',
    }),
  });
  await expectScreen(drawn, paper);
});

test('an edit, with an error', async () => {
  const paper = paperScreen('edit, error toast', 1);
  const edited = message('14:05', 'demo', 'approved. go', { receipt: 'delivered' });
  const drawn = chat(paper, {
    ...NARROW,
    items: [edited, message('14:06', MOE, 'Thanks!'), event('', '', ''), event('', '', '')],
    over: drawNotice(
      ['Not changed: the edit window of 15 min is over.', 'Your text stays in the input. Alt-Y copies it.'],
      60,
      { hint: 'Esc', isError: true },
    ),
    status: status(['on 23ms', ''], { unread: 'edit_window_over' }),
    mode: { text: '✎ editing your message of 14:05', hint: 'Esc cancels ' },
    input: input('approved, after lunch'),
  });
  const marked = drawn.rows.map((each, y) => (y === 0 ? [{ text: '▌' }, ...each.slice(1)] : each));
  await expectScreen({ ...drawn, rows: marked }, paper);
});
