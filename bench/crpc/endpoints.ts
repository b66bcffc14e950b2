/** Cost of many endpoints: a choice and a call among 1,000 instead of 3. */
import { Metadata, status } from '@grpc/grpc-js';
import type { experimental } from '@grpc/grpc-js';
import { Channel, MemoryRegistry, Rendezvous, createClient, hashKey } from '../../crpc/mod.ts';
import type { BalancerName, BalancerOptions, Endpoint } from '../../crpc/mod.ts';
import { EchoService } from '../../crpc/testing/gen/echo.ts';
import { callRate, compete, median, ratioRows } from './compete.ts';
import type { Timing } from './compete.ts';
import type { Row } from './report.ts';
import type { BenchServer } from './server.ts';

const FEW = 3;
const MANY = 1000;
const KEYS = 64;
const PICKS_AT_ONCE = 1000;
const KEY_METADATA = 'crpc-key';
const request = { text: 'x', count: 1 };

/**
 * Cost among 1,000 endpoints ÷ among 3: of the balancer alone, which decides for every call; of a whole call over as
 * many connections; of a whole call as it is by default, spread over up to 64 connections. The resolver has no part in
 * a call.
 */
export async function measureEndpoints({ addresses, cpu }: BenchServer, timing: Timing): Promise<Row[]> {
  const rows: Row[] = [];
  for (const policy of ['round-robin', 'least-loaded', 'rendezvous'] as const) {
    const open = (count: number, narrow: boolean) => Caller.open(policy, count, addresses.port, narrow);
    const [few, many, spread] = [await open(FEW, false), await open(MANY, true), await open(MANY, false)];
    const picks = await compete(
      { few: (ms) => few.picks(ms), many: (ms) => many.picks(ms), spread: (ms) => spread.picks(ms) },
      { ...timing, ms: timing.ms / 4 },
      cpu,
    );
    const calls = await compete(
      { few: (ms) => few.calls(ms), many: (ms) => many.calls(ms), spread: (ms) => spread.calls(ms) },
      timing,
      cpu,
    );
    for (const caller of [few, many, spread]) await caller.close();
    const ratio = `cost at ${MANY} endpoints ÷ at ${FEW}`;
    rows.push(
      { what: `a pick by ${policy}, ${FEW} endpoints`, value: 1e6 / median(picks.few.perSecond), unit: 'µs' },
      {
        what: `a pick by ${policy}, ${MANY} endpoints`,
        value: 1e6 / median(picks.spread.perSecond),
        unit: 'µs',
      },
      ...ratioRows(`a pick by ${policy}, ${ratio}`, picks.few, picks.spread, { atMost: 2 }),
      ...ratioRows(`  of those, ${FEW} connected`, picks.few, picks.many, { atMost: 2 }),
      { what: `a call by ${policy}, ${FEW} endpoints`, value: median(calls.few.perSecond), unit: 'calls/s' },
      ...ratioRows(`a call by ${policy}, ${ratio}`, calls.few, calls.many, { atMost: 2 }),
      ...ratioRows(`  spread over up to 64 connections`, calls.few, calls.spread, {}),
    );
  }
  rows.push({ what: `the owner of a new key among ${MANY}`, value: newKeyMicros(), unit: 'µs' });
  return rows;
}

/** A client among so many endpoints. */
class Caller {
  readonly #registry: MemoryRegistry;
  readonly #channel: Channel;
  readonly #keys: readonly string[];
  readonly #client;

  private constructor(registry: MemoryRegistry, balancer: BalancerOptions, keys: readonly string[]) {
    this.#registry = registry;
    this.#channel = new Channel('memory:///bench', { registry, balancer, timeoutMs: 60_000 });
    this.#client = createClient(EchoService, this.#channel);
    this.#keys = keys;
  }

  /** @param narrow connects to only three of them */
  static async open(policy: BalancerName, count: number, port: number, narrow: boolean): Promise<Caller> {
    const registry = new MemoryRegistry(`memory://${policy}/${count}/${narrow}`);
    const endpoints = Array.from({ length: count }, (_, index) => endpoint(index, port));
    for (const one of endpoints) await registry.register('bench', one);
    const ids = endpoints.map(({ id }) => id);
    const caller = new Caller(
      registry,
      { policy, ...(narrow ? { maxEndpoints: FEW } : undefined) },
      keysOf(ids, narrow ? FEW : count),
    );
    await caller.calls(500);
    return caller;
  }

  calls(ms: number): Promise<number> {
    let turn = 0;
    return callRate(() => this.#client.unary(request, { key: this.#keys[turn++ % KEYS] }), ms);
  }

  /** Asks the balancer as grpc-js does for each call, and reports the call's start and end to it. */
  async picks(ms: number): Promise<number> {
    const picker = pickerOf(this.#channel);
    const calls = this.#keys.map((key) => {
      const metadata = new Metadata();
      metadata.set(KEY_METADATA, key);
      return { metadata, extraPickInfo: {} };
    });
    let picks = 0;
    const begin = performance.now();
    while (performance.now() - begin < ms) {
      for (let i = 0; i < PICKS_AT_ONCE; i++) {
        const { subchannel, onCallStarted, onCallEnded } = picker.pick(
          calls[picks++ % KEYS] as experimental.PickArgs,
        );
        if (subchannel === null) throw new Error('the balancer has no connection');
        onCallStarted?.();
        onCallEnded?.(status.OK, '', new Metadata());
      }
    }
    return (picks / (performance.now() - begin)) * 1000;
  }

  async close(): Promise<void> {
    this.#channel.close();
    await this.#registry.close();
  }
}

/** The configuration selector of grpc-js, which does not export it. */
function pickerOf(channel: Channel): experimental.Picker {
  const inner = channel.grpc.getChannel() as unknown as {
    internalChannel: { currentPicker: experimental.Picker };
  };
  return inner.internalChannel.currentPicker;
}

/** Returns keys that only so many endpoints own: rendezvous connects to the owners of keys. */
function keysOf(ids: readonly string[], owners: number): string[] {
  const chooser = new Rendezvous(ids);
  const known = new Set<number>();
  const keys: string[] = [];
  for (let i = 0; keys.length < KEYS; i++) {
    const { hi, lo } = hashKey(String(i));
    const owner = chooser.pick(hi, lo);
    if (known.size < owners) known.add(owner);
    if (known.has(owner)) keys.push(String(i));
  }
  return keys;
}

/** The cost of a key that is not in the balancer's cache of owners. */
function newKeyMicros(): number {
  const chooser = new Rendezvous(Array.from({ length: MANY }, (_, index) => `node-${index}`));
  let sum = 0;
  const begin = performance.now();
  for (let i = 0; i < 100_000; i++) sum += chooser.pick(i, ~i);
  if (sum < 0) throw new Error('there is always an owner');
  return (performance.now() - begin) / 100;
}

/** A distinct loopback address for each endpoint. */
function endpoint(index: number, port: number): Endpoint {
  const [high, low] = [Math.floor(index / 250), index % 250];
  return {
    id: `node-${index}`,
    address: `127.1.${high}.${low + 1}:${port}`,
    weight: 1,
    zone: '',
    version: '1',
    metadata: { name: `node-${index}` },
    load: {},
  };
}
