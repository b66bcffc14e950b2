/** The baselines, written for this bench: how fast these designs go in Node with nothing around them. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Protocol } from '../lib/load.ts';
import { Child, ROOT, run, started, startProgram } from '../lib/child.ts';
import type { Tracked } from '../lib/usage.ts';
import { anonymous, type Peer, type Workload } from './peer.ts';

/** Conversations of earlier runs are not used again; the pipeline's table holds this many. */
const CONVERSATIONS = 20_000;

/** Starts the pipeline: gateway, batched stream, state, PostgreSQL group commit. */
export async function startBarePipeline(storeUrl: string, postgresPid: number): Promise<Peer> {
  await using stack = new AsyncDisposableStack();
  const state = await startProgram('bare state', 'peers/bare-pipeline-state.ts', [storeUrl]);
  stack.use(state.child);
  const gateway = await startProgram('bare gateway', 'peers/bare-pipeline-gateway.ts', [
    `127.0.0.1:${state.port}`,
  ]);
  stack.use(gateway.child);
  const owned = stack.move();
  let next = 1;
  return {
    name: 'bare-pipeline',
    durability: 'PostgreSQL commit, fsync',
    servers: [gateway.child, state.child, { name: 'postgres', pid: postgresPid }],
    open: async (workload: Workload) => {
      if (workload.scenario !== 'direct' || workload.conversationsPerPair !== undefined) return undefined;
      const pairs = workload.connections / 2;
      if (next + pairs > CONVERSATIONS) next = 1;
      const first = next;
      next += pairs;
      return { protocol: 'bare', ports: [gateway.port], connections: anonymous(workload, first) };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Write mode of the room loop in Node; see bare-fanout.ts. */
export type LoopMode = 'joined' | 'each' | 'ws';

/** Starts the room loop: one Node process. */
export async function startBareFanout(name: string, mode: LoopMode): Promise<Peer> {
  const started = await startProgram(name, 'peers/bare-fanout.ts', [mode]);
  return rooms(name, started.child, started.port, mode === 'ws' ? 'bare-ws' : 'bare');
}

/** Starts Socket.IO. */
export async function startSocketIo(): Promise<Peer> {
  const { child, port } = await startProgram('socket.io', 'peers/socket-io.ts');
  return rooms('socket.io', child, port, 'socket.io');
}

/** Compiles and starts the room loop in C++. */
export async function startBareEpoll(folder: string): Promise<Peer> {
  mkdirSync(folder, { recursive: true });
  const binary = join(folder, 'bare-epoll');
  await run('g++', ['-std=c++17', '-O2', '-o', binary, join(ROOT, 'bench/peers/bare-epoll.cpp')]);
  const { child, port } = await started(new Child('bare epoll', binary, []));
  return rooms('bare-epoll', child, port, 'bare', { name: child.name, pid: child.pid });
}

function rooms(name: string, child: Child, port: number, protocol: Protocol, server: Tracked = child): Peer {
  let next = 1;
  return {
    name,
    durability: 'none: nothing is stored',
    servers: [server],
    open: async (workload: Workload) => {
      const first = next;
      next += workload.connections;
      return { protocol, ports: [port], connections: anonymous(workload, first) };
    },
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
}
