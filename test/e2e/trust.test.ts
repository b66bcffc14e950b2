/** Between the servers: mutual TLS, who is let in, and traces that join. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Authority } from '../../crpc/testing/certificates.ts';
import { OtlpCollector } from '../../crpc/testing/otlp-collector.ts';
import { freshDatabase, sharedEngines } from '../harness/cluster.ts';
import { type RunningServer, runGochat, signup, startServer } from '../harness/gochat.ts';
import { eventually } from '../harness/eventually.ts';

const authority = new Authority();
afterAll(() => authority[Symbol.dispose]());
for (const name of ['state', 'gateway', 'api', 'intruder']) authority.issue(name, 'DNS:gochat.internal');

/** Settings of a server with this certificate. */
function tls(name: string): Record<string, string> {
  return {
    GOCHAT_CRPC_TLS_CERT: authority.path(`${name}.pem`),
    GOCHAT_CRPC_TLS_KEY: authority.path(`${name}.key`),
    GOCHAT_CRPC_TLS_CA: authority.path('ca.pem'),
    GOCHAT_CRPC_TLS_SERVER_NAME: 'gochat.internal',
    GOCHAT_CRPC_TLS_PEERS: 'gateway, api',
  };
}

describe('a cluster with mutual TLS and traces', () => {
  const cleanup = new AsyncDisposableStack();
  let env: Record<string, string> = {};
  let collector: OtlpCollector;
  let state: RunningServer;
  afterAll(() => cleanup.disposeAsync());
  beforeAll(async () => {
    const engines = sharedEngines();
    const database = cleanup.use(await freshDatabase(engines.postgres));
    collector = cleanup.use(await OtlpCollector.start());
    env = {
      GOCHAT_REGISTRY: `${engines.etcd}/test-trust-${process.pid}`,
      GOCHAT_STORE: database.url,
      GOCHAT_HOT: engines.redis,
      GOCHAT_WORKERS: '1',
      GOCHAT_OTLP_ENDPOINT: collector.endpoint,
    };
    state = cleanup.use(await startServer('state', { ...env, ...tls('state') }));
  });

  const isReady = async (server: RunningServer): Promise<boolean> =>
    (await fetch(`http://${server.up['admin']}/readyz`)).ok;
  const urlsOf = (api: RunningServer) => ({ api: `http://${api.up['http']}`, ipconf: '' });

  test("api: gets through with its certificate, and its span is the parent of state's", async () => {
    {
      await using api = await startServer('api', { ...env, ...tls('api') });
      await eventually('api is ready', () => isReady(api));
      await signup(urlsOf(api), 'ada');
      // Spans are sent at the latest when the process ends in order.
      api.process.child.kill('SIGTERM');
      expect((await api.process.exit()).code).toBe(0);
    }
    const name = 'gochat.state.v1.AccountService/Signup';
    const asked = await collector.spans.next((span) => span.service === 'gochat-api' && span.name === name);
    const answered = await collector.spans.next((span) => span.parentSpanId === asked.spanId);
    expect(answered).toMatchObject({ service: 'gochat-state', name, traceId: asked.traceId, kind: 2 });
  });

  test('gateway: its workers reach state with its certificate', async () => {
    await using gateway = await startServer('gateway', { ...env, ...tls('gateway') });
    await eventually('the gateway is ready', () => isReady(gateway));
  });

  test.each([
    ['without TLS', () => ({})],
    ['with a certificate of another name', () => tls('intruder')],
  ])('api %s: does not get through, and state says who it was', async (_, own) => {
    await using api = await startServer('api', { ...env, ...own() });
    await eventually('api knows of state', () => isReady(api));
    const before = state.process.stderr.length;
    await expect(signup(urlsOf(api), 'eve')).rejects.toThrow('503');
    await state.process.until(
      ({ stderr }) => (/refused: not one|TLS handshake failed/.test(stderr.slice(before)) ? true : undefined),
      'a line about it',
    );
  });
});

describe('settings', () => {
  test.each([
    ['a certificate without its key', ['--crpc-tls-cert', authority.path('state.pem')], 78, '--crpc-tls-key'],
    ['a file that is not there', ['--crpc-tls-ca', '/nowhere/ca.pem'], 78, '/nowhere/ca.pem'],
    ['a share above 1', ['--trace-ratio', '2'], 2, '--trace-ratio'],
    [
      'reflection for everyone',
      ['--crpc-reflection', '--host', '0.0.0.0', '--crpc-tls-ca', 'x'],
      2,
      '--crpc-reflection',
    ],
    ['neither token nor mTLS for everyone', ['--host', '0.0.0.0'], 78, '--crpc-tls-ca'],
  ])('%s: refused with a message that names it', async (_, args, expected, words) => {
    const { code, stderr } = await runGochat(['state', ...args]);
    expect(stderr).toContain(words);
    expect(code).toBe(expected);
  });
});
