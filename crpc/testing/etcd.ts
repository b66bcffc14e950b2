/** A real etcd for a test: random port, temporary directory, and faults on request. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EtcdClient } from '../etcd/etcd-client.ts';

const READY_DEADLINE_MS = 20_000;

/** Paths of PEM files; given: it uses TLS and requires client certificates. */
export interface EtcdTls {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export class TestEtcd implements AsyncDisposable {
  readonly port: number;
  readonly #peerPort: number;
  #dir: string;
  readonly #tls: EtcdTls | undefined;
  #process: ChildProcess | undefined;

  private constructor(port: number, peerPort: number, dir: string, tls: EtcdTls | undefined) {
    this.port = port;
    this.#peerPort = peerPort;
    this.#dir = dir;
    this.#tls = tls;
  }

  /** @param tls its certificate must include localhost */
  static async start(tls?: EtcdTls): Promise<TestEtcd> {
    const [port, peerPort] = await Promise.all([freePort(), freePort()]);
    const etcd = new TestEtcd(port, peerPort, await mkdtemp(join(tmpdir(), 'gochat-etcd-')), tls);
    await etcd.start();
    return etcd;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Starts it on its existing data and waits until it answers. */
  async start(): Promise<void> {
    const tls = this.#tls;
    const client = `http${tls === undefined ? '' : 's'}://127.0.0.1:${this.port}`;
    const peer = `http://127.0.0.1:${this.#peerPort}`;
    this.#process = spawn(
      'etcd',
      [
        `--data-dir=${this.#dir}`,
        `--listen-client-urls=${client}`,
        `--advertise-client-urls=${client}`,
        `--listen-peer-urls=${peer}`,
        `--initial-advertise-peer-urls=${peer}`,
        `--initial-cluster=default=${peer}`,
        '--unsafe-no-fsync',
        '--log-level=error',
        ...(tls === undefined
          ? []
          : [
              `--cert-file=${tls.cert}`,
              `--key-file=${tls.key}`,
              `--trusted-ca-file=${tls.ca}`,
              '--client-cert-auth',
            ]),
      ],
      { stdio: 'ignore' },
    );
    const probe = new EtcdClient({
      hosts: [tls === undefined ? this.address : `localhost:${this.port}`],
      tls: tls && { ca: readFileSync(tls.ca), cert: readFileSync(tls.cert), key: readFileSync(tls.key) },
    });
    const deadline = performance.now() + READY_DEADLINE_MS;
    try {
      for (;;) {
        try {
          await probe.range({ key: Buffer.from('ready'), end: Buffer.alloc(0) });
          return;
        } catch (error) {
          if (performance.now() > deadline) throw error;
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
      }
    } finally {
      probe.close();
    }
  }

  /** Sends KILL and waits until it is gone. */
  async kill(): Promise<void> {
    const running = this.#process;
    if (running === undefined) return;
    this.#process = undefined;
    running.kill('SIGKILL');
    if (running.exitCode === null && running.signalCode === null) await once(running, 'exit');
  }

  /** Deletes all data; call it between kill and start. */
  async wipe(): Promise<void> {
    await rm(this.#dir, { recursive: true, force: true });
  }

  freeze(): void {
    this.#process?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#process?.kill('SIGCONT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await this.wipe();
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
