/** A real ipconf for tests, on a memory registry; one for each test, stopped after it. */
import { connect } from 'node:net';
import { afterEach, beforeEach, onTestFinished, vi } from 'vitest';
import { silentLogger, startAdmin } from '../../common/mod.ts';
import type { MemoryRegistry } from '../../crpc/mod.ts';
import { IpconfMetrics } from '../metrics.ts';
import { type IpconfOptions, IpconfServer } from '../server.ts';
import { memoryRegistry } from './test-fleet.ts';

export class TestIpconf {
  registry!: MemoryRegistry;
  server!: IpconfServer;

  constructor() {
    beforeEach(() => {
      this.registry = memoryRegistry();
    });
    afterEach(async () => {
      await this.server.stop();
      await this.registry.close();
    });
  }

  readonly start = async (options: Partial<IpconfOptions> = {}) => {
    const { registry } = this;
    this.server = new IpconfServer({ port: 0, registry, logger: silentLogger, ratePerSecond: 0, ...options });
    await this.server.start();
  };

  /** Gets a path; the answer's body is JSON. */
  readonly get = async (path: string, init?: RequestInit) => {
    const response = await fetch(`http://${this.server.address}${path}`, init);
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === '' ? {} : JSON.parse(text) };
  };

  /** Gets the list until `done` accepts it. */
  readonly listUntil = async (done: (answer: Awaited<ReturnType<TestIpconf['get']>>) => boolean) => {
    for (;;) {
      const answer = await this.get('/ip/list');
      if (done(answer)) return answer;
      await new Promise(setImmediate);
    }
  };

  /** Connects to it. */
  readonly connect = () => {
    const [host, port] = this.server.address.split(':');
    return connect(Number(port), host);
  };

  /** Sends bytes and returns everything that comes back. */
  readonly raw = (bytes: string, end = false) =>
    new Promise<string>((resolve, reject) => {
      const socket = this.connect();
      if (end) socket.end(bytes, 'latin1');
      else socket.write(bytes);
      let received = '';
      socket.on('data', (chunk) => (received += String(chunk)));
      socket.on('close', () => resolve(received));
      socket.on('error', reject);
    });

  /** Gets a path of the admin port. */
  readonly ofAdmin = async (path: string) => {
    const admin = await startAdmin({
      host: '127.0.0.1',
      port: 0,
      servers: [this.server],
      logger: silentLogger,
      routes: { '/ip/explain': this.server.explain },
    });
    const text = await (await fetch(`http://${admin.address}${path}`)).text();
    await admin.close();
    return text;
  };

  readonly explained = async () => JSON.parse(await this.ofAdmin('/ip/explain'));

  /** Returns a function that returns the codes counted from now on. */
  readonly countedCodes = () => {
    const requested = vi.spyOn(IpconfMetrics.prototype, 'requested');
    onTestFinished(() => requested.mockRestore());
    return () => requested.mock.calls.map(([code]) => code);
  };
}
