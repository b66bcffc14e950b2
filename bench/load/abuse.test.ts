import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AbuseGenerator, type AbuseKind } from '../lib/abuse-load.ts';
import { BareParser, JOIN, joined, SEND, sent } from '../peers/bare-frame.ts';

const REQUEST = 10;
/** WELCOME has the same type in both protocols. */
const HELLO = JOIN;

let folder: string;
let generator: AbuseGenerator;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gochat-abuse-'));
  generator = await AbuseGenerator.build(folder);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs an attack until `enough` resolves. */
async function attack(server: Server, kind: AbuseKind, enough: Promise<unknown>) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  await using attack = generator.start(kind, (server.address() as AddressInfo).port, [
    { conversation: 7n, token: 'a' },
    { conversation: 7n, token: 'b' },
  ]);
  attack.begin();
  await enough;
  const result = await attack.end();
  server.close();
  return result;
}

/** A server that accepts every login and passes on the frames that follow. */
function gateway(onFrame: (frame: Buffer, socket: Socket) => void): Server {
  return createServer((socket) => {
    const parser = new BareParser();
    socket.on('data', (chunk) =>
      parser.push(chunk, (frame) => {
        if (frame[4] === HELLO) socket.write(joined(frame));
        else onFrame(frame, socket);
      }),
    );
    socket.on('error', () => undefined);
  });
}

test('flood: the whole burst is sent without waiting for answers', async () => {
  const burst = Promise.withResolvers<void>();
  let frames = 0;
  const server = gateway((frame, socket) => {
    expect(frame[4]).toBe(SEND);
    if (++frames === 2 * 9900) {
      socket.write(sent(frame, 0));
      burst.resolve();
    }
  });
  const { connects, sent: frameCount, answers } = await attack(server, 'flood', burst.promise);
  expect(connects).toBe(2);
  expect(frameCount).toBeGreaterThanOrEqual(2 * 9900);
  expect(answers['WELCOME']).toBe(2);
});

test('sync: a request names 10,000 conversations, in a frame that the gateway accepts', async () => {
  const first = Promise.withResolvers<Buffer>();
  await attack(gateway(first.resolve), 'sync', first.promise);
  const frame = await first.promise;
  expect(frame[4]).toBe(REQUEST);
  expect(frame.length).toBeGreaterThan(130_000);
  expect(frame.length).toBeLessThan(262_144);
});

test('half: a frame is announced, and stops before its end', async () => {
  const closed = Promise.withResolvers<number>();
  const server = createServer((socket) => {
    let bytes = 0;
    socket.on('data', (chunk: Buffer) => {
      if (bytes === 0) socket.write(joined(chunk));
      bytes += chunk.length;
    });
    socket.on('error', () => undefined);
    socket.on('end', () => {
      closed.resolve(bytes);
      socket.end();
    });
  });
  await attack(server, 'half', closed.promise);
  // HELLO is some fifty bytes.
  expect(await closed.promise).toBeGreaterThan(262_144);
  expect(await closed.promise).toBeLessThan(262_144 + 100);
});

test('churn: connections reconnect as soon as they are accepted', async () => {
  const many = Promise.withResolvers<void>();
  let connections = 0;
  const server = gateway(() => undefined);
  server.on('connection', () => {
    if (++connections === 20) many.resolve();
  });
  const { answers } = await attack(server, 'churn', many.promise);
  expect(answers['WELCOME']).toBeGreaterThanOrEqual(18);
});

test('password: one wrong password after another, and the statuses are counted', async () => {
  const many = Promise.withResolvers<void>();
  const bodies: { name: string; password: string }[] = [];
  const server = createHttpServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += String(chunk)));
    request.on('end', () => {
      bodies.push(JSON.parse(body) as { name: string; password: string });
      const answer = '{"code":"CREDENTIALS_WRONG"}';
      response.writeHead(401, { 'content-length': answer.length });
      response.end(answer);
      if (bodies.length === 20) many.resolve();
    });
  });
  const { answers } = await attack(server, 'password', many.promise);
  server.closeAllConnections();
  expect(answers['401']).toBeGreaterThanOrEqual(18);
  expect(new Set(bodies.map(({ name }) => name))).toEqual(new Set(['a', 'b']));
  expect(new Set(bodies.map(({ password }) => password)).size).toBe(bodies.length);
});
