import { describe, expect, test } from 'vitest';
import type { Happening, OfEntry } from './history.ts';
import { ANN, BOB, entry, good, logged, membership, NEW_BOB, ROOM, rules, sent } from './sample-history.ts';

type Part = Partial<OfEntry>;

/** The good history, then an entry of ann about message 2, which bob is shown. */
function after(kind: 'edit' | 'retract' | 'pin', text: string, part: Part = {}): Happening[] {
  return [
    ...good().filter((happening) => happening.kind !== 'view'),
    { ...sent(text), entry: kind, target: 2 } as Happening,
    { kind: 'acked', instance: ANN, conversation: ROOM, text, seq: 4, id: '104' },
    { kind: 'message', instance: NEW_BOB, ...special(kind, text), ...part },
    { ...logged(4, ''), clientMsgId: text, entry: kind, target: 2 } as Happening,
  ];
}

function special(kind: 'edit' | 'retract' | 'pin', text: string): OfEntry {
  const version = kind === 'edit' ? 4 : 0;
  return { ...entry(4, kind === 'edit' ? text : ''), entry: kind, target: 2, version };
}

/** What both read in the end. */
function views(two: Part, four: OfEntry, users = ['ann', 'bob']): Happening[] {
  return users.flatMap((user): Happening[] =>
    [entry(1, 'one'), { ...entry(2, 'two'), ...two }, entry(3, 'three'), four].map((read) => ({
      kind: 'view',
      user,
      ...read,
    })),
  );
}

const edited = { text: 'second', version: 4 };
const edits = [...after('edit', 'second'), ...views(edited, special('edit', 'second'))];
const gone = { text: '', version: 4, retracted: true };
const retractions = [...after('retract', 'why'), ...views(gone, special('retract', 'why'))];
const page = (part: Part, since = 0): Happening => ({
  kind: 'page',
  instance: NEW_BOB,
  since,
  ...entry(2, 'two'),
  ...part,
});
const held = (part: Part): Happening => ({ kind: 'held', instance: NEW_BOB, ...entry(2, 'two'), ...part });
const LATE = 1e9;

describe('an edit', () => {
  test('shown, read at either version, and held: no violation', () => {
    expect(rules(edits)).toEqual([]);
    expect(rules([...edits, page({}), page(edited), held(edited)])).toEqual([]);
  });

  test('of what its reader may not read: shows nothing, which is no loss', () => {
    /** Bob joins after one and is shown three alone; two is an edit of one. */
    const joins = (visibleAfter: number): Happening[] => [
      { kind: 'start', instance: ANN, user: 'ann', device: 'phone' },
      { kind: 'start', instance: BOB, user: 'bob', device: 'phone' },
      sent('one'),
      { ...sent('two'), entry: 'edit', target: 1 } as Happening,
      sent('three'),
      ...['one', 'two', 'three'].map((text, i): Happening => {
        return { kind: 'acked', instance: ANN, conversation: ROOM, text, seq: i + 1, id: `10${i + 1}` };
      }),
      { kind: 'message', instance: BOB, ...entry(3, 'three') },
      { kind: 'converged', ms: 10, withinMs: 1000 },
      logged(1, 'one'),
      { ...logged(2, ''), clientMsgId: 'two', entry: 'edit', target: 1 } as Happening,
      logged(3, 'three'),
      membership('ann', 'joined'),
      membership('bob', 'joined', 1, visibleAfter),
      { kind: 'end', instance: ANN, why: 'closed', code: '' },
    ];
    const shownWrongly = (history: Happening[]) =>
      rules(history).filter((rule) => rule === 'resume anywhere');
    expect(shownWrongly(joins(1))).toEqual([]);
    expect(shownWrongly(joins(0))).toEqual(['resume anywhere']);
  });

  test.each<[string, Happening[], string]>([
    ['a client that holds the old text', [...edits, held({})], 'one view'],
    [
      'a view with the old text',
      [...after('edit', 'second'), ...views({}, special('edit', 'second'))],
      'one view',
    ],
    ['a text under the version of another', [...edits, page({ text: 'second' })], 'one text'],
    ['a version that there is not', [...edits, page({ text: 'second', version: 3 })], 'one text'],
    [
      'an edit with another text',
      [...after('edit', 'second', { text: 'other' }), ...views(edited, special('edit', 'second'))],
      'one text',
    ],
    ['a reader who had left before it', [...edits, membership('bob', 'left', 3), page(edited)], 'no leak'],
    [
      'an edit of what its reader may not read',
      [
        ...edits.filter(({ kind }) => kind !== 'membership'),
        membership('ann', 'joined'),
        membership('bob', 'joined', 2, 2),
      ],
      'no leak',
    ],
  ])('%s: is found', (_, history, rule) => {
    expect(rules(history)).toContain(rule);
  });
});

describe('a retraction', () => {
  test('shown, read, and held as a tombstone: no violation', () => {
    expect(rules([...retractions, page({}), page(gone, LATE), held(gone)])).toEqual([]);
  });

  test('its text in a table of the store: is found', () => {
    expect(rules([...retractions, { kind: 'stored', table: 'messages', text: 'three' }])).toEqual([]);
    expect(rules([...retractions, { kind: 'stored', table: 'revisions', text: 'two' }])).toEqual(['erased']);
  });

  test.each<[string, Happening[], string]>([
    ['a page with the text, asked for after its acknowledgement', [...retractions, page({}, LATE)], 'erased'],
    [
      'a quote with the text, asked for after its acknowledgement',
      [...retractions, page({ ...entry(3, 'three'), quote: { seq: 2, text: 'two', version: 0 } }, LATE)],
      'erased',
    ],
    ['a tombstone with a text', [...retractions, page({ ...gone, text: 'two' })], 'one text'],
    ['a tombstone of what nobody has retracted', [...good(), page(gone)], 'one text'],
    ['a client that holds the text', [...retractions, held({})], 'one view'],
  ])('%s: is found', (_, history, rule) => {
    expect(rules(history)).toContain(rule);
  });

  test('a range over what was retracted already: the last retraction stands', () => {
    const range = { user: 'ann', fromSeq: 2, toSeq: 2 };
    const again: Happening[] = [
      { ...sent('again'), entry: 'retract', range } as Happening,
      { kind: 'acked', instance: ANN, conversation: ROOM, text: 'again', seq: 5, id: '105' },
      { kind: 'message', instance: NEW_BOB, ...entry(5, ''), entry: 'retract' },
      { ...logged(5, ''), clientMsgId: 'again', entry: 'retract' } as Happening,
    ];
    const five: OfEntry = { ...entry(5, ''), entry: 'retract' };
    const read = ['ann', 'bob'].map((user): Happening => ({ kind: 'view', user, ...five }));
    const history = [...after('retract', 'why'), ...again, ...read];
    const four = special('retract', 'why');
    expect(rules([...history, ...views({ ...gone, version: 5 }, four), page(gone)])).toEqual([]);
    expect(rules([...history, ...views(gone, four)])).toEqual(['one view']);
  });

  test('a range: all messages of its sender, and no others', () => {
    const range = { user: 'ann', fromSeq: 2, toSeq: 9 };
    const purge = retractions.map((happening): Happening => {
      if (happening.kind === 'log' && happening.seq === 4) return { ...happening, target: 0 };
      return happening.kind === 'send' && happening.entry === 'retract' ? { ...happening, range } : happening;
    });
    expect(rules(purge)).toEqual(['one view']);
    const all = purge.map((happening) =>
      happening.kind === 'view' && happening.seq === 3 ? { ...happening, ...gone } : happening,
    );
    expect(rules(all)).toEqual([]);
  });
});

describe('a reply', () => {
  const quoting = (quote: OfEntry['quote']): Happening[] => [
    ...good(),
    membership('bob', 'left', 3),
    membership('bob', 'joined', 3, 2),
    { kind: 'message', instance: BOB, ...entry(3, 'three'), ...(quote && { quote }) },
  ];

  test('a quote of what its reader may not read: is found', () => {
    const history = good().filter(({ kind }) => kind !== 'membership' && kind !== 'view');
    const members = [membership('ann', 'joined'), membership('bob', 'joined', 2, 2)];
    const reads = (quote: OfEntry['quote']): Happening =>
      page({ ...entry(3, 'three'), ...(quote && { quote }) });
    expect(rules([...history, ...members, reads({ seq: 2, text: 'two', version: 0 })])).toContain('no leak');
    expect(rules([...history, ...members, reads({ seq: 2, text: '', version: 0 })])).not.toContain('no leak');
    expect(rules(quoting(undefined))).not.toContain('no leak');
  });
});

describe('a floor', () => {
  const sunk: Happening[] = [
    ...good().filter((happening) => happening.kind !== 'view' || happening.seq > 1),
    { kind: 'floor', conversation: ROOM, seq: 1 },
  ];

  test('views begin above it, and what sank is no loss', () => {
    expect(rules(sunk)).toEqual([]);
    expect(rules(good().filter((happening) => happening.kind !== 'view' || happening.seq > 1))).toEqual([
      'no loss',
    ]);
  });

  test('a page with what sank, asked for afterwards: is found', () => {
    expect(rules([...sunk, page(entry(1, 'one'))])).toEqual([]);
    expect(rules([...sunk, page(entry(1, 'one'), LATE)])).toEqual(['erased']);
  });
});

describe('entries that were skipped', () => {
  test('a client that goes on after them: no violation; without the notice they are missing', () => {
    const start = good().findIndex(({ kind }) => kind === 'converged');
    const jump: Happening[] = [
      { ...sent('four') },
      { ...sent('five') },
      { kind: 'acked', instance: ANN, conversation: ROOM, text: 'four', seq: 4, id: '104' },
      { kind: 'acked', instance: ANN, conversation: ROOM, text: 'five', seq: 5, id: '105' },
      { kind: 'message', instance: NEW_BOB, ...entry(5, 'five') },
    ];
    const skipped: Happening = { kind: 'skipped', instance: NEW_BOB, conversation: ROOM, seq: 4 };
    const ends = [logged(4, 'four'), logged(5, 'five')];
    const read = ['ann', 'bob'].flatMap((user): Happening[] => [
      { kind: 'view', user, ...entry(4, 'four') },
      { kind: 'view', user, ...entry(5, 'five') },
    ]);
    const history = good().toSpliced(start, 0, ...jump);
    const jumped = good().toSpliced(start, 0, ...jump.toSpliced(-1, 0, skipped));
    expect(rules([...history, ...ends, ...read])).toEqual(['no loss']);
    expect(rules([...jumped, ...ends, ...read])).toEqual([]);
  });
});

describe('a refusal of an entry about a message', () => {
  const refused = (code: string, target: number, instance = ANN, history = good()): Happening[] => [
    ...history,
    { ...sent('about', instance), entry: 'edit', target } as Happening,
    { kind: 'failed', instance, conversation: ROOM, text: 'about', code },
  ];
  const withoutViews = good().filter(({ kind }) => kind !== 'view');

  test.each<[string, Happening[]]>([
    ['TARGET_NOT_FOUND of a message that a member may read', refused('TARGET_NOT_FOUND', 2)],
    ['TARGET_INVALID of a message', refused('TARGET_INVALID', 2)],
    ['TARGET_RETRACTED of a message that nobody has retracted', refused('TARGET_RETRACTED', 2)],
    ['TARGET_EXPIRED above the floor', refused('TARGET_EXPIRED', 2)],
    ['NOT_AUTHOR of an own message', refused('NOT_AUTHOR', 2)],
  ])('%s: is found', (_, history) => {
    expect(rules(history)).toEqual(['justified refusals']);
  });

  test.each<[string, Happening[]]>([
    ['TARGET_NOT_FOUND where there is nothing', refused('TARGET_NOT_FOUND', 9)],
    ['TARGET_RETRACTED of a retracted message', refused('TARGET_RETRACTED', 2, ANN, retractions)],
    ['TARGET_INVALID of a retraction', refused('TARGET_INVALID', 4, ANN, retractions)],
    [
      'TARGET_EXPIRED below the floor',
      refused('TARGET_EXPIRED', 1, ANN, [...withoutViews, { kind: 'floor', conversation: ROOM, seq: 1 }]),
    ],
    ["NOT_AUTHOR of another's message", refused('NOT_AUTHOR', 2, NEW_BOB)],
  ])('%s: is justified', (_, history) => {
    expect(rules(history)).not.toContain('justified refusals');
  });
});
