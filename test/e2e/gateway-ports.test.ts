import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { encodeFrame, FrameType } from '../../proto/client.ts';
import { signup, startUp } from '../harness/gochat.ts';
import { RawClient, tokenOf } from '../harness/raw-client.ts';
import { eventually } from '../harness/eventually.ts';

const PING = encodeFrame(FrameType.PING, 7, 0n);
const BALANCER = '127.0.0.9';

function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'gochat-ports-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** A PROXY protocol 2 header for a client at an IPv4 address. */
function headerFor(address: string): Buffer {
  const head = Buffer.from('0d0a0d0a000d0a515549540a2111000c', 'hex');
  return Buffer.concat([
    head,
    Buffer.from(address.split('.').map(Number)),
    Buffer.from([10, 0, 0, 1, 0xd9, 3, 0x1f, 0x90]),
  ]);
}

test('IPv6 and IPv4 on one port, a balancer that passes addresses on, and limits per address', async () => {
  const flags = `--host :: --no-demo --workers 1 --exempt-addresses ::1 --max-connections-per-address 2`;
  await using up = await startUp(scratch(), [...flags.split(' '), '--proxy-protocol', `${BALANCER}/32`]);
  await using cleanup = new AsyncDisposableStack();
  const port = up.gateway.split(':').at(-1) ?? '';
  const api = up.api.replace(/\[.*\]/, '[::1]');
  await signup({ ...up, api }, 'ann');
  const token = await tokenOf({ ...up, api }, 'ann', 'ann-secret');
  const dial = (host: string, from?: string) => cleanup.use(new RawClient(`${host}:${port}`, from));

  // Exempt: as many as one likes.
  for (let i = 0; i < 3; i++) await dial('[::1]').hello(token);
  for (let i = 0; i < 2; i++) await dial('127.0.0.1', '127.0.0.1').hello(token);
  expect((await dial('127.0.0.1', '127.0.0.1').closeFrame()).code).toBe('ADDRESS_LIMITED');
  await dial('127.0.0.1', '127.0.0.2').hello(token);

  // Behind the balancer each client has its own allowance.
  const behind = (client: string): RawClient => {
    const raw = dial('127.0.0.1', BALANCER);
    raw.send(headerFor(client));
    return raw;
  };
  for (const client of ['192.0.2.1', '192.0.2.1', '192.0.2.2', '192.0.2.2'])
    await behind(client).hello(token);
  expect((await behind('192.0.2.1').closeFrame()).code).toBe('ADDRESS_LIMITED');
  const bare = dial('127.0.0.1', BALANCER);
  bare.send(PING);
  expect((await bare.closeFrame()).code).toBe('PROXY_HEADER_INVALID');

  await eventually('metrics', async () => {
    const metrics = await (await fetch(`${up.admin.replace(/\[.*\]/, '[::1]')}/metrics`)).text();
    return /refusals_total\{.*limit="address_connections".*\} 2/.test(metrics);
  });
}, 120_000);

test('HUP: added workers share the connections, removed ones hand theirs over; each has metrics', async () => {
  const folder = scratch();
  const config = join(folder, 'gochat.yaml');
  const configure = (workers: number) => writeFileSync(config, `workers: ${workers}\n`);
  configure(1);
  await using up = await startUp(join(folder, 'data'), ['--config', config]);
  await using cleanup = new AsyncDisposableStack();
  const token = await tokenOf(up, 'demo', '111111');
  const measured = async (name: string) => {
    const metrics = await (await fetch(`${up.admin}/metrics`)).text();
    const lines = metrics.matchAll(
      new RegExp(`^gochat_gateway_${name}\\{.*worker="(\\d+)".*\\} (\\S+)`, 'gm'),
    );
    const sums = new Map<string, number>();
    for (const [, worker = '', value] of lines) sums.set(worker, (sums.get(worker) ?? 0) + Number(value));
    return sums;
  };
  const isOnAll = async (workers: number) => {
    const spread = [...(await measured('connections')).values()];
    return spread.filter((count) => count > 0).length === workers;
  };
  const clients: RawClient[] = [];
  const enter = async (): Promise<void> => {
    const client = cleanup.use(new RawClient(up.gateway));
    await client.hello(token);
    clients.push(client);
  };
  await enter();
  await eventually('one worker', () => isOnAll(1));

  configure(3);
  up.process.signal('SIGHUP');
  await eventually('clients on three workers', async () => {
    await enter();
    return isOnAll(3);
  });
  expect([...(await measured('event_loop_delay_seconds')).keys()].sort()).toEqual(['0', '1', '2']);
  expect((await measured('accepts_total')).size).toBe(3);

  configure(1);
  up.process.signal('SIGHUP');
  await eventually('one worker again', () => isOnAll(1));
  const port = Number(up.gateway.split(':').at(-1));
  let stayed = 0;
  for (const client of clients) {
    if (client.frames.some((frame) => frame[4] === FrameType.CLOSE)) {
      const { code, elsewhere, retryable } = await client.closeFrame();
      expect([code, retryable, elsewhere?.port]).toEqual(['SERVER_DRAINING', true, port]);
    } else {
      client.send(PING);
      await client.frame(FrameType.PONG);
      stayed++;
    }
  }
  expect(stayed).toBeGreaterThan(0);
  expect(stayed).toBeLessThan(clients.length);
}, 120_000);
