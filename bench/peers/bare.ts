/** The baselines, written for this bench: how fast these designs go in Node with nothing around them. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Child, ROOT, run, started, startProgram } from '../lib/child.ts';
import { anonymous, type Peer, type Workload } from './peer.ts';

/** Conversations that a run leaves behind are not used again; the pipeline's table holds this many. */
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
    servers: [
      { name: 'bare gateway', pid: gateway.child.pid },
      { name: 'bare state', pid: state.child.pid },
      { name: 'postgres', pid: postgresPid },
    ],
    open: (workload: Workload) => {
      if (workload.scenario !== 'direct') return undefined;
      const pairs = workload.connections / 2;
      if (next + pairs > CONVERSATIONS) next = 1;
      const first = next;
      next += pairs;
      return { protocol: 'bare', ports: [gateway.port], connections: anonymous(workload, first) };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Starts the room loop: one Node process that joins a tick's frames per socket. */
export async function startBareFanout(): Promise<Peer> {
  return rooms('bare-loop', await startProgram('bare loop', 'peers/bare-fanout.ts'));
}

/** Compiles and starts the room loop in C++. */
export async function startBareEpoll(folder: string): Promise<Peer> {
  mkdirSync(folder, { recursive: true });
  const binary = join(folder, 'bare-epoll');
  await run('g++', ['-std=c++17', '-O2', '-o', binary, join(ROOT, 'bench/peers/bare-epoll.cpp')]);
  return rooms('bare-epoll', await started(new Child('bare epoll', binary, [])));
}

function rooms(name: string, { child, port }: { child: Child; port: number }): Peer {
  let next = 1;
  return {
    name,
    durability: 'none: nothing is stored',
    servers: [{ name: child.name, pid: child.pid }],
    open: (workload: Workload) => {
      if (workload.scenario === 'direct') return undefined;
      const first = next;
      next += workload.scenario === 'idle' ? workload.connections : 1;
      return { protocol: 'bare', ports: [port], connections: anonymous(workload, first) };
    },
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
}
