import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { freePorts } from '../harness/services.ts';
import { Client, Gochat, type Json } from '../harness/gochat.ts';

const ROUNDS = 4;
const SENDS = 2000;

test('kill -9 of gochat up, again and again in the middle of sends: every acknowledged message is in the log, once, in order', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gochat-embedded-'));
  const [gateway, ws, ipconf, api, admin] = await freePorts(5);
  // The same ports each time: the clients come back by themselves.
  const ports = Object.entries({ gateway, ws, ipconf, api, admin }).flatMap(([name, port]) => [
    `--${name}-port`,
    `${port}`,
  ]);
  const urls = { ipconf: `http://127.0.0.1:${ipconf}`, api: `http://127.0.0.1:${api}` };
  const start = async () => {
    const up = new Gochat(['up', '--data-dir', folder, '--workers', '1', ...ports]);
    await up.until((self) => (self.stdout.includes('Ctrl-C') ? true : undefined), 'GoChat is up', 120_000);
    return up;
  };
  const long = ['--timeout-ms', '180000'];
  let up = await start();
  try {
    await using demo = new Client(urls, 'demo', '111111', long);
    await using reader = new Client(urls, 'test', '111111', long);
    await Promise.all([demo.event('synced'), reader.event('synced')]);
    demo.say('/dm test', ...Array.from({ length: SENDS }, (_, i) => `${i}`));
    const acks = () => demo.events.filter((event) => event['event'] === 'sent');
    let early = 0;
    for (let round = 1; round <= ROUNDS; round++) {
      // After another part of its share in each round; at once where the sends have passed that point already.
      const part = ((round * 0.37) % 1) * (SENDS / ROUNDS);
      const mark = Math.min(acks().length + 1 + Math.floor(part), SENDS);
      await demo.until(() => (acks().length >= mark ? true : undefined), `${mark} acks`, 120_000);
      up.signal('SIGKILL');
      await up.exit();
      // What the client has printed by now is all that was acknowledged before.
      if (acks().length < SENDS) early++;
      up = await start();
    }
    expect(early).toBeGreaterThan(0);
    await demo.until(() => (acks().length >= SENDS ? true : undefined), 'an ack for everything', 180_000);
    await reader.until(
      (self) => (messagesOf(self).length >= SENDS ? true : undefined),
      'everything',
      180_000,
    );

    const seen = messagesOf(reader);
    expect(seen.map(({ text }) => text)).toEqual(Array.from({ length: SENDS }, (_, i) => `${i}`));
    expect(seen.map(({ seq }) => seq)).toEqual(Array.from({ length: SENDS }, (_, i) => i + 1));
    const idOf = new Map(seen.map(({ seq, id }) => [seq, id]));
    for (const ack of acks()) expect(idOf.get(ack['seq'])).toBe(ack['id']);
  } finally {
    await up[Symbol.asyncDispose]();
  }
  // Any SQLite reads the file.
  const file = (await readdir(folder)).find((name) => name.endsWith('.db'));
  using database = new DatabaseSync(join(folder, file ?? ''), { readOnly: true });
  expect(database.prepare('pragma integrity_check').get()).toEqual({ integrity_check: 'ok' });
  expect(database.prepare('select count(*) as rows, max(seq) as last from messages').get()).toEqual({
    rows: SENDS,
    last: SENDS,
  });
  await rm(folder, { recursive: true });
}, 900_000);

function messagesOf(client: Client): readonly Json[] {
  return client.events.filter((event) => event['event'] === 'message');
}
