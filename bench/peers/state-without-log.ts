/**
 * A state server whose `append` keeps nothing: seqs come from memory, every sender counts as a member. It tells what
 * the log costs. All else, accounts and members included, is the real store's.
 *
 *     node bench/peers/state-without-log.ts REGISTRY HOT STORE
 */
import { createLogger } from '../../common/mod.ts';
import { openRegistry } from '../../crpc/mod.ts';
import { openHotState, openStore, StateServer, type Store } from '../../state/mod.ts';

const [registryUrl, hotUrl, storeUrl] = process.argv.slice(2) as [string, string, string];
const logger = createLogger({ name: 'state-without-log', level: 'warn' });
const registry = openRegistry(registryUrl, { logger });
const store = await openStore(storeUrl, { logger });
const hot = await openHotState(hotUrl, { logger });

const lastSeqs = new Map<bigint, number>();
const append: Store['append'] = (drafts) =>
  Promise.resolve(
    drafts.map(({ conversation, id, atMs }) => {
      const seq = (lastSeqs.get(conversation) ?? 0) + 1;
      lastSeqs.set(conversation, seq);
      return { ok: true, seq, id, atMs, duplicate: false, memberVersion: 1, target: 0, quote: undefined };
    }),
  );
const withoutLog = new Proxy(store, {
  get(target, name) {
    if (name === 'append') return append;
    const value: unknown = Reflect.get(target, name, target);
    return typeof value === 'function' ? (value.bind(target) as unknown) : value;
  },
});

const state = new StateServer({ name: 'state', port: 0, registry, store: withoutLog, hot, logger });
await state.start();
process.stdout.write(`${JSON.stringify({ port: Number(state.address.split(':').at(-1)) })}\n`);
process.on('SIGTERM', () => process.exit(0));
