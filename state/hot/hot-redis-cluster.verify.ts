import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { silentLogger } from '../../common/mod.ts';
import { freePorts } from '../../test/harness/services.ts';
import { newUser, session } from './hot-state.contract.ts';
import { openHotState } from './mod.ts';
import { eventually } from '../../test/harness/eventually.ts';

const logger = silentLogger;
const SLOTS = 16_384;
const PASSWORD = 'sesame';

interface Node {
  readonly port: number;
  /** Where the nodes talk to each other. */
  readonly busPort: number;
  readonly process: ChildProcess;
  readonly admin: Redis;
}

let dir: string;
let nodes: Node[] = [];

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'gochat-cluster-'));
  nodes = [await startNode(), await startNode()];
  const [one, two] = nodes;
  if (one === undefined || two === undefined) throw new Error('there are two nodes');
  await addSlots(one, 0, SLOTS / 2);
  await addSlots(two, SLOTS / 2, SLOTS);
  await one.admin.cluster('MEET', '127.0.0.1', two.port, two.busPort);
  for (const { admin } of nodes)
    await eventually('a cluster of two', async () => {
      const info = await admin.cluster('INFO');
      expect(info).toContain('cluster_state:ok');
      expect(info).toContain('cluster_known_nodes:2');
    });
});

afterAll(async () => {
  for (const { admin, process } of nodes) {
    admin.disconnect();
    await kill(process);
  }
  await rm(dir, { recursive: true });
});

describe('HotRedis on a Redis Cluster', () => {
  test('every method works, whichever node has the key', async () => {
    await using hot = await openHotState(urlOf(nodes[0]), { logger });
    const users = Array.from({ length: 50 }, newUser);
    for (const user of users) {
      const first = await hot.claim(user, 'phone', session(1), undefined);
      expect(await hot.holder(user, 'phone')).toEqual({ session: 1n, epoch: first.epoch });
      await hot.release(user, 'phone', first.epoch, 60_000);
      const second = await hot.claim(user, 'phone', session(2), session(1));
      expect(second).toMatchObject({ session: 1n, resumed: true });
      expect(second.epoch).toBeGreaterThan(first.epoch);
      expect((await hot.allow(`k${user}`, 0.001, 2)).allowed).toBe(true);
      expect((await hot.allow(`k${user}`, 0.001, 2)).allowed).toBe(true);
      await hot.giveBack(`k${user}`, 0.001, 2);
      await hot.remember(`s${user}`, '192.0.2.1', 60_000);
      expect(await hot.remembers(`s${user}`, '192.0.2.1')).toBe(true);
    }
    await hot.ping();
    const sizes = await Promise.all(nodes.map(({ admin }) => admin.dbsize()));
    expect(Math.min(...sizes)).toBeGreaterThan(0);
    expect(sizes.reduce((a, b) => a + b)).toBe(3 * users.length);
  });

  test('a node that dies: its keys are refused with HOT_UNAVAILABLE', async () => {
    await using hot = await openHotState(urlOf(nodes[0]), { logger, timeoutMs: 5000 });
    await kill(nodes[1]?.process);
    const holders = await Promise.allSettled(
      Array.from({ length: 50 }, () => hot.holder(newUser(), 'phone')),
    );
    const refused = holders.filter((holder) => holder.status === 'rejected');
    expect(refused.length).toBeGreaterThan(0);
    for (const { reason } of refused) expect(reason).toMatchObject({ code: 'HOT_UNAVAILABLE' });
  });
});

function urlOf(node: Node | undefined): string {
  return `redis://:${PASSWORD}@127.0.0.1:${node?.port}?cluster=true`;
}

async function startNode(): Promise<Node> {
  const [port, busPort] = (await freePorts(2)) as [number, number];
  const options = { port, bind: '127.0.0.1', dir, save: '', requirepass: PASSWORD, masterauth: PASSWORD };
  const cluster = {
    'cluster-enabled': 'yes',
    'cluster-port': busPort,
    'cluster-config-file': `nodes-${port}.conf`,
  };
  const args = Object.entries({ ...options, ...cluster }).flatMap(([name, value]) => [
    `--${name}`,
    `${value}`,
  ]);
  const process = spawn('redis-server', args, { stdio: 'ignore' });
  const admin = new Redis({ port, password: PASSWORD });
  admin.on('error', () => undefined);
  await admin.ping();
  return { port, busPort, process, admin };
}

async function kill(process: ChildProcess | undefined): Promise<void> {
  if (process?.exitCode !== null || process.signalCode !== null) return;
  const exit = once(process, 'exit');
  process.kill('SIGKILL');
  await exit;
}

async function addSlots({ admin }: Node, from: number, to: number): Promise<void> {
  await admin.cluster(
    'ADDSLOTS',
    Array.from({ length: to - from }, (_, i) => from + i),
  );
}
