/** The `gochat up` that a file of tests talks to, and what HTTP gives of it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type SystemUrls, signup, startUp } from '../harness/gochat.ts';
import { tokenOf } from '../harness/raw-client.ts';

/** A system that runs; each address is host:port, of HTTP a URL. */
export interface System extends SystemUrls, AsyncDisposable {
  readonly tcp: string;
  readonly ws: string;
}

/** Starts `gochat up` on a data folder of its own. */
export async function startSystem(args: readonly string[]): Promise<System> {
  const dataDir = mkdtempSync(join(tmpdir(), 'gochat-conformance-'));
  const up = await startUp(dataDir, ['--no-demo', ...args]);
  const ws = /ws:\/\/(\S+)/.exec(up.process.stdout)?.[1];
  if (ws === undefined) throw new Error(`gochat up names no WebSocket:\n${up.process.stdout}`);
  return {
    ipconf: up.ipconf,
    api: up.api,
    tcp: up.gateway,
    ws,
    async [Symbol.asyncDispose]() {
      await up[Symbol.asyncDispose]();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** Makes an account and returns a token of it. */
export async function newUser(system: System, name: string): Promise<string> {
  await signup(system, name);
  return await logIn(system, name);
}

export function logIn(system: System, name: string): Promise<string> {
  return tokenOf(system, name, `${name}-secret`);
}
