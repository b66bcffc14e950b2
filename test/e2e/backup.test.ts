import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { Client, runGochat, startUp } from '../harness/gochat.ts';
import { eventually } from '../harness/eventually.ts';

/** As many as a new device reads at most. */
const SENDS = 1000;

test('ctl backup and restore while people write: the copy has every message acknowledged before it, and the restored system has them', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gochat-backup-'));
  const file = join(folder, 'copy.db');
  const data = join(folder, 'data');
  let copied = 0;
  {
    await using up = await startUp(data);
    const ctl = (...args: string[]) => runGochat(['ctl', ...args, '--admin', up.admin]);
    await using demo = new Client(up, 'demo', '111111');
    const acks = () => demo.events.filter(({ event }) => event === 'sent').length;
    demo.say('/dm test', ...Array.from({ length: SENDS }, (_, i) => `${i}`));
    await eventually('some acks', async () => acks() > 100);
    const before = acks();
    expect((await ctl('backup', file)).code).toBe(0);
    await eventually('an ack for everything', async () => acks() === SENDS);
    // Any SQLite reads it.
    using copy = new DatabaseSync(file, { readOnly: true });
    expect(copy.prepare('pragma integrity_check').get()).toEqual({ integrity_check: 'ok' });
    const { last } = copy.prepare('select max(seq) as last from messages').get() as { last: number };
    expect(last).toBeGreaterThanOrEqual(before);
    copied = last;

    expect((await ctl('restore', file)).code).toBe(0);
    expect((await up.process.exit()).code).toBe(0);
  }
  await using up = await startUp(data);
  await using reader = new Client(up, 'test', '111111');
  await reader.event('synced');
  expect(reader.texts()).toEqual(Array.from({ length: copied }, (_, i) => `${i}`));
  await rm(folder, { recursive: true });
}, 180_000);
