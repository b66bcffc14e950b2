/** The fleet: all known gateways, and the figures of the fleet as a whole at this tick. */
import type { Endpoint, Snapshot } from '../crpc/mod.ts';
import type { TransportKind } from '../proto/mod.ts';
import { Gateway } from './gateway.ts';
import { readAddress } from './gateway-report.ts';
import { Homes } from './homes.ts';
import { Pool } from './pool.ts';
import { STALE_AFTER_MS, suspicion } from './scorer.ts';

export type Transport = TransportKind;

/** Keeps the last snapshot of the gateways. Times are ms of a monotonic clock. */
export class Fleet {
  readonly #gateways = new Map<string, Gateway>();
  /** By transport, then by zone; '' is all zones. */
  readonly #pools = { tcp: new Map<string, Pool>(), ws: new Map<string, Pool>() };
  readonly #homes = { tcp: new Map<string, Homes>(), ws: new Map<string, Homes>() };
  #candidates: Gateway[] = [];
  #zones = new Set<string>();
  #lostAt: number | undefined;
  #known = false;
  /** Endpoints of the newest snapshot. */
  #endpoints: readonly Endpoint[] = [];
  #suspicion = 0;
  #staleFor = 0;
  #meanHeadroom = 0;
  /** Mean room of the open gateways, weighted by share. */
  #meanRoom = 0;

  /** Whether the registry has answered at least once. */
  get known(): boolean {
    return this.#known;
  }

  /** Time for which the snapshot has been stale, ms: the registry is lost, or no gateway's reports arrive. */
  get staleFor(): number {
    return this.#staleFor;
  }

  /** Suspicion of the snapshot, 0 (fresh) to 1. */
  get suspicion(): number {
    return this.#suspicion;
  }

  /** Mean headroom of the open gateways, weighted by capacity. */
  get meanHeadroom(): number {
    return this.#meanHeadroom;
  }

  /** The open gateways. */
  get candidates(): readonly Gateway[] {
    return this.#candidates;
  }

  /** All gateways, draining ones included. */
  get gateways(): Iterable<Gateway> {
    return this.#gateways.values();
  }

  hasZone(zone: string): boolean {
    return this.#zones.has(zone);
  }

  /**
   * Accepts a snapshot from the registry; `tick` applies it.
   *
   * @returns whether to apply it at once: gateways have come or gone, and not only figures have changed
   */
  update({ endpoints, stale }: Snapshot, now: number): boolean {
    const wasLost = this.#lostAt !== undefined;
    this.#lostAt = stale ? (this.#lostAt ?? now) : undefined;
    const seenAt = this.#known ? now : -Infinity;
    if (!stale || endpoints.length > 0) this.#known = true;
    const before = this.#endpoints;
    this.#endpoints = endpoints;
    const areSame = haveSameIds(before, endpoints);
    let [isUrgent, isNew] = [!areSame || stale !== wasLost, false];
    for (const [i, endpoint] of endpoints.entries()) {
      // Most gateways have not reported since.
      if (areSame && endpoint === before[i]) continue;
      const gateway = this.#gateways.get(endpoint.id);
      if (gateway) {
        const { isOpen } = gateway;
        gateway.report(endpoint, now);
        if (gateway.isOpen !== isOpen) isUrgent = true;
        continue;
      }
      const address = readAddress(endpoint);
      if (!address) continue;
      this.#gateways.set(endpoint.id, new Gateway(address, endpoint, now, seenAt));
      isNew = true;
    }
    if (!areSame) {
      const ids = new Set(endpoints.map(({ id }) => id));
      for (const id of this.#gateways.keys()) if (!ids.has(id)) this.#gateways.delete(id);
    }
    if (isNew) this.#dropReplaced();
    return isUrgent;
  }

  /** Updates everything that depends on time and makes new pools. */
  tick(now: number): void {
    this.#staleFor = this.#measureStale(now);
    this.#suspicion = suspicion(this.#staleFor);
    const isStale = this.#staleFor > 0;
    const second = Math.floor(now / 1000);
    let [arrived, lost, minWeight] = [0, 0, Infinity];
    for (const gateway of this.#gateways.values()) {
      if (isStale) gateway.credit.hold(second);
      else gateway.credit.advance(second);
      arrived += gateway.credit.arrived;
      lost += gateway.credit.lost;
      minWeight = Math.min(minWeight, gateway.window.load.weight);
    }
    const state = { now, outcome: { arrived, lost }, minWeight, isStale };
    this.#zones = new Set();
    this.#pools.tcp.clear();
    this.#pools.ws.clear();
    const present: Gateway[] = [];
    for (const gateway of this.#gateways.values()) {
      gateway.refresh(state);
      if (!gateway.window.load.draining && gateway.freshness > 0) present.push(gateway);
    }
    const open = present.filter(({ isOpen }) => isOpen);
    // If none is ready, the fault lies with state. Clients are still sent to gateways, which tell them the cause and
    // accept them when it is over.
    this.#candidates = open.length > 0 ? open : present;
    let [headroom, capacity, room, share] = [0, 0, 0, 0];
    for (const gateway of this.#candidates) {
      this.#zones.add(gateway.address.zone);
      headroom += gateway.headroom * gateway.capacity;
      capacity += gateway.capacity;
      room += gateway.room * gateway.share;
      share += gateway.share;
    }
    this.#meanHeadroom = capacity === 0 ? 0 : headroom / capacity;
    this.#meanRoom = share === 0 ? 0 : room / share;
    for (const gateway of this.#gateways.values()) gateway.score = this.#score(gateway);
  }

  /** Counts clients as on their way to a gateway; its score says so at once. */
  place(gateway: Gateway, clients: number): void {
    gateway.credit.place(clients);
    gateway.score = this.#score(gateway);
  }

  /** Returns the gateways of a zone ('' all) that speak a transport; made once per tick. */
  pool(zone: string, transport: Transport): Pool {
    const known = this.#pools[transport].get(zone);
    if (known) return known;
    const gateways = this.#candidates.filter(
      ({ address }) => (zone === '' || address.zone === zone) && address[transport] !== undefined,
    );
    const pool = new Pool(gateways);
    this.#pools[transport].set(zone, pool);
    return pool;
  }

  /** Returns the homes within a pool; made anew only when gateways come, go or change their share. */
  homes(zone: string, transport: Transport): Homes {
    const pool = this.pool(zone, transport);
    if (pool.homes) return pool.homes;
    const before = this.#homes[transport].get(zone);
    const homes = before?.isFor(pool.gateways) ? before : new Homes(pool.gateways);
    this.#homes[transport].set(zone, homes);
    pool.homes = homes;
    return homes;
  }

  /**
   * Returns a gateway's room, discounted by doubt: an old report is drawn towards the mean, a new gateway's lead counts
   * gradually, and lost clients reduce it.
   */
  #score(gateway: Gateway): number {
    let { room } = gateway;
    const mean = this.#meanRoom;
    if (this.#suspicion > 0) room += this.#suspicion * (mean - room);
    if (gateway.slowStart < 1 && room > mean) room = mean + gateway.slowStart * (room - mean);
    return room * gateway.freshness * gateway.trust;
  }

  /** Drops the older entry of a gateway that has restarted within its lease. */
  #dropReplaced(): void {
    const newest = new Map<string, Gateway>();
    for (const gateway of this.#gateways.values()) {
      const { address, epoch } = gateway.address;
      const other = newest.get(address);
      if (other === undefined || epoch > other.address.epoch) newest.set(address, gateway);
      if (other !== undefined && other.address.epoch !== epoch)
        this.#gateways.delete((epoch > other.address.epoch ? other : gateway).address.id);
    }
  }

  #measureStale(now: number): number {
    const lostFor = this.#lostAt === undefined ? 0 : now - this.#lostAt;
    let newest = Infinity;
    for (const { isPeriodic, window } of this.#gateways.values())
      if (isPeriodic) newest = Math.min(newest, window.age(now));
    // If all gateways fall silent at once, the path of the reports is in doubt and not the gateways.
    const silentFor = newest === Infinity ? 0 : newest - STALE_AFTER_MS;
    return Math.max(0, lostFor, silentFor);
  }
}

function haveSameIds(a: readonly Endpoint[], b: readonly Endpoint[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i] && a[i]?.id !== b[i]?.id) return false;
  return true;
}
