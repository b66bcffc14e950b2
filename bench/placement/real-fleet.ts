/** Four real gateways with their engines, state and ipconf, and real clients: for real.ts and its test. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Services, startServices } from '../../test/harness/services.ts';
import { Child, ROOT, run as runCommand } from '../lib/child.ts';
import { startServer } from '../lib/gochat.ts';
import { Seeds } from '../lib/seed.ts';
import type { PlannedClient, Tried } from '../peers/placement-clients.ts';
import { Random } from './random.ts';
import { makeFleet, type SimGateway, ZONES } from './world.ts';

export const GATEWAYS = 4;
/** Utilisation after a drain and a kill: nine tenths. */
export const UTILISATION = 0.55;
export const SEED = 1;
/** A process may open 20,000 files, as on most systems. */
const CLIENTS_PER_PROCESS = 6_000;

/** Drained: one of the smallest; killed: the one in the middle, alone in its zone or not as the seed has it. */
export function victims<Gateway extends { readonly capacity: number }>(fleet: readonly Gateway[]) {
  const bySize = fleet.toSorted((a, b) => a.capacity - b.capacity);
  return { drained: bySize[0] as Gateway, killed: bySize[2] as Gateway };
}

interface RealGateway {
  readonly child: Child;
  readonly admin: string;
  readonly seen: SimGateway;
}

export class RealFleet implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  readonly #folder: string;
  readonly #clients: number;
  readonly #services: Services;
  readonly #ipconf: string;
  readonly #gateways: readonly RealGateway[];
  readonly #clientProcesses: Child[] = [];

  private constructor(
    stack: AsyncDisposableStack,
    folder: string,
    clients: number,
    services: Services,
    ipconf: string,
    gateways: readonly RealGateway[],
  ) {
    this.#stack.use(stack);
    this.#folder = folder;
    this.#clients = clients;
    this.#services = services;
    this.#ipconf = ipconf;
    this.#gateways = gateways;
  }

  /** Starts everything but the clients; the gateways have the simulation's sizes, for so many clients. */
  static async start(clients: number, drainMs: number): Promise<RealFleet> {
    await using stack = new AsyncDisposableStack();
    const folder = mkdtempSync(join(tmpdir(), 'gochat-placement-'));
    stack.defer(() => rmSync(folder, { recursive: true, force: true }));
    const services = stack.use(await startServices());
    const env = {
      GOCHAT_REGISTRY: services.urls.etcd,
      GOCHAT_HOT: services.urls.redis,
      GOCHAT_STORE: services.urls.postgres,
      GOCHAT_LOG_LEVEL: 'info',
    };
    const start = async (mode: string, more: readonly string[] = []) => {
      const { child, up } = await startServer(mode, more, { env });
      stack.use(child);
      return { child, up };
    };
    await start('state');
    const ipconf = await start('ipconf', ['--rate-per-second', '0', '--max-connections-per-address', '0']);
    const gateways: RealGateway[] = [];
    for (const seen of makeFleet(GATEWAYS, clients, UTILISATION, new Random(SEED))) {
      const own = {
        '--ws-port': '0',
        '--workers': '1',
        '--zone': ZONES[seen.zone] as string,
        '--max-connections': String(seen.capacity),
        '--drain-ms': String(drainMs),
      };
      const { child, up } = await start('gateway', Object.entries(own).flat());
      gateways.push({ child, seen, admin: `http://${up['admin']}` });
    }
    return new RealFleet(stack.move(), folder, clients, services, `http://${ipconf.up['http']}`, gateways);
  }

  /** The gateways as the measures see them; `look` updates them. */
  get gateways(): readonly SimGateway[] {
    return this.#gateways.map(({ seen }) => seen);
  }

  /** Makes the accounts, and lets the clients arrive evenly within so many seconds. */
  async come(seconds: number): Promise<void> {
    const planned = await this.#plan();
    const processes = Math.ceil(this.#clients / CLIENTS_PER_PROCESS);
    for (let i = 0; i < processes; i++) {
      const file = join(this.#folder, `plan-${i}`);
      // Dealt in turn, so that all arrive evenly.
      writeFileSync(file, JSON.stringify(planned.filter((_, at) => at % processes === i)), { mode: 0o600 });
      const args = [join(ROOT, 'bench/peers/placement-clients.ts'), this.#ipconf, file, String(seconds)];
      this.#clientProcesses.push(this.#stack.use(new Child('clients', process.execPath, args)));
    }
  }

  /** Asks each gateway how many connections it has. */
  async look(): Promise<void> {
    await Promise.all(this.#gateways.map(count));
  }

  /** Drains a gateway as an operator does. */
  async drain(wanted: SimGateway): Promise<void> {
    wanted.isDraining = true;
    await runCommand(join(ROOT, 'bin/gochat'), ['ctl', 'drain', '--admin', this.#of(wanted).admin]);
  }

  /** Kills a gateway, like a crash. */
  kill(wanted: SimGateway): void {
    wanted.isAlive = false;
    this.#of(wanted).child.kill();
  }

  /** Ends the clients; returns the sum of their attempts. */
  async leave(): Promise<Tried> {
    const all: Tried = { asked: 0, attempts: 0, welcomed: 0, lost: 0 };
    for (const child of this.#clientProcesses) {
      await child[Symbol.asyncDispose]();
      const line = child.output.split('\n').findLast((each) => each.startsWith('{"asked"'));
      const own = JSON.parse(line ?? '{}') as Tried;
      for (const key of ['asked', 'attempts', 'welcomed', 'lost'] as const) all[key] += own[key];
    }
    return all;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }

  #of(wanted: SimGateway): RealGateway {
    return this.#gateways.find(({ seen }) => seen === wanted) as RealGateway;
  }

  /** Assigns clients to zones: to each as many as it was built for. */
  async #plan(): Promise<PlannedClient[]> {
    const random = new Random(SEED);
    const total = this.gateways.reduce((sum, { capacity }) => sum + capacity, 0);
    const users = await new Seeds(this.#services.urls.postgres).users(this.#clients);
    return users.map(({ id, token }) => {
      let at = random.next() * total;
      const home = this.gateways.find(({ capacity }) => (at -= capacity) < 0) ?? this.gateways[0];
      return { user: String(id), token, zone: ZONES[home?.zone ?? 0] as string };
    });
  }
}

/** Updates the number of connections that a gateway reports. */
async function count({ child, admin, seen }: RealGateway): Promise<void> {
  if (!seen.isAlive || child.exited) {
    seen.isAlive = false;
    seen.connections = 0;
    return;
  }
  try {
    const text = await (await fetch(`${admin}/metrics`)).text();
    const values = [...text.matchAll(/^gochat_gateway_connections\{.*\} (\d+)/gm)];
    seen.connections = values.reduce((sum, [, value]) => sum + Number(value), 0);
  } catch (error) {
    // A draining gateway ends eventually.
    if (!seen.isDraining) throw error;
    seen.isAlive = false;
    seen.connections = 0;
  }
}
