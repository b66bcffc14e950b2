/** The scenario of stuck-readers.verify.ts, in its own process: prints its observations as JSON. */
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeFrame, framePayload, FrameType, Message, Send } from '../../proto/client.ts';
import { type SystemUrls, startUp } from '../harness/gochat.ts';
import { RawClient, tokenOf } from '../harness/raw-client.ts';
import { eventually } from '../harness/eventually.ts';

/** The report of the scenario. */
export interface StuckReport {
  readonly readers: number;
  /** Figures when all readers are slow, and after as many messages again and more. */
  readonly full: Held;
  readonly later: Held;
  /** Readers that read again and were told to resynchronise. */
  readonly resynced: number;
  /** Disconnects by code, once the others' time was over. */
  readonly slowConsumers: number;
  readonly after: Held;
  readonly said: number;
  /** Messages of the healthy reader, in order. */
  readonly heard: readonly number[];
}

export interface Held {
  readonly behind: number;
  readonly queuedBytes: number;
  readonly residentBytes: number;
}

const READERS = Number(process.argv[2]);
const MAX_OUTBOUND_BYTES = 65_536;
const TEXT = 'x'.repeat(8000);
/** Messages sent once all readers are slow: 30 times what may be queued for one. */
const MORE = (30 * MAX_OUTBOUND_BYTES) / TEXT.length;
/** One reader in REPENTANT reads again in time. */
const REPENTANT = 10;
const ROOM = 'flood';

const folder = mkdtempSync(join(tmpdir(), 'gochat-stuck-'));
const config = join(folder, 'gochat.yaml');
const configure = (slowTimeoutMs: number) =>
  writeFileSync(config, `max_outbound_bytes: ${MAX_OUTBOUND_BYTES}\nslow_timeout_ms: ${slowTimeoutMs}\n`);

try {
  configure(600_000);
  await using up = await startUp(join(folder, 'data'), ['--workers', '1', '--config', config]);
  const report = await run(up, up.gateway, up.admin, up.process.child.pid as number, () => {
    configure(1000);
    up.process.signal('SIGHUP');
  });
  process.stdout.write(`${JSON.stringify(report)}\n`);
} finally {
  rmSync(folder, { recursive: true });
}

async function run(
  urls: SystemUrls,
  gateway: string,
  admin: string,
  pid: number,
  loseTimeLeft: () => void,
): Promise<StuckReport> {
  const [token, speaker] = [await tokenOf(urls, 'test', '111111'), await tokenOf(urls, 'demo', '111111')];
  await post(`${urls.api}/rooms`, { name: ROOM }, speaker);
  const join = async (as: string): Promise<RawClient> => {
    const client = new RawClient(gateway);
    await client.hello(as, { room: ROOM });
    return client;
  };
  const held = () => heldBy(admin, pid);
  const [sender, healthy] = [await join(speaker), await join(speaker)];
  const heard: number[] = [];
  healthy.socket.on('data', () => {
    for (const frame of healthy.frames.splice(0))
      if (frame[4] === FrameType.MESSAGE) heard.push(Number(Message.decode(framePayload(frame)).seq));
  });

  const stuck: RawClient[] = [];
  for (let i = 0; i < READERS; i++) {
    const reader = await join(token);
    reader.socket.pause();
    stuck.push(reader);
  }

  let said = 0;
  const say = async (): Promise<void> => {
    const ref = (said++ % 60_000) + 1;
    const send = Send.encode(Send.fromPartial({ clientMsgId: `m${said}`, text: TEXT })).finish();
    sender.send(encodeFrame(FrameType.SEND, ref, 0n, send));
    while (!sender.frames.some((frame) => frame[4] === FrameType.SENT)) await once(sender.socket, 'data');
    sender.frames.length = 0;
  };
  const isHeard = () => Promise.resolve(heard.length === said);

  while ((await held()).behind < READERS) for (let i = 0; i < 20; i++) await say();
  await eventually('all heard', isHeard);
  const full = await held();
  for (let i = 0; i < MORE; i++) await say();
  await eventually('all heard', isHeard);
  const later = await held();

  const repentant = stuck.filter((_, i) => i % REPENTANT === 0);
  for (const reader of repentant) reader.socket.resume();
  await Promise.all(repentant.map((reader) => reader.frame(FrameType.RESYNC)));

  loseTimeLeft();
  const lost = READERS - repentant.length;
  const slowConsumers = () =>
    metric(admin, /^gochat_gateway_disconnects_total\{.*code="SLOW_CONSUMER".*\} (\d+)/gm);
  await eventually('the end of the others', async () => (await slowConsumers()) >= lost);
  await eventually('an empty queue', async () => (await held()).behind === 0);
  await say();
  await eventually('all heard', isHeard);
  const report = {
    readers: READERS,
    full,
    later,
    said,
    heard,
    resynced: repentant.length,
    slowConsumers: await slowConsumers(),
    after: await held(),
  };
  for (const client of [...stuck, sender, healthy]) client.socket.destroy();
  return report;
}

async function heldBy(admin: string, pid: number): Promise<Held> {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kilobytes = Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]);
  return {
    behind: await metric(admin, /^gochat_gateway_slow_connections\S* (\d+)/gm),
    queuedBytes: await metric(admin, /^gochat_gateway_slow_bytes\S* (\d+)/gm),
    residentBytes: kilobytes * 1024,
  };
}

/** Sums a metric. */
async function metric(admin: string, pattern: RegExp): Promise<number> {
  const text = await (await fetch(`${admin}/metrics`)).text();
  return [...text.matchAll(pattern)].reduce((sum, [, value]) => sum + Number(value), 0);
}

async function post(url: string, body: unknown, token: string): Promise<void> {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` };
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`);
}
