import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, getCACertificates, setDefaultCACertificates, type TLSSocket } from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { Authority } from '../../crpc/testing/certificates.ts';
import { TestEtcd } from '../../crpc/testing/etcd.ts';
import { RedisProcess } from '../../state/testing/redis-process.ts';
import { engineUrl, freshDatabase } from '../harness/cluster.ts';
import { Client, runGochat, signup, startServer, startUp } from '../harness/gochat.ts';
import { eventually, within } from '../harness/eventually.ts';
import { tokenOf } from '../harness/raw-client.ts';

function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'gochat-e2e-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Common name of the certificate that a new connection sees. */
async function certificateOf(address: string, ca: Buffer): Promise<string> {
  const { hostname, port } = new URL(`tcp://${address}`);
  const socket: TLSSocket = connect({ host: hostname, port: Number(port), ca });
  try {
    await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
    return String(socket.getPeerCertificate().subject.CN);
  } finally {
    socket.destroy();
  }
}

/** A certificate and its key at fixed paths, which another pair can replace. */
function installer(authority: Authority, folder: string) {
  for (const name of ['first', 'second']) authority.issue(name, 'IP:127.0.0.1');
  const [cert, key] = [join(folder, 'server.pem'), join(folder, 'server.key')];
  const install = (name: 'first' | 'second') => {
    copyFileSync(authority.path(`${name}.pem`), cert);
    copyFileSync(authority.path(`${name}.key`), key);
  };
  install('first');
  return { cert, key, install };
}

test('TLS: clients on tcps and wss talk, a client without the CA gets an error, HUP renews', {
  timeout: 120_000,
}, async () => {
  using authority = new Authority();
  const folder = scratch();
  const { cert, key, install } = installer(authority, folder);
  await using up = await startUp(folder, ['--tls-cert', cert, '--tls-key', key, '--log-level', 'info']);
  expect(up.process.stdout).toMatch(/tcps:\/\/\S+ {2}wss:\/\//);
  expect([up.api, up.ipconf]).toEqual([expect.stringMatching(/^https:/), expect.stringMatching(/^https:/)]);
  setDefaultCACertificates([...getCACertificates('default'), authority.ca.toString()]);
  onTestFinished(() => setDefaultCACertificates(getCACertificates('bundled')));
  await Promise.all([signup(up, 'ann'), signup(up, 'bob')]);
  const trust = ['--tls-ca', authority.path('ca.pem')];
  await using ann = new Client(up, 'ann', undefined, trust);
  await using bob = new Client(up, 'bob', undefined, [...trust, '--transport', 'ws']);
  await Promise.all([ann.event('synced'), bob.event('synced')]);
  ann.say('/dm bob hello over TLS');
  await bob.event('message', ({ text }) => text === 'hello over TLS');
  bob.say('/dm ann and back');
  await ann.event('message', ({ text }) => text === 'and back');

  // The simple forms, at api, which pipes them to the gateway.
  const socket = new WebSocket(
    `${up.api.replace(/^https/, 'wss')}/ws?token=${await tokenOf(up, 'ann', 'ann-secret')}`,
  );
  onTestFinished(() => socket.close());
  const said: unknown[] = [];
  socket.addEventListener('message', ({ data }) => said.push(JSON.parse(String(data))));
  await within('an open WebSocket at api', once(socket, 'open'));
  socket.send(
    JSON.stringify({ type: 'join_room', room_id: String((await bob.event('message'))['conversation']) }),
  );
  await eventually('the conversation to be followed', () => said.length > 0);
  bob.say('over a pipe');
  await eventually('the message', () => JSON.stringify(said).includes('over a pipe'));

  await using distrusting = new Client(up, 'ann', undefined, ['--timeout-ms', '1000']);
  const refused = await distrusting.exit();
  expect(refused.code).toBe(1);
  expect(refused.stdout + refused.stderr).toMatch(/API server \(unable to .*certificate.*\) at https:/);

  const ports = [up.gateway, new URL(up.ipconf).host, new URL(up.api).host];
  const shown = () => Promise.all(ports.map((port) => certificateOf(port, authority.ca)));
  expect(await shown()).toEqual(['first', 'first', 'first']);
  install('second');
  up.process.signal('SIGHUP');
  await expect.poll(shown).toEqual(['second', 'second', 'second']);
  ann.say('still here');
  await bob.event('message', ({ text }) => text === 'still here');
});

test.each(['api', 'ipconf'] as const)(
  'TLS of %s: speaks it, HUP renews, an incomplete chain is logged',
  {
    timeout: 120_000,
  },
  async (mode) => {
    using authority = new Authority();
    const { cert, key, install } = installer(authority, scratch());
    const registry = `${engineUrl('ETCD')}/tls-${process.pid}`;
    await using server = await startServer(mode, { GOCHAT_REGISTRY: registry }, [
      '--tls-cert',
      cert,
      '--tls-key',
      key,
    ]);
    expect(server.process.stderr).toContain('the issuer of the certificate of CN=first does not follow it');
    const address = server.up['http'] as string;
    expect(await certificateOf(address, authority.ca)).toBe('first');
    install('second');
    server.process.signal('SIGHUP');
    await expect.poll(() => certificateOf(address, authority.ca)).toBe('second');
  },
);

test('etcd and Redis that require client certificates: servers reach both', {
  timeout: 120_000,
}, async () => {
  using authority = new Authority();
  for (const name of ['etcd', 'redis', 'gochat']) authority.issue(name, 'DNS:localhost', 'IP:127.0.0.1');
  const [ca, cert, key] = ['ca.pem', 'gochat.pem', 'gochat.key'].map((file) => authority.path(file)) as [
    string,
    string,
    string,
  ];
  await using etcd = await TestEtcd.start({
    ca,
    cert: authority.path('etcd.pem'),
    key: authority.path('etcd.key'),
  });
  await using redis = await RedisProcess.start(
    [
      'port 0',
      'tls-port PORT',
      `tls-cert-file ${authority.path('redis.pem')}`,
      `tls-key-file ${authority.path('redis.key')}`,
      `tls-ca-cert-file ${ca}`,
    ],
    { tls: { ca: authority.ca, cert: readFileSync(cert), key: readFileSync(key) } },
  );
  await using database = await freshDatabase();
  const env = {
    GOCHAT_REGISTRY: `etcds://localhost:${etcd.port}`,
    GOCHAT_REGISTRY_CA: ca,
    GOCHAT_REGISTRY_CERT: cert,
    GOCHAT_REGISTRY_KEY: key,
    GOCHAT_HOT: `rediss://127.0.0.1:${redis.port}`,
    GOCHAT_HOT_CA: ca,
    GOCHAT_HOT_CERT: cert,
    GOCHAT_HOT_KEY: key,
    GOCHAT_STORE: database.url,
  };
  await using state = await startServer('state', env);
  await using gateway = await startServer('gateway', env);
  await eventually(
    'readiness',
    async () => (await fetch(`http://${gateway.up['admin']}/readyz`)).status === 200,
  );
  await eventually(
    'readiness',
    async () => (await fetch(`http://${state.up['admin']}/readyz`)).status === 200,
  );
});

test('a key without a certificate, and unusable files: reported before anything listens', {
  timeout: 120_000,
}, async () => {
  using authority = new Authority();
  authority.issue('one');
  authority.issue('other');
  const [cert, key] = [authority.path('one.pem'), authority.path('other.key')];
  const dataDir = scratch();
  for (const [args, what] of [
    [['--tls-key', key], /tls_cert and tls_key go together/],
    [['--tls-cert', cert, '--tls-key', key], /do not do: .*mismatch/],
    [['--tls-cert', '/nowhere.pem', '--tls-key', key], /Cannot read \/nowhere\.pem/],
  ] as const) {
    const ports = ['gateway', 'ws', 'ipconf', 'api', 'admin'].flatMap((name) => [`--${name}-port`, '0']);
    const exit = await runGochat(['up', '--data-dir', dataDir, ...ports, ...args]);
    expect(exit.code).toBe(78);
    expect(exit.stderr).toMatch(what);
  }
});
