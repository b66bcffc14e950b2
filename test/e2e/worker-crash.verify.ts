import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Client, signup, startUp } from '../harness/gochat.ts';
import { INSPECTABLE, Inspector } from '../harness/inspector.ts';
import { eventsOf, expectEverything, lineOf } from './hall.ts';
import { eventually } from '../harness/eventually.ts';

const SENDERS = ['ann', 'bob', 'cleo', 'dan'] as const;
const READER = 'eve';
/** Interval of each sender's messages. */
const SAY_INTERVAL_MS = 20;
/** Small enough that a worker's heap is full within seconds. */
const HEAP = '--max-old-space-size=192';

/** The ways in which a worker may die, with the log line of each. */
const DEATHS = [
  [`setImmediate(() => { throw new Error('a bug') })`, /"message":"a bug".*a gateway worker failed/],
  ['process.exit(3)', /"exitCode":3,.*a gateway worker is replaced/],
  [
    // Many small objects: one large one that does not fit ends the process before Node.js can end the worker.
    'let hoard; setInterval(() => { for (let i = 0; i < 1e6; i++) hoard = { hoard, i }; })',
    /ERR_WORKER_OUT_OF_MEMORY.*a gateway worker ended with an error/,
  ],
] as const;

test('a thread of the SQLite store dies under load: it is replaced, and every client gets everything', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'gochat-crash-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  await using up = await startUp(folder, [], { NODE_OPTIONS: INSPECTABLE });
  using inspector = await Inspector.attach(up.process.stderr);
  await Promise.all([signup(up, 'ann'), signup(up, 'bob')]);
  await using ann = new Client(up, 'ann');
  await using bob = new Client(up, 'bob', undefined, ['--device', 'one']);
  await Promise.all([ann.event('synced'), bob.event('synced')]);
  ann.say('/dm bob');
  await ann.event('joined');
  let sends = 0;
  const saying = setInterval(() => ann.say(lineOf('ann', sends++)), SAY_INTERVAL_MS);
  const moreAcks = async () => {
    const before = eventsOf(ann, 'sent').length;
    await eventually('acks', () => Promise.resolve(eventsOf(ann, 'sent').length > before + 20));
  };
  const deaths = [
    ['sqlite-worker', 'process.exit(3)'],
    ['sqlite-worker', `setImmediate(() => { throw new Error('a bug') })`],
    ['sqlite-reader', 'process.exit(3)'],
  ] as const;
  for (const [i, [worker, expression]] of deaths.entries()) {
    await moreAcks();
    await inspector.evaluate(worker, expression);
    await up.process.until(
      ({ stderr }) => (stderr.match(/the SQLite worker is replaced/g)?.length ?? 0) > i || undefined,
      'a successor',
    );
  }
  await moreAcks();
  clearInterval(saying);
  await eventually('readiness', async () => (await fetch(`${up.admin}/readyz`)).status === 200);
  ann.end();
  expect((await ann.exit()).code).toBe(0);
  await eventually('all messages at the reader', () =>
    Promise.resolve(eventsOf(bob, 'message').length >= sends),
  );
  expectEverything(bob, new Map([['ann', ann]]), sends);
});

test('workers that die under load, each in another way: they are replaced, and every client gets everything', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'gochat-crash-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const env = { NODE_OPTIONS: `${INSPECTABLE} ${HEAP}` };
  await using up = await startUp(folder, ['--log-level', 'info'], env);
  using inspector = await Inspector.attach(up.process.stderr);
  await using cleanup = new AsyncDisposableStack();
  const enter = async (name: string) => {
    await signup(up, name);
    const client = cleanup.use(new Client(up, name, undefined, ['--device', 'one']));
    await client.event('connected');
    client.say(name === SENDERS[0] ? '/create hall' : '/join hall');
    await client.event('joined');
    return client;
  };
  const senders = new Map<string, Client>();
  for (const name of SENDERS) senders.set(name, await enter(name));
  const clients = [...senders.values()];
  const reader = await enter(READER);

  let sends = 0;
  const saying = setInterval(() => {
    for (const [name, client] of senders) client.say(lineOf(name, sends));
    sends++;
  }, SAY_INTERVAL_MS);
  const acked = () => clients.reduce((sum, client) => sum + eventsOf(client, 'sent').length, 0);
  const moreAcks = async () => {
    const before = acked();
    await eventually('acks', () => Promise.resolve(acked() > before + 100));
  };
  for (const [i, [expression, log]] of DEATHS.entries()) {
    await moreAcks();
    await inspector.evaluate(`gateway-worker-${i % 2}`, expression);
    await up.process.until(({ stderr }) => (log.test(stderr) ? true : undefined), String(log));
    // Each has its successor, which has reached state.
    await up.process.until(
      ({ stderr }) => ((stderr.match(/"msg":"link opened"/g)?.length ?? 0) >= 3 + i ? true : undefined),
      'a successor',
    );
  }
  await moreAcks();
  clearInterval(saying);
  expect((await fetch(`${up.admin}/readyz`)).status).toBe(200);

  for (const client of clients) client.end();
  for (const client of clients) expect((await client.exit(120_000)).code).toBe(0);
  const total = senders.size * sends;
  await eventually('all messages at the reader', () =>
    Promise.resolve(eventsOf(reader, 'message').length >= total),
  );
  expectEverything(reader, senders, sends);

  // Who was on a worker that died in an orderly way was told to come back at once.
  const told = [...clients, reader].flatMap((client) =>
    eventsOf(client, 'disconnected').filter((event) => event['code'] === 'WORKER_FAILED'),
  );
  const metrics = await (await fetch(`${up.admin}/metrics`)).text();
  expect(metrics).toMatch(/gochat_gateway_worker_restarts_total\S* 3/);
  const failed =
    /gochat_gateway_disconnects_total\{.*code="WORKER_FAILED".*\} (\d+)/.exec(metrics)?.[1] ?? '0';
  expect(told.length).toBeLessThanOrEqual(Number(failed));
  for (const event of told) expect(event['retry_in_ms']).toBeLessThanOrEqual(2000);
}, 480_000);
