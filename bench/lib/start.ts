/**
 * How long GoChat takes to start, beside a Node.js that does nothing, in the same rounds.
 *
 * `gochat up` opens a store of 80 MB; the servers apart start on engines that run. "Ready" is the line by which each says
 * that it is up; a command is ready when it has ended.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import {
  type ConversationId,
  type MessageId,
  silentLogger,
  Snowflake,
  type UserId,
} from '../../common/mod.ts';
import { DEFAULT_ENTRY_RULES, openStore } from '../../state/mod.ts';
import { Child, ROOT, run } from './child.ts';
import { startServer } from './gochat.ts';
import { median } from './runner.ts';
import { environment, type Findings, type StudyContext } from './study.ts';
import { sample } from './usage.ts';

const BIN = join(ROOT, 'bin/gochat');
const ROUNDS = 5;
const STORE_BYTES = 80_000_000;
const BATCH = 1000;
/** Node number in the ids of the messages; state nodes and Seeds have others. */
const STORE_NODE = 1021;
/** Goal for the start of `gochat up`: a multiple of Node.js's, plus a second. */
const ALLOWED_NODES = 4;
const ALLOWED_MS = 1000;

export async function start({ services, folder, quick, notMet, profiles }: StudyContext): Promise<Findings> {
  const data = join(folder, 'start');
  await fill(`sqlite://${data}/gochat.db`, join(data, 'gochat.db'));
  const env = environment(services, profiles);
  // A gateway waits for one.
  await using _ = (await startServer('state', [], { env })).child;
  const server = (mode: string) => async () => {
    const { child } = await startServer(mode, mode === 'gateway' ? ['--ws-port', '0'] : [], { env });
    await using _ = child;
    return performance.now();
  };
  const command = (file: string, args: readonly string[]) => async () => {
    await run(file, args);
    return performance.now();
  };
  let cpuMs = Number.NaN;
  const starts: Readonly<Record<string, () => Promise<number>>> = {
    'node -e 0': command(process.execPath, ['-e', '0']),
    'gochat --help': command(BIN, ['--help']),
    'gochat up': async () => {
      const ports = ['gateway', 'ws', 'ipconf', 'api', 'admin'].flatMap((name) => [`--${name}-port`, '0']);
      await using child = new Child('gochat up', BIN, ['up', '--data-dir', data, ...ports], { cwd: ROOT });
      await child.until((output) => output.includes('GoChat is up') || undefined);
      const end = performance.now();
      cpuMs = sample([child]).cpuMs.get(child.name) ?? Number.NaN;
      return end;
    },
    'gochat state': server('state'),
    'gochat gateway': server('gateway'),
    'gochat ipconf': server('ipconf'),
    'gochat api': server('api'),
  };
  const times = new Map(Object.keys(starts).map((name) => [name, [] as number[]]));
  for (let round = 0; round < (quick ? 1 : ROUNDS); round++) {
    for (const [name, begin] of Object.entries(starts)) {
      const began = performance.now();
      times.get(name)?.push((await begin()) - began);
    }
  }
  const ms = (name: string) => median(times.get(name) ?? []);
  const node = ms('node -e 0');
  const allowed = ALLOWED_NODES * node + ALLOWED_MS;
  if (ms('gochat up') > allowed) notMet(`gochat up starts in ${ms('gochat up')} ms, not in ${allowed}`);
  return {
    'store MB': statSync(join(data, 'gochat.db')).size / 1e6,
    'median ms until ready': Object.fromEntries([...times.keys()].map((name) => [name, ms(name)])),
    'gochat up, CPU ms of its last start': cpuMs,
    'allowed for gochat up, ms': allowed,
  };
}

/** Makes a store of STORE_BYTES: a room with many messages. */
async function fill(url: string, path: string): Promise<void> {
  await using store = await openStore(url, { logger: silentLogger });
  const ids = new Snowflake(STORE_NODE);
  const user = ids.next() as UserId;
  await store.createAccount({ id: user, name: 'writer', passwordHash: '!' });
  const room = await store.createRoom(ids.next() as ConversationId, 'archive', user);
  if (room === undefined) throw new Error('The room archive is there already.');
  for (let n = 0; statSync(path).size < STORE_BYTES; n += BATCH) {
    await store.append(
      Array.from({ length: BATCH }, (_, i) => ({
        conversation: room.id,
        sender: user,
        clientMsgId: String(n + i),
        id: ids.next() as MessageId,
        text: 'x'.repeat(128),
        atMs: Date.now(),
        entry: undefined,
      })),
      DEFAULT_ENTRY_RULES,
    );
  }
}
