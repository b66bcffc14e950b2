/** HAProxy in front of a gateway: TCP ports that send a PROXY header and may terminate TLS. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { eventually } from './eventually.ts';

const INSTALL = new URL('../../scripts/install-for-tests.sh', import.meta.url).pathname;
const PROGRAM = '/usr/sbin/haproxy';

export interface ProxyPort {
  /** On 127.0.0.1. */
  readonly port: number;
  /** host:port that it passes on to. */
  readonly to: string;
  readonly header: 'send-proxy' | 'send-proxy-v2';
  /** PEM file with certificate and key; undefined: without TLS. */
  readonly pem?: string;
}

export class Haproxy implements AsyncDisposable {
  readonly #dir: string;
  readonly #process: ChildProcess;

  private constructor(dir: string, process: ChildProcess) {
    this.#dir = dir;
    this.#process = process;
  }

  /** Installs it if missing, as root on Debian; resolves when all ports are open. */
  static async start(ports: readonly ProxyPort[]): Promise<Haproxy> {
    if (!existsSync(PROGRAM)) await promisify(execFile)('bash', [INSTALL, 'haproxy']);
    const dir = await mkdtemp(join(tmpdir(), 'gochat-haproxy-'));
    const config = join(dir, 'haproxy.cfg');
    await writeFile(config, ['global', 'defaults', ...DEFAULTS, ...ports.flatMap(section), ''].join('\n'));
    const process = spawn(PROGRAM, ['-db', '-f', config], { stdio: ['ignore', 'inherit', 'inherit'] });
    const haproxy = new Haproxy(dir, process);
    try {
      for (const { port } of ports) await eventually(`HAProxy on port ${port}`, () => isOpen(port));
    } catch (error) {
      await haproxy[Symbol.asyncDispose]();
      throw error;
    }
    return haproxy;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null) {
      this.#process.kill('SIGKILL');
      await once(this.#process, 'exit');
    }
    await rm(this.#dir, { recursive: true });
  }
}

const DEFAULTS = ['  mode tcp', '  timeout connect 10s', '  timeout client 5m', '  timeout server 5m'];

function section({ port, to, header, pem }: ProxyPort): string[] {
  const tls = pem === undefined ? '' : ` ssl crt ${pem}`;
  return [`listen port-${port}`, `  bind 127.0.0.1:${port}${tls}`, `  server gateway ${to} ${header}`];
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
