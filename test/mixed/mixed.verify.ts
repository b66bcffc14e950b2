/** Servers of the release before and of this tree in one system, as during an upgrade. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildCommit, findCommit } from '../../bench/lib/commit-tree.ts';
import { LINK_PROTOCOL } from '../../proto/mod.ts';
import { type Cluster, type Difference, engineUrl, freshDatabase, startCluster } from '../harness/cluster.ts';
import { eventually } from '../harness/eventually.ts';
import { Client, type Json, ROOT, type RunningServer, signup, startServer } from '../harness/gochat.ts';

/** Release 0.2, the last one whose link this tree refuses. No release yet has a link that it accepts. */
const REFUSED_RELEASE_COMMIT = '70bb8051c1a378e47c21fa04c9e9d42c006951e1';
const BUILD_DEADLINE_MS = 600_000;
const TEST_DEADLINE_MS = 300_000;
const LINES_EACH = 20;

/** Source tree of each kind of server. */
interface Fleet {
  readonly gateways: readonly Tree[];
  readonly states: readonly Tree[];
  /** ipconf and api. */
  readonly rest: Tree;
  /** Versions of the link that this tree's state nodes speak with the gateways' workers. */
  readonly versions: readonly number[];
}
type Tree = 'before' | 'now';

const folder = mkdtempSync(join(tmpdir(), 'gochat-mixed-'));
const cleanup = new AsyncDisposableStack();

beforeAll(async () => {
  const commit = await findCommit(REFUSED_RELEASE_COMMIT);
  if (commit === undefined)
    throw new Error(
      `this clone lacks commit ${REFUSED_RELEASE_COMMIT}: fetch it with git fetch --unshallow, or clone with history`,
    );
  cleanup.use(await buildCommit(commit, join(folder, 'before')));
}, BUILD_DEADLINE_MS);

afterAll(async () => {
  await cleanup.disposeAsync();
  rmSync(folder, { recursive: true, force: true });
}, TEST_DEADLINE_MS);

describe.each<[string, Fleet]>([
  [
    'two of each, of this tree',
    { gateways: ['now', 'now'], states: ['now', 'now'], rest: 'now', versions: [LINK_PROTOCOL.newest] },
  ],
])('%s', (_, fleet) => {
  test(
    'a conversation over TCP and WebSocket, with servers that drain',
    async () => {
      await using cluster = await start(fleet);
      expect(await versionsSpoken(cluster, fleet)).toEqual(fleet.versions);
      await Promise.all(['ann', 'bob', 'cleo'].map((name) => signup(cluster, name)));
      await using ann = new Client(cluster, 'ann');
      await using bob = new Client(cluster, 'bob', undefined, ['--device', 'page', '--transport', 'ws']);
      await using cleo = new Client(cluster, 'cleo', undefined, ['--device', 'phone']);
      const all = new Map(Object.entries({ ann, bob, cleo }));
      for (const client of all.values()) await client.event('synced');

      ann.say('/create hall');
      const { conversation } = await ann.event('joined');
      for (const name of ['bob', 'cleo']) {
        all.get(name)?.say('/join hall');
        await ann.event('member', ({ change, user }) => change === 'joined' && user === name);
      }
      await everybodyTalks(all, conversation, 'at first');
      ann.say('/dm bob between us');
      const direct = await bob.event('message', ({ text }) => text === 'between us');
      bob.say('/dm ann of course');
      expect(await ann.event('message', ({ text }) => text === 'of course')).toMatchObject({
        conversation: direct['conversation'],
        seq: 2,
      });
      // The joins of two come before.
      bob.say('/join hall', `/history ${LINES_EACH * 3}`);
      await eventually('the history', async () => historyOf(bob, conversation).length === LINES_EACH * 3);
      expect(historyOf(bob, conversation).map(({ seq }) => seq)).toEqual(seqs(3, LINES_EACH * 3 + 2));

      // Who was on the gateway that drains goes on elsewhere, with a named device in the same session.
      const [victim, other] = byClient(cluster, bob);
      const moving = [...all.values()].filter((client) => gatewayOf(client) === victim.up['instance']);
      victim.process.signal('SIGTERM');
      expect((await victim.process.exit()).code).toBe(0);
      for (const client of moving) {
        const { resumed } = await client.event(
          'connected',
          (event) => event['gateway'] === other.up['instance'],
        );
        expect(resumed).toBe(client !== ann);
      }
      ann.say('/join hall');
      await everybodyTalks(all, conversation, 'on one gateway');

      // The node that remains learns everything from the gateway, and nothing is lost meanwhile.
      const [leaving] = cluster.states as [RunningServer, RunningServer];
      leaving.process.signal('SIGTERM');
      expect((await leaving.process.exit()).code).toBe(0);
      await everybodyTalks(all, conversation, 'on one state node');

      bob.say('/leave');
      await bob.event('left');
      await ann.event('member', ({ change, user }) => change === 'left' && user === 'bob');
      ann.say('bob is out');
      await cleo.event('message', ({ text }) => text === 'bob is out');
      expect(bob.texts()).not.toContain('bob is out');
      for (const client of all.values()) client.end();
      for (const client of all.values()) expect((await client.exit()).code).toBe(0);
      for (const [name, client] of all) expectEverythingOnce(name, client, conversation);
    },
    TEST_DEADLINE_MS,
  );
});

describe('servers of release 0.2', () => {
  const remedy = LINK_PROTOCOL.remedy;

  test.each<[string, Tree, Tree, string]>([
    ['a gateway, at a state node of this tree', 'before', 'now', '1 to 2'],
    ['a state node, at a gateway of this tree', 'now', 'before', '3 to 3'],
  ])(
    '%s: is refused, and the logs say what to do',
    async (_, gatewayTree, stateTree, clientVersions) => {
      await using database = await freshDatabase();
      const env = {
        GOCHAT_REGISTRY: `${engineUrl('ETCD')}/mixed-${process.pid}-${gatewayTree}`,
        GOCHAT_STORE: database.url,
        GOCHAT_HOT: engineUrl('REDIS'),
        GOCHAT_WORKERS: '1',
        GOCHAT_LOG_LEVEL: 'info',
      };
      await using state = await startServer('state', env, [], rootOf(stateTree));
      await using gateway = await startServer('gateway', env, [], rootOf(gatewayTree));
      for (const server of [state, gateway]) {
        const line = await server.process.until(
          ({ stderr }) => stderr.split('\n').find((each) => each.includes('PROTOCOL_UNSUPPORTED')),
          'PROTOCOL_UNSUPPORTED',
        );
        expect(line).toContain(`speaks versions ${clientVersions} of `);
        // A state node of 0.2 that refuses knows no remedy.
        if (server !== state || stateTree === 'now')
          expect(line).toContain(JSON.stringify(remedy).slice(1, -1));
      }
      const ready = await fetch(`http://${gateway.up['admin']}/readyz`);
      expect([ready.status, await ready.text()]).toEqual([503, expect.stringContaining('no state server')]);
    },
    TEST_DEADLINE_MS,
  );
});

function start({ gateways, states, rest }: Fleet): Promise<Cluster> {
  const runs = (tree: Tree): Difference => ({ root: rootOf(tree) });
  return startCluster({ gateways: gateways.map(runs), states: states.map(runs), rest: runs(rest) });
}

function rootOf(tree: Tree): string {
  return tree === 'now' ? ROOT : join(folder, 'before');
}

/** Waits until each gateway worker has its stream to each of this tree's state nodes; returns the versions spoken. */
async function versionsSpoken(cluster: Cluster, { states, gateways }: Fleet): Promise<number[]> {
  const workers = gateways.length * Number(cluster.env['GOCHAT_WORKERS']);
  const spoken = new Set<number>();
  const here = cluster.states.filter((_, i) => states[i] === 'now');
  for (const { up } of here)
    await eventually(`the streams of ${workers} workers`, async () => {
      const metrics = await (await fetch(`http://${up['admin']}/metrics`)).text();
      const lines = metrics.matchAll(/^gochat_state_links\{[^}]*version="(\d+)"[^}]*\} (\d+)/gm);
      const counts = Array.from(lines, ([, version, count]) => [Number(version), Number(count)] as const);
      for (const [version, count] of counts) if (count > 0) spoken.add(version);
      return counts.reduce((sum, [, count]) => sum + count, 0) === workers;
    });
  return [...spoken].toSorted((a, b) => a - b);
}

/** Everybody says LINES_EACH lines at once; resolves when all have been acknowledged and seen by all others. */
async function everybodyTalks(all: ReadonlyMap<string, Client>, room: unknown, when: string): Promise<void> {
  for (const [name, client] of all)
    client.say(...Array.from({ length: LINES_EACH }, (_, i) => `${name} ${when} ${i}`));
  for (const [name, client] of all) {
    const others = LINES_EACH * (all.size - 1);
    await eventually(`what the others say ${when}, at ${name}`, async () => {
      const heard = messagesOf(client, room).filter(({ text }) => String(text).includes(when));
      return heard.length >= others;
    });
  }
}

/** The gateway that a client is connected to, and the other one. */
function byClient(cluster: Cluster, client: Client): [RunningServer, RunningServer] {
  const instance = gatewayOf(client);
  const [first, second] = cluster.gateways as [RunningServer, RunningServer];
  return first.up['instance'] === instance ? [first, second] : [second, first];
}

function gatewayOf(client: Client): unknown {
  return client.events.findLast(({ event }) => event === 'connected')?.['gateway'];
}

function messagesOf(client: Client, conversation: unknown): Json[] {
  return client.events.filter(
    (event) =>
      event['event'] === 'message' &&
      event['conversation'] === conversation &&
      event['history'] === undefined,
  );
}

function historyOf(client: Client, conversation: unknown): Json[] {
  return client.events.filter((event) => event['conversation'] === conversation && event['history'] === true);
}

function seqs(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

/** Checks that a client's sends and views make up the conversation: each seq once, others' messages in order. */
function expectEverythingOnce(name: string, client: Client, conversation: unknown): void {
  const sent = client.events.filter(
    (event) => event['event'] === 'sent' && event['conversation'] === conversation,
  );
  const shown = messagesOf(client, conversation).map(({ seq }) => Number(seq));
  expect(shown, name).toEqual(shown.toSorted((a, b) => a - b));
  // Two joins come first; the entry of Bob's leave is the one before the last.
  const last = LINES_EACH * 9 + 2;
  expect(
    [...shown, ...sent.map(({ seq }) => Number(seq))].toSorted((x, y) => x - y),
    name,
  ).toEqual([...seqs(3, last), ...(name === 'bob' ? [] : [last + 2])]);
  expect(
    client.events.filter(({ event }) => event === 'failed'),
    name,
  ).toEqual([]);
}
