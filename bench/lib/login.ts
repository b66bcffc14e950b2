/**
 * What a login costs the servers, in units of the signature check that no gateway can do without.
 *
 * A login is a TCP connection, HELLO, WELCOME, and the client's goodbye: CLOSE and the end of the socket. Each of a round is
 * of an account, a token and a device of its own. They arrive at a steady pace, because simultaneous logins share ticks and batches.
 */
import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { connect } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { client, encodeFrame, FrameParser, FrameType, frameType, PROTOCOL_VERSION } from '../../proto/mod.ts';
import { startServer } from './gochat.ts';
import { Seeds } from './seed.ts';
import { environment, type Findings, type StudyContext } from './study.ts';
import { sample, type Tracked, usageSince } from './usage.ts';

export const LOGINS_PER_S = 1000;
/** The pace of a reconnect storm, at which a login's cost decides how long it lasts; and one at which the servers often wait. */
const PACES = [2500, LOGINS_PER_S];
const LOGINS = 12_000;
/** Rounds before the first that counts, at the first pace: V8 is still compiling the servers' code. */
const WARM_UP_ROUNDS = 3;
const ROUNDS = 5;
const EMPTY_S = 10;
const CHECKS = 4000;
const LOGIN_DEADLINE_MS = 20_000;
const MAX_FRAME_BYTES = 1 << 20;
const GOODBYE = encodeFrame(FrameType.CLOSE, 0, 0n);

export async function login({ services, signal, profiles }: StudyContext): Promise<Findings> {
  await using stack = new AsyncDisposableStack();
  const env = environment(services, profiles);
  const state = stack.use((await startServer('state', [], { env })).child);
  const { child, up } = await startServer('gateway', ['--ws-port', '0'], { env });
  const gateway = stack.use(child);
  const port = Number(up['tcp']?.split(':').at(-1));
  const users = await new Seeds(services.store).users(LOGINS);
  const tokens = users.map(({ token }) => token);
  const servers = [gateway, state, services.redis, services.postgres];
  for (let round = 0; round < WARM_UP_ROUNDS; round++) await logIn(port, tokens, signal, PACES[0]);
  const idle = await cpuMicros(servers, () => setTimeout(EMPTY_S * 1000, undefined, { signal }));
  const rounds: Record<string, Record<string, number>> = {};
  for (const pace of PACES)
    for (let round = 1; round <= ROUNDS; round++) {
      const checkBefore = checkMicros(tokens[0] as string);
      const busy = await cpuMicros(servers, () => logIn(port, tokens, signal, pace));
      const check = (checkBefore + checkMicros(tokens[0] as string)) / 2;
      const micros = (name: string) =>
        ((busy.perSecond.get(name) ?? Number.NaN) - (idle.perSecond.get(name) ?? Number.NaN)) *
        (busy.seconds / LOGINS);
      rounds[`${pace} logins/s, round ${round}`] = {
        'gateway, CPU µs': micros('gateway'),
        'state, CPU µs': micros('state'),
        'redis, CPU µs': micros('redis'),
        'postgres, CPU µs': micros('postgres'),
        'signature check, CPU µs': check,
        'gateway and state ÷ check': (micros('gateway') + micros('state')) / check,
        'logins a second': LOGINS / busy.seconds,
      };
    }
  return rounds;
}

/** Logs in with each token once, at a pace (logins per second); rejects if one is refused. */
export async function logIn(
  port: number,
  tokens: readonly string[],
  signal: AbortSignal,
  pace = LOGINS_PER_S,
): Promise<void> {
  const beganMs = performance.now();
  const all: Promise<void>[] = [];
  for (const [i, token] of tokens.entries()) {
    const waitMs = beganMs + (i * 1000) / pace - performance.now();
    if (waitMs > 0) await setTimeout(waitMs, undefined, { signal });
    all.push(logInOnce(port, token));
  }
  await Promise.all(all);
}

function logInOnce(port: number, token: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connect({ port, host: '127.0.0.1', timeout: LOGIN_DEADLINE_MS });
  const parser = new FrameParser(MAX_FRAME_BYTES);
  let welcome = false;
  const hello = client.Hello.fromPartial({
    // HELLO and WELCOME are the same in version 1, which `--against` meets.
    versionMin: 1,
    versionMax: PROTOCOL_VERSION,
    token,
    device: 'bench',
  });
  socket
    .on('connect', () =>
      socket.write(encodeFrame(FrameType.HELLO, 0, 0n, client.Hello.encode(hello).finish())),
    )
    .on('data', (chunk) => {
      parser.push(chunk, (frame) => {
        if (welcome) return true;
        welcome = frameType(frame) === FrameType.WELCOME;
        if (welcome) socket.write(GOODBYE);
        else reject(new Error(`A login was answered with a frame of type ${frameType(frame)}.`));
        return true;
      });
    })
    .on('timeout', () => socket.destroy(new Error('A login was not answered.')))
    .on('error', reject)
    .on('close', () => (welcome ? resolve() : reject(new Error('A login ended without WELCOME.'))));
  return promise;
}

/** CPU time of each server while `work` runs, µs per second. */
async function cpuMicros(
  servers: readonly Tracked[],
  meanwhile: () => Promise<unknown>,
): Promise<{ readonly seconds: number; readonly perSecond: ReadonlyMap<string, number> }> {
  const before = sample(servers);
  await meanwhile();
  const seconds = (performance.now() - before.atMs) / 1000;
  const usage = usageSince(before, servers);
  return { seconds, perSecond: new Map(usage.map(({ name, cpuPercent }) => [name, cpuPercent * 10_000])) };
}

/** CPU time of one Ed25519 verification of a text as long as the token, µs. */
function checkMicros(token: string): number {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const signed = Buffer.from(token.slice(0, token.lastIndexOf('.')));
  const signature = sign(undefined, signed, privateKey);
  const before = process.cpuUsage();
  for (let i = 0; i < CHECKS; i++)
    if (!verify(undefined, signed, publicKey, signature)) throw new Error('A signature does not verify.');
  const { user, system } = process.cpuUsage(before);
  return (user + system) / CHECKS;
}
