/**
 * What entries cost beside texts: CPU time of gateway, state and PostgreSQL for an edit, a retraction, a reply with its
 * quote, a reply in a thread, and a mix of texts and these, in the same closed loop.
 */
import { startServer } from './gochat.ts';
import type { Entries } from './load.ts';
import { coresOf } from './report.ts';
import { median } from './runner.ts';
import { MEMBERS } from './scenarios.ts';
import { Seeds } from './seed.ts';
import { environment, type Findings, type StudyContext } from './study.ts';

/** Most CPU time of an entry, in units of a text's in the same round. */
const GOALS = { edit: 1.5, retract: 1.5, reply: 2, thread: 2 } as const satisfies Partial<
  Record<Entries, number>
>;
/** Of a mix, the least that is acknowledged a second, in units of texts alone in the same round. */
const LEAST_MIXED = 0.9;
const KINDS: readonly Entries[] = ['text', 'edit', 'retract', 'reply', 'thread', 'mix'];
const ROUNDS = 5;
const SECONDS = 3;
const WARMUP_S = 1;
/** Of each sender: what can be edited, answered and retracted. */
const FIRST_TEXTS = 4;
/** Of the messages that can be retracted, to those that texts alone would be in the time. */
const RETRACT_SUPPLY = 1.5;

/** Of one round of a kind: acknowledged a second, and CPU time of each, µs. */
type Cost = Readonly<Record<'rate' | 'all' | 'gateway' | 'state' | 'postgres', number>>;

export async function entries(context: StudyContext): Promise<Findings> {
  const { load, services, signal, profiles, quick, notMet } = context;
  await using stack = new AsyncDisposableStack();
  const env = environment(services, profiles);
  const state = stack.use((await startServer('state', [], { env })).child);
  const { child, up } = await startServer('gateway', ['--ws-port', '0'], { env });
  const gateway = stack.use(child);
  const connections = await new Seeds(services.store).connections({
    scenario: 'direct',
    connections: MEMBERS,
  });
  const rounds = new Map<Entries, Cost[]>(KINDS.map((kind) => [kind, []]));
  const measure = async (kind: Entries, firstSends: number) => {
    await services.settle();
    const { load: result, usage } = await load.run(
      {
        protocol: 'gochat',
        scenario: 'direct',
        ports: [Number(up['tcp']?.split(':').at(-1))],
        connections,
        entries: kind,
        firstSends,
        seconds: SECONDS,
        warmup: WARMUP_S,
      },
      [gateway, state, services.postgres],
      signal,
    );
    for (const [what, times] of Object.entries(result.errors)) notMet(`${kind}: ${what} (${times} times)`);
    const microsOf = (cores: number) => (cores / result.acked_per_s) * 1e6;
    const share = (name: string) => microsOf(coresOf(usage.filter((each) => each.name === name)));
    return {
      rate: result.acked_per_s,
      all: microsOf(coresOf(usage)),
      gateway: share('gateway'),
      state: share('state'),
      postgres: share('postgres'),
    };
  };
  // The first does not count: V8 compiles.
  let { rate } = await measure('mix', FIRST_TEXTS * MEMBERS);
  for (let round = 0; round < (quick ? 1 : ROUNDS); round++) {
    for (const kind of KINDS) {
      const supply = Math.ceil(rate * (SECONDS + WARMUP_S) * RETRACT_SUPPLY);
      const measured = await measure(kind, kind === 'retract' ? supply : FIRST_TEXTS * MEMBERS);
      if (kind === 'text') ({ rate } = measured);
      rounds.get(kind)?.push(measured);
    }
  }
  const costs = (kind: Entries) => rounds.get(kind) as Cost[];
  const ratio = (kind: Entries) =>
    median(costs(kind).map(({ all }, round) => all / (costs('text')[round] as Cost).all));
  for (const [kind, most] of Object.entries(GOALS) as [keyof typeof GOALS, number][])
    if (ratio(kind) > most) notMet(`${kind} costs ${ratio(kind).toFixed(2)} texts, not ${most.toFixed(2)}`);
  const mixed = median(costs('mix').map(({ rate: one }, round) => one / (costs('text')[round] as Cost).rate));
  if (mixed < LEAST_MIXED) notMet(`of a mix, ${mixed.toFixed(2)} as many as texts are acknowledged a second`);
  const byKind = (of: (kind: Entries) => number) => Object.fromEntries(KINDS.map((kind) => [kind, of(kind)]));
  const medians = (of: keyof Cost) => byKind((kind) => median(costs(kind).map((each) => each[of])));
  return {
    'CPU ÷ text': byKind(ratio),
    'goal, at most': GOALS,
    'acked/s of a mix ÷ texts, at least 0.9': { mix: mixed },
    'CPU µs each, gateway, state and PostgreSQL': medians('all'),
    'gateway, CPU µs': medians('gateway'),
    'state, CPU µs': medians('state'),
    'PostgreSQL, CPU µs': medians('postgres'),
    'acked/s': medians('rate'),
  };
}
