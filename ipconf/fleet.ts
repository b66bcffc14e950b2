/** The fleet: every gateway known, and what is true of them together at this tick. */
import type { Endpoint, Snapshot } from '../crpc/mod.ts';
import type { TransportKind } from '../proto/mod.ts';
import { Gateway } from './gateway.ts';
import { readAddress } from './gateway-report.ts';
import { Homes } from './homes.ts';
import { Pool } from './pool.ts';
import { STALE_AFTER_MS, suspicion } from './scorer.ts';

export type Transport = TransportKind;

/** Keeps the last picture of the gateways. Times are ms on any clock that only grows. */
export class Fleet {
  readonly #gateways = new Map<string, Gateway>();
  /** By transport, then zone; '' is all zones. */
  readonly #pools = { tcp: new Map<string, Pool>(), ws: new Map<string, Pool>() };
  readonly #homes = { tcp: new Map<string, Homes>(), ws: new Map<string, Homes>() };
  #candidates: Gateway[] = [];
  #zones = new Set<string>();
  #lostAt: number | undefined;
  #known = false;
  /** Of the newest picture. */
  #endpoints: readonly Endpoint[] = [];
  #suspicion = 0;
  #staleFor = 0;
  #meanHeadroom = 0;
  /** Room of the gateways that take clients, averaged by their share. */
  #meanRoom = 0;

  /** The registry has answered at least once. */
  get known(): boolean {
    return this.#known;
  }

  /** How long the picture has been old: the registry is lost, or no gateway's report comes through. ms. */
  get staleFor(): number {
    return this.#staleFor;
  }

  /** How old the picture feels, 0 fresh to 1. */
  get suspicion(): number {
    return this.#suspicion;
  }

  /** Headroom of the gateways that take clients, averaged by capacity. */
  get meanHeadroom(): number {
    return this.#meanHeadroom;
  }

  /** Gateways that take clients. */
  get candidates(): readonly Gateway[] {
    return this.#candidates;
  }

  /** All gateways, those that drain included. */
  get gateways(): Iterable<Gateway> {
    return this.#gateways.values();
  }

  hasZone(zone: string): boolean {
    return this.#zones.has(zone);
  }

  /**
   * Takes a picture from the registry; `tick` makes it count.
   *
   * @returns whether it should count at once, as somebody has come, goes or is gone, and not only figures are new
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
      // Most have not said anything since.
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

  /** Brings what depends on time up to date; makes new pools. */
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
    // When none is ready, the fault is behind them: there a client is told what it is, and let in when it is over.
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
   * Returns a gateway's room as far as it is believed. A report that is old is drawn towards the mean, a new
   * gateway's lead counts little by little, and doubt about one gateway makes it smaller.
   */
  #score(gateway: Gateway): number {
    let { room } = gateway;
    const mean = this.#meanRoom;
    if (this.#suspicion > 0) room += this.#suspicion * (mean - room);
    if (gateway.ramp < 1 && room > mean) room = mean + gateway.ramp * (room - mean);
    return room * gateway.freshness * gateway.trust;
  }

  /** A gateway that restarted within its lease is there twice for a while: the older process is dead. */
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
    // When all fall silent at once, the path of the reports is to be doubted and not the gateways.
    const silentFor = newest === Infinity ? 0 : newest - STALE_AFTER_MS;
    return Math.max(0, lostFor, silentFor);
  }
}

function haveSameIds(a: readonly Endpoint[], b: readonly Endpoint[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i] && a[i]?.id !== b[i]?.id) return false;
  return true;
}
