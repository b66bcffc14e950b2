import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Authority } from '../../crpc/testing/certificates.ts';
import { Client, runGochat, signup, startUp } from '../harness/gochat.ts';
import { Haproxy } from '../harness/haproxy.ts';
import { RawClient, tokenOf } from '../harness/raw-client.ts';
import { freePorts } from '../harness/services.ts';

function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'gochat-balancer-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

const portOf = (address: string) => Number(address.split(':').at(-1));

test.each(['send-proxy', 'send-proxy-v2'] as const)(
  'HAProxy with %s: limits per address hold for the clients behind it',
  async (header) => {
    const flags = '--no-demo --workers 1 --max-connections-per-address 1 --proxy-protocol 127.0.0.1';
    await using up = await startUp(scratch(), [...flags.split(' '), '--exempt-addresses', '127.0.0.9']);
    const [port] = (await freePorts(1)) as [number];
    await using _ = await Haproxy.start([{ port, to: up.gateway, header }]);
    await signup(up, 'ann');
    const token = await tokenOf(up, 'ann', 'ann-secret');
    await using cleanup = new AsyncDisposableStack();
    const dial = (from: string) => cleanup.use(new RawClient(`127.0.0.1:${port}`, from));
    await dial('127.0.0.5').hello(token);
    expect((await dial('127.0.0.5').closeFrame()).code).toBe('ADDRESS_LIMITED');
    await dial('127.0.0.6').hello(token);
  },
);

test('other ports and TLS in front: clients are told these addresses, and connect through them', {
  timeout: 120_000,
}, async () => {
  using authority = new Authority();
  authority.issue('front', 'IP:127.0.0.1');
  const folder = scratch();
  const pem = join(folder, 'front.pem');
  writeFileSync(
    pem,
    Buffer.concat([readFileSync(authority.path('front.pem')), readFileSync(authority.path('front.key'))]),
  );
  const [tcp, ws] = (await freePorts(2)) as [number, number];
  const flags = `--advertise-port ${tcp} --advertise-ws-port ${ws} --advertise-ws-tls true --proxy-protocol 127.0.0.1`;
  await using up = await startUp(join(folder, 'data'), flags.split(' '));
  const wsAddress = /ws:\/\/(\S+)/.exec(up.process.stdout)?.[1] as string;
  await using _ = await Haproxy.start([
    { port: tcp, to: up.gateway, header: 'send-proxy' },
    { port: ws, to: wsAddress, header: 'send-proxy-v2', pem },
  ]);
  await Promise.all([signup(up, 'ann'), signup(up, 'bob')]);
  await using ann = new Client(up, 'ann');
  const trust = ['--tls-ca', authority.path('ca.pem'), '--transport', 'ws'];
  await using bob = new Client(up, 'bob', undefined, trust);
  await Promise.all([ann.event('synced'), bob.event('synced')]);
  ann.say('/dm bob through the balancer');
  await bob.event('message', ({ text }) => text === 'through the balancer');
});

test('a port that is off: is closed, and its clients get NO_GATEWAY', {
  timeout: 120_000,
}, async () => {
  const folder = scratch();
  // Behind what startUp says itself, so that it holds.
  await using up = await startUp(folder, ['--ws-port', 'off']);
  expect(up.process.stdout).not.toContain('ws://');
  expect(portOf(up.gateway)).toBeGreaterThan(0);
  await signup(up, 'ann');
  await using tcp = new Client(up, 'ann');
  await tcp.event('synced');
  await using ws = new Client(up, 'ann', undefined, ['--transport', 'ws']);
  const refused = await ws.exit();
  expect(refused.stdout + refused.stderr).toContain('NO_GATEWAY');

  const both = ['--gateway-port', 'off', '--ws-port', 'off', '--ipconf-port', '0', '--api-port', '0'];
  const exit = await runGochat(['up', '--data-dir', join(folder, 'other'), ...both, '--admin-port', '0']);
  expect(exit.code).toBe(78);
  expect(exit.stderr).toContain('Both ports of the gateway are off');
});
