/** Sample histories for the tests of the checker: one without violations, and changes of it. */
import { Checker } from './checker.ts';
import type { Happening } from './history.ts';

export const [ANN, BOB] = ['ann/phone0#1', 'bob/phone0#1'];
export const NEW_BOB = 'bob/phone0#2';
export const ROOM = '7';

/** A message of ann as it was sent. */
export function entry(seq: number, text: string) {
  const plain = { entry: 'message', version: 0, target: 0, retracted: false } as const;
  return { conversation: ROOM, seq, id: `10${seq}`, text, ...plain };
}

export function sent(text: string, instance = ANN): Happening {
  return { kind: 'send', instance, conversation: ROOM, text, clientMsgId: text, entry: 'message' };
}

export function logged(seq: number, text: string, from = 'ann'): Happening {
  const { conversation, id, target } = entry(seq, text);
  return {
    kind: 'log',
    conversation,
    seq,
    id,
    from,
    clientMsgId: text,
    entry: 'message',
    text,
    target,
    erased: false,
  };
}

/** A message that a client was shown. */
export function shown(instance: string, seq: number, text: string): Happening {
  return { kind: 'message', instance, ...entry(seq, text) };
}

/** A change of the room's members; entries are 1 ms apart. */
export function membership(
  user: string,
  change: 'joined' | 'left',
  seq = 0,
  visibleAfter = 0,
  ms = 0,
): Happening {
  return { kind: 'membership', conversation: ROOM, user, change, seq, visibleAfter, ms };
}

/** A history without a violation: ann says one, two, three to bob; bob's client reconnects after two. */
export function good(): Happening[] {
  const start = (instance: string, user: string): Happening => ({
    kind: 'start',
    instance,
    user,
    device: 'phone',
  });
  const acked = (seq: number, text: string): Happening => ({
    kind: 'acked',
    instance: ANN,
    conversation: ROOM,
    text,
    seq,
    id: `10${seq}`,
  });
  const texts = ['one', 'two', 'three'];
  const up = (instance: string): Happening => ({
    kind: 'up',
    instance,
    gateway: 'gateway-0',
    resumed: false,
    tokenMs: 0,
  });
  return [
    start(ANN, 'ann'),
    start(BOB, 'bob'),
    up(ANN),
    up(BOB),
    ...texts.map((text) => sent(text)),
    acked(1, 'one'),
    shown(BOB, 1, 'one'),
    acked(2, 'two'),
    shown(BOB, 2, 'two'),
    { kind: 'end', instance: BOB, why: 'crashed', code: '' },
    start('bob/phone0#2', 'bob'),
    // It had not reported 2 to the server yet.
    shown('bob/phone0#2', 2, 'two'),
    shown('bob/phone0#2', 3, 'three'),
    acked(3, 'three'),
    { kind: 'cursor', owner: 'bob/phone delivered', conversation: ROOM, seq: 1 },
    { kind: 'cursor', owner: 'bob/phone delivered', conversation: ROOM, seq: 3 },
    { kind: 'converged', ms: 10, withinMs: 1000 },
    ...texts.map((text, i) => logged(i + 1, text)),
    ...['ann', 'bob'].map((user) => membership(user, 'joined')),
    ...['ann', 'bob'].flatMap((user) =>
      texts.map((text, i): Happening => ({ kind: 'view', user, ...entry(i + 1, text) })),
    ),
  ];
}

/** The good history, followed by a message of ann after the last fault: four, which bob reads. */
export function quiescentHistory(): Happening[] {
  const history = good();
  const since = history.length;
  return [
    ...history,
    sent('four'),
    { kind: 'acked', instance: ANN, conversation: ROOM, text: 'four', seq: 4, id: '104' },
    shown(NEW_BOB, 4, 'four'),
    { kind: 'marked', instance: NEW_BOB, conversation: ROOM, seq: 4 },
    { kind: 'cursor', owner: 'ann/phone delivered', conversation: ROOM, seq: 4 },
    { kind: 'cursor', owner: 'bob/phone delivered', conversation: ROOM, seq: 4 },
    { kind: 'cursor', owner: 'bob read since 1', conversation: ROOM, seq: 4 },
    logged(4, 'four'),
    { kind: 'view', user: 'ann', ...entry(4, 'four') },
    { kind: 'view', user: 'bob', ...entry(4, 'four') },
    { kind: 'quiescent', since },
  ];
}

/** Judges a history whose entries are 1 ms apart. */
export function judge(history: readonly Happening[]) {
  const checker = new Checker();
  for (const [at, happening] of history.entries()) checker.add({ ...happening, at });
  return checker.verdict();
}

type Match = { [key: string]: unknown };
const matches = (happening: Happening, match: Match) =>
  Object.entries(match).every(([key, value]) => (happening as Match)[key] === value);

/** A history (the good one) with the matching entries changed; undefined takes them out. */
export function changed(match: Match, change: Match | undefined, history = good()): Happening[] {
  if (!history.some((happening) => matches(happening, match))) throw new Error('nothing matches');
  return history.flatMap((happening) => {
    if (!matches(happening, match)) return [happening];
    return change === undefined ? [] : [{ ...happening, ...change }];
  });
}

/** Returns the rules that a history breaks. */
export const rules = (history: readonly Happening[]) => [
  ...new Set(judge(history).violations.map(({ rule }) => rule)),
];
/** Returns a history with two of its entries swapped. */
export const swap = (history: Happening[], a: Match, b: Match) => {
  const [i, j] = [a, b].map((match) => history.findIndex((happening) => matches(happening, match))) as [
    number,
    number,
  ];
  const [first, second] = [history[i] as Happening, history[j] as Happening];
  return history.with(i, second).with(j, first);
};
