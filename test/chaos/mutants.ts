/** Broken variants of GoChat, to prove that the checker notices them. */
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Mutant {
  readonly name: string;
  /** Of dist/. */
  readonly file: string;
  /** A text that occurs there exactly once, and its replacement. */
  readonly replace: readonly [text: string, by: string];
}

export const MUTANTS = {
  ackBeforeCommit: {
    name: 'ack before commit',
    file: 'state/store/postgres/pool.js',
    // The same statement in a transaction that is committed a little after its answer, or not at all.
    replace: [
      '        return this.#run((session) => session.query(statement));',
      `        if (!statement.text.includes('gochat_append')) return this.#run((session) => session.query(statement));
        return new Promise((resolve, reject) => {
          let answered = false;
          this.transaction(async (session) => {
            if (answered) throw new Error('too late');
            resolve(await session.query(statement));
            answered = true;
            await sleep(50);
          }).catch(reject);
        });`,
    ],
  },
  dropFanout: {
    name: 'fan-outs dropped without a hint',
    file: 'state/delivery/fanout.js',
    replace: ['    #deliver(entry, push) {', '    #deliver(entry, push) {\n        return 0;'],
  },
  dropSomeFanouts: {
    name: 'a fifth of the fan-outs dropped without a hint',
    file: 'state/delivery/fanout.js',
    // Of each conversation every fifth message: one of five last words in a row is among them.
    replace: [
      '    #deliver(entry, push) {',
      '    #deliver(entry, push) {\n        if (push.seq % 5 === 0) return 0;',
    ],
  },
  swapSeqs: {
    name: 'two seqs swapped',
    file: 'state/delivery/group-commit.js',
    replace: [
      'this.#committed(batch, results, begun)',
      `{
            const { drafts } = batch;
            const at = drafts.findIndex((draft, i) => draft.conversation === drafts[i + 1]?.conversation);
            const swapped = [...results];
            if (at >= 0) {
              swapped[at] = { ...results[at], seq: results[at + 1].seq };
              swapped[at + 1] = { ...results[at + 1], seq: results[at].seq };
            }
            this.#committed(batch, swapped, begun);
        }`,
    ],
  },
  skipDedupe: {
    name: 'no dedupe',
    file: 'state/store/postgres/append.js',
    replace: ['(draft) => draft.clientMsgId)', '(draft) => `${draft.clientMsgId}#${Math.random()}`)'],
  },
  noFence: {
    name: 'no RESYNC after a lost stream',
    file: 'gateway/route/resync-fence.js',
    replace: ['    fenceAll(connections) {', '    fenceAll(connections) {\n        return;'],
  },
  refuseMembers: {
    name: 'a tenth of the sends refused as of no member',
    file: 'state/link/client-frames.js',
    replace: [
      'if (keyHigh > MAX_KEY_HIGH || key === 0n)',
      'if (keyHigh > MAX_KEY_HIGH || key === 0n || Math.random() < 0.1)',
    ],
  },
  keepCounts: {
    name: 'retracted messages counted as unread',
    file: 'state/store/repositories/unread.js',
    replace: ['and (m.sender = ${user} or m.retracted)', 'and m.sender = ${user}'],
  },
  forgetCursors: {
    name: 'no cursor is ever stored',
    file: 'state/store/postgres/cursors.js',
    replace: [
      'export async function moveCursors(pool, given) {',
      'export async function moveCursors(pool, given) {\n    return;',
    ],
  },
  foldByTime: {
    name: 'edits applied by the clock',
    file: 'state/store/migrations/postgres/0011_entries.sql',
    // Only what is later changes a text, by a clock that runs too fast and is put back every five seconds.
    replace: [
      "set body = coalesce(p_texts[x.i], ''),",
      `set body = case
            when p_kinds[x.n] = 2 or times[p_places[p_senders[x.n]]] + times[p_places[p_senders[x.n]]] % 5000 > (
              select last.at_ms + last.at_ms % 5000 from messages last
              where last.conversation = t.conversation and last.seq = coalesce(versions[x.i], targets[x.i])
            )
            then coalesce(p_texts[x.i], '') else t.body end,`,
    ],
  },
  editForLeaver: {
    name: 'edits that reach former members',
    file: 'state/store/postgres/reader.js',
    // They read what was written while they were members, but with its newest texts.
    replace: [
      'const part = { conversation, bounds, until };',
      'const part = { conversation, bounds, until: Number.MAX_SAFE_INTEGER };',
    ],
  },
  quoteLeak: {
    name: 'quotes of a hidden past',
    file: 'state/store/rows.js',
    replace: ['if (seq <= visibleAfterSeq)\n', 'if (seq < 0)\n'],
  },
  keepRevisions: {
    name: 'retractions that keep earlier texts',
    file: 'state/store/migrations/postgres/0011_entries.sql',
    replace: ['if has_revisions then', 'if false then'],
  },
  replayFolded: {
    name: 'duplicates pushed with their newest texts',
    file: 'state/store/repositories/log.js',
    // Under the versions that they had at first. Under those of the texts no client would notice: a fold takes pages at
    // any time, and leaves out the edits that a text has already.
    replace: [
      'select ${foldedColumns(asAppended)}, c.floor_seq',
      `select \${foldedColumns(asAppended)}, c.floor_seq, null::bigint as version, null::bigint as target_version,
           case when m.kind = 1 then t.body when r.seq is null then m.body else '' end as body`,
    ],
  },
  ignoreFloor: {
    name: 'pages that begin below the floor',
    file: 'state/store/postgres/reader.js',
    replace: ['Math.max(bounds.visibleAfterSeq, bounds.floorSeq)', 'bounds.visibleAfterSeq'],
  },
} as const satisfies Record<string, Mutant>;

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** Makes a copy of the build with the mutation; disposing removes it. */
export async function build(mutant: Mutant): Promise<{ readonly bin: string } & AsyncDisposable> {
  const dir = await mkdtemp(join(tmpdir(), 'gochat-mutant-'));
  await mkdir(join(dir, 'scripts'));
  for (const part of ['dist', 'bin', 'package.json', 'scripts/node.sh'])
    await cp(join(ROOT, part), join(dir, part), { recursive: true });
  await symlink(join(ROOT, 'node_modules'), join(dir, 'node_modules'));
  const path = join(dir, 'dist', mutant.file);
  const before = await readFile(path, 'utf8');
  const [text, by] = mutant.replace;
  const pieces = before.split(text);
  if (pieces.length !== 2)
    throw new Error(
      `${mutant.name}: "${text}" stands ${pieces.length - 1} times in ${mutant.file}, not once`,
    );
  await writeFile(path, pieces.join(by));
  return { bin: join(dir, 'bin/gochat'), [Symbol.asyncDispose]: () => rm(dir, { recursive: true }) };
}
