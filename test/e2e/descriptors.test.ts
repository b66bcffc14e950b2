import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { eventually, within } from '../harness/eventually.ts';

const BIN = fileURLToPath(new URL('../../bin/gochat', import.meta.url));
const PORTS = ['gateway', 'ws', 'ipconf', 'api', 'admin'].flatMap((name) => [`--${name}-port`, '0']);

test('no file descriptors left: accepting pauses, the process goes on, and accepts clients again later', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'gochat-files-'));
  const flags = ['--data-dir', folder, '--workers', '1', '--log-level', 'info', ...PORTS];
  const limited = 'ulimit -n 160; exec "$0" "$@"';
  // The first client's HELLO would otherwise end the wait.
  const server = spawn('bash', ['-c', limited, BIN, 'up', '--hello-timeout-ms', '60000', ...flags]);
  const sockets: Socket[] = [];
  let output = '';
  for (const stream of [server.stdout, server.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  try {
    const find = async (pattern: RegExp) => {
      await eventually(String(pattern), () => Promise.resolve(pattern.test(output)));
      return pattern.exec(output)?.[1] ?? '';
    };
    const [host = '', port] = (await find(/tcp:\/\/(\S+)/)).split(':');
    const admin = await find(/(http:\S+)\/metrics/);
    await find(/Ctrl-C/);
    let refused = 0;
    for (let i = 0; i < 400; i++) {
      const socket = connect({ host, port: Number(port) });
      socket.on('error', () => refused++);
      sockets.push(socket);
    }
    await find(/"msg":"(no file descriptors are left)/);
    // It can still be asked, thanks to the reserve, and says what is wrong.
    const ready = await fetch(`${admin.replace('/metrics', '')}/readyz`);
    expect([ready.status, await ready.text()]).toEqual([503, expect.stringContaining('file descriptors')]);
    const metrics = await (await fetch(`${admin}/metrics`)).text();
    expect(metrics).toMatch(/gochat_gateway_descriptors_exhausted\S* 1/);
    await eventually('a refused connection', () => {
      const late = connect({ host, port: Number(port) });
      late.on('error', () => refused++);
      sockets.push(late);
      return Promise.resolve(refused > 0);
    });

    for (const socket of sockets.splice(0)) socket.destroy();
    await find(/"msg":"(file descriptors are free again)/);
    await eventually('readiness', async () => (await fetch(`${admin}/readyz`)).ok);
    const again = connect({ host, port: Number(port) });
    sockets.push(again);
    await new Promise((resolve, reject) => again.once('connect', resolve).once('error', reject));
    // Said when it changes, not for each client.
    expect(output.match(/no file descriptors are left/g)?.length).toBeLessThan(5);
    expect(server.exitCode).toBeNull();
  } finally {
    for (const socket of sockets) socket.destroy();
    const ended = new Promise((resolve) => server.once('close', resolve));
    server.kill('SIGTERM');
    await within('the end of the server', ended);
    rmSync(folder, { recursive: true });
  }
}, 120_000);
