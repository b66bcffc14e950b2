/** The policies that are compared: GoChat's own code, the classic design, and three well-known ones. */
import type { Endpoint } from '../../crpc/mod.ts';
import { ANY, Fleet, Placement } from '../../ipconf/mod.ts';
import type { Random } from './random.ts';
import { BYTES_PER_CAPACITY, type SimReport, ZONES } from './world.ts';

/** One ipconf node: takes reports and says where a client should go. */
export interface Policy {
  /** Takes the reports that have arrived, and the gateways that are gone. */
  learn(reports: readonly SimReport[], nowMs: number): void;
  /** Lets time pass; ten times a second. */
  tick(nowMs: number): void;
  /** Writes gateways, best first, into `ranked` and returns how many. */
  place(zone: number, ranked: Int32Array): number;
  /** Whether its answer changes only with new reports. */
  readonly isSameForAll?: boolean;
}

export type MakePolicy = (random: Random, nodes: number) => Policy;

export const POLICIES: Readonly<Record<string, MakePolicy>> = {
  GoChat: (random, nodes) => new GochatPolicy(random, nodes),
  classic: () => new ClassicPolicy(),
  'round robin': (random) => new RoundRobinPolicy(random),
  random: (random) => new RandomPolicy(random),
  'least connections': () => new LeastConnectionsPolicy(),
};

const TOP = 5;
/** Address of the simulated gateways. */
const FIRST_PORT = 1024;
/** Users that clients may belong to. */
const USERS = 2 ** 31;

/** The real Fleet and Placement of ipconf, fed with the endpoints that a registry would hand on. */
class GochatPolicy implements Policy {
  readonly #random: Random;
  readonly #fleet = new Fleet();
  readonly #placement: Placement;
  readonly #endpoints = new Map<number, Endpoint>();

  constructor(random: Random, nodes: number) {
    this.#random = random;
    this.#placement = new Placement(this.#fleet, random.next);
    this.#placement.nodes = nodes;
  }

  learn(reports: readonly SimReport[], nowMs: number): void {
    for (const report of reports) {
      if (!report.isAlive) this.#endpoints.delete(report.index);
      else this.#endpoints.set(report.index, toEndpoint(report));
    }
    const endpoints = [...this.#endpoints.values()];
    if (this.#fleet.update({ endpoints, stale: false }, nowMs)) this.#fleet.tick(nowMs);
  }

  tick(nowMs: number): void {
    this.#fleet.tick(nowMs);
  }

  place(zone: number, ranked: Int32Array): number {
    // The user is drawn anew: homes are a hash of the user, so any users will do.
    const uid = String(this.#random.below(USERS));
    const { n, transport } = ANY;
    const { choices } = this.#placement.place({ n, zone: ZONES[zone] as string, transport, uid });
    for (let i = 0; i < choices.length; i++)
      ranked[i] = (choices[i] as (typeof choices)[number]).gateway.address.tcp!.port - FIRST_PORT;
    return choices.length;
  }
}

function toEndpoint(report: SimReport): Endpoint {
  return {
    id: `${report.index}-${report.epoch}`,
    address: `10.0.0.1:${FIRST_PORT + report.index}`,
    weight: 1,
    zone: ZONES[report.zone] ?? '',
    version: '1',
    metadata: { name: `g${report.index}`, ws_port: '8901' },
    load: {
      connections: report.connections,
      max_connections: report.capacity,
      accepted: report.accepted,
      bytes_out_per_s: report.bytesPerSecond,
      max_bytes_out_per_s: report.capacity * BYTES_PER_CAPACITY,
      cpu: report.cpu,
      draining: report.isDraining ? 1 : 0,
    },
  };
}

/** Keeps the newest report of each live gateway that is not draining. */
abstract class ReportPolicy implements Policy {
  protected readonly reports = new Map<number, SimReport>();

  learn(reports: readonly SimReport[], _nowMs: number): void {
    for (const report of reports) {
      if (report.isAlive && !report.isDraining) this.reports.set(report.index, report);
      else this.reports.delete(report.index);
      this.learned(report);
    }
    this.rank();
  }

  tick(_nowMs: number): void {
    // These policies do not depend on time.
  }

  protected learned(_report: SimReport): void {
    // Most keep only the newest report.
  }

  protected abstract rank(): void;
  abstract place(zone: number, ranked: Int32Array): number;
}

/** Sends everyone to the first five of one order until the next report. */
abstract class RankedPolicy extends ReportPolicy {
  readonly isSameForAll = true;
  #top: number[] = [];

  protected rank(): void {
    const best: SimReport[] = [];
    for (const report of this.reports.values()) {
      const isBefore = (other: SimReport) => (this.compare(other, report) || other.index - report.index) > 0;
      let at = best.length;
      while (at > 0 && isBefore(best[at - 1] as SimReport)) at--;
      if (at < TOP) best.splice(at, 0, report);
      if (best.length > TOP) best.length = TOP;
    }
    this.#top = best.map(({ index }) => index);
  }

  protected abstract compare(a: SimReport, b: SimReport): number;

  place(_zone: number, ranked: Int32Array): number {
    for (let i = 0; i < this.#top.length; i++) ranked[i] = this.#top[i] as number;
    return this.#top.length;
  }
}

const GIB = 2 ** 30;
const WINDOW = 5;

/**
 * The classic design: the sum of the last five samples of what remains; first the bytes per second in GiB to two
 * digits, then the connections; the top five for everyone.
 */
class ClassicPolicy extends RankedPolicy {
  readonly #windows = new Map<number, { epoch: number; bytes: number[]; connections: number[] }>();
  readonly #scores = new Map<number, { active: number; idle: number }>();

  protected override learned(report: SimReport): void {
    let window = this.#windows.get(report.index);
    if (window?.epoch !== report.epoch) {
      window = { epoch: report.epoch, bytes: [], connections: [] };
      this.#windows.set(report.index, window);
    }
    push(window.bytes, report.capacity * BYTES_PER_CAPACITY - report.bytesPerSecond);
    push(window.connections, report.capacity - report.connections);
    this.#scores.set(report.index, {
      active: Math.trunc((sum(window.bytes) / GIB) * 100 + 0.5) / 100,
      idle: sum(window.connections),
    });
  }

  protected compare(a: SimReport, b: SimReport): number {
    const [x, y] = [this.#scores.get(a.index), this.#scores.get(b.index)];
    if (!x || !y) return 0;
    return y.active - x.active || y.idle - x.idle;
  }
}

/** The gateways with the fewest connections by the last reports. */
class LeastConnectionsPolicy extends RankedPolicy {
  protected compare(a: SimReport, b: SimReport): number {
    return a.connections - b.connections;
  }
}

/** Each gateway in turn; a node begins at a random one. */
class RoundRobinPolicy extends ReportPolicy {
  #all: number[] = [];
  #next: number;

  constructor(random: Random) {
    super();
    this.#next = random.below(1_000_000);
  }

  protected rank(): void {
    this.#all = [...this.reports.keys()].sort((a, b) => a - b);
  }

  place(_zone: number, ranked: Int32Array): number {
    const count = Math.min(TOP, this.#all.length);
    for (let i = 0; i < count; i++) ranked[i] = this.#all[(this.#next + i) % this.#all.length] as number;
    this.#next++;
    return count;
  }
}

/** Any gateway, all equally likely. */
class RandomPolicy extends ReportPolicy {
  readonly #random: Random;
  #all: number[] = [];

  constructor(random: Random) {
    super();
    this.#random = random;
  }

  protected rank(): void {
    this.#all = [...this.reports.keys()];
  }

  place(_zone: number, ranked: Int32Array): number {
    const count = Math.min(TOP, this.#all.length);
    for (let i = 0; i < count; i++) ranked[i] = this.#all[this.#random.below(this.#all.length)] as number;
    return count;
  }
}

function push(window: number[], value: number): void {
  if (window.length === WINDOW) window.shift();
  window.push(value);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
