/** Placement: chooses the gateways for a client, best first. */
import type { Choice, Draw, Alternates } from './draw.ts';
import type { Fleet, Transport } from './fleet.ts';
import type { Gateway } from './gateway.ts';
import type { Homes } from './homes.ts';
import type { Pool } from './pool.ts';

/** Most gateways in an answer, and the default: enough that one of them can be reached. */
export const MAX_GATEWAYS = 5;
/**
 * Pools up to this size are searched as a whole. From larger ones as many gateways are drawn as the answer holds, at
 * least two: two random choices are exponentially better than one (Mitzenmacher 2001), and random draws do not herd.
 */
export const EXHAUSTIVE_POOL = 8;
const MIN_DRAWS = 2;
/** How much fuller the client's own zone may be before it is sent to another: 15 of 100 points of headroom. */
export const ZONE_PENALTY = 0.15;
/**
 * How much fuller a user's home may be than the alternative before the user is moved, as a share of the alternative's
 * use. It costs a tenth of the imbalance that is tolerated in a fleet at half load.
 */
export const STICKY_MARGIN = 0.02;
/**
 * The least such margin, as a share of capacity: in a nearly empty fleet a few clients more mean nothing. It applies
 * below 5 % use, where balance does not matter yet.
 */
export const STICKY_SLACK = 0.001;

/**
 * Lists of alternates to a home, drawn anew each tick and used in turn. There are enough that the users of a dead home
 * spread almost as if each had its own list, and so few that most answers are already encoded.
 */
const ALTERNATE_LISTS = 16;
/** Draws for each place in such a list, as the same gateway may be drawn more than once. */
const PICK_TRIES = 4;
const NO_CHOICES: Draw = { choices: [], text: '' };

/** The parameters of a client's query. */
export interface PlacementRequest {
  /** Most gateways in the answer, 1 to MAX_GATEWAYS. */
  readonly n: number;
  /** The client's zone; '' or one without gateways: any. */
  readonly zone: string;
  readonly transport: Transport;
  /** The user; '' if unknown. A user gets the same gateway as long as it is healthy. */
  readonly uid: string;
}

export const ANY: PlacementRequest = { n: MAX_GATEWAYS, zone: '', transport: 'tcp', uid: '' };

/** The gateways for a client: its home, if it should go there, then the alternates. */
export class PlacementResult {
  readonly home: Choice | undefined;
  readonly alternates: Draw;

  constructor(home: Choice | undefined, alternates: Draw) {
    this.home = home;
    this.alternates = alternates;
  }

  /** Gateways in the order in which the client should try them. */
  get choices(): readonly Choice[] {
    return this.home ? [this.home, ...this.alternates.choices] : this.alternates.choices;
  }

  /** The gateway that the client should try first; undefined: there is none for it. */
  get first(): Gateway | undefined {
    return (this.home ?? this.alternates.choices[0])?.gateway;
  }
}

export class Placement {
  readonly #fleet: Fleet;
  readonly #random: () => number;
  /** ipconf nodes that place clients, this one included. Each sees only its own share of the clients. */
  nodes = 1;
  #placed = 0;

  constructor(fleet: Fleet, random: () => number = Math.random) {
    this.#fleet = fleet;
    this.#random = random;
  }

  /** Clients placed so far. */
  get placed(): number {
    return this.#placed;
  }

  /** Chooses gateways and counts the client as on its way to the first; empty when none has room. */
  place(request: PlacementRequest): PlacementResult {
    const placed = this.choose(request);
    const { first } = placed;
    if (first) {
      // Each of the other nodes places about as many clients unseen by this one.
      this.#fleet.place(first, this.nodes);
      this.#placed++;
    }
    return placed;
  }

  /** Chooses gateways without counting a client, for example for HEAD. */
  choose({ n, zone, transport, uid }: PlacementRequest): PlacementResult {
    const fleet = this.#fleet;
    const all = fleet.pool('', transport);
    const near = zone !== '' && fleet.hasZone(zone) ? fleet.pool(zone, transport) : undefined;
    const pool = near ?? all;
    const own = near ? zone : '';
    const home = uid === '' ? undefined : this.#homeOf(uid, fleet.homes(own, transport), pool, all);
    if (!home)
      return new PlacementResult(undefined, { choices: this.#draw(n, own, near, all), text: undefined });
    // The alternates matter only if the home cannot be reached.
    return new PlacementResult(
      { gateway: home, score: home.score },
      this.#alternates(home, n - 1, near, all),
    );
  }

  /** Returns n gateways to try after the user's home. */
  #alternates(home: Gateway, n: number, near: Pool | undefined, all: Pool): Draw {
    if (n === 0) return NO_CHOICES;
    const lists = ((near ?? all).alternates[n] ??= []);
    const turn = this.#placed % ALTERNATE_LISTS;
    const list = (lists[turn] ??= this.#drawAlternates(n, near, all));
    if (indexOf(list.choices, home) < 0) return list;
    const rest = list.choices.filter(({ gateway }) => gateway !== home);
    return { choices: list.spare ? [...rest, list.spare] : rest, text: undefined };
  }

  /**
   * Draws n gateways and a spare one, near ones first unless their zone is full. They stay in the order of the draw:
   * clients that go there after the death of their home are not counted, and if all of them went to the best gateway it
   * would be full before its next report.
   */
  #drawAlternates(n: number, near: Pool | undefined, all: Pool): Alternates {
    const choices: Choice[] = [];
    if (near && near.mean >= all.mean - ZONE_PENALTY) this.#pick(near, n + 1, choices);
    this.#pick(all, n + 1, choices);
    return { choices: choices.slice(0, n), spare: choices[n], text: undefined };
  }

  /** Draws gateways from a pool by headroom until there are `count` choices or the pool has no more. */
  #pick(pool: Pool, count: number, choices: Choice[]): void {
    if (pool.isEmpty) return;
    const take = (gateway: Gateway): void => {
      const { score } = gateway;
      if (choices.length < count && score > 0 && indexOf(choices, gateway) < 0)
        choices.push({ gateway, score });
    };
    for (let i = 0; i < count * PICK_TRIES && choices.length < count; i++) take(pool.draw(this.#random()));
    if (pool.gateways.length <= EXHAUSTIVE_POOL) for (const gateway of pool.gateways) take(gateway);
  }

  /** Draws gateways and returns the best n, best first. */
  #draw(n: number, zone: string, near: Pool | undefined, all: Pool): Choice[] {
    const choices: Choice[] = [];
    const draws = Math.max(n, MIN_DRAWS);
    if (near) this.#gather(near, draws, choices, '');
    this.#gather(all, near ? Math.max(MIN_DRAWS, draws - choices.length) : draws, choices, zone);
    if (choices.length > n) choices.length = n;
    return choices;
  }

  /** Draws from a pool into the choices. Gateways outside the client's zone get a penalty. */
  #gather(pool: Pool, draws: number, choices: Choice[], zone: string): void {
    if (pool.isEmpty) return;
    const { gateways } = pool;
    const isSmall = gateways.length <= EXHAUSTIVE_POOL;
    const count = isSmall ? gateways.length : draws;
    for (let i = 0; i < count; i++) {
      const gateway = isSmall ? (gateways[i] as Gateway) : pool.draw(this.#random());
      if (indexOf(choices, gateway) >= 0) continue;
      const { score } = gateway;
      // A full gateway cannot take the client, however near it is.
      if (score <= 0) continue;
      const penalty = zone !== '' && gateway.address.zone !== zone ? ZONE_PENALTY : 0;
      insert(choices, gateway, Math.max(0, score - penalty));
    }
  }

  /** Returns the user's home gateway, unless it is too much fuller than the others. */
  #homeOf(uid: string, homes: Homes, near: Pool, all: Pool): Gateway | undefined {
    const both = homes.of(uid);
    if (!both) return undefined;
    const [first, second] = both;
    const home = isWorth(first.score, second.score) ? first : second;
    // Compare with the fleet too: when a gateway is new or the whole zone is full, users move away from their homes.
    const mean = Math.max(near.mean, all.mean - (near === all ? 0 : ZONE_PENALTY));
    return isWorth(home.score, mean) ? home : undefined;
  }
}

/** Returns whether a gateway with this score is at most a margin fuller than the alternative. */
function isWorth(score: number, alternative: number): boolean {
  const used = 1 - alternative;
  return score > 0 && 1 - score <= used + Math.max(used * STICKY_MARGIN, STICKY_SLACK);
}

function indexOf(choices: readonly Choice[], gateway: Gateway): number {
  for (let i = 0; i < choices.length; i++) if ((choices[i] as Choice).gateway === gateway) return i;
  return -1;
}

/** Inserts a choice by score, best first. */
function insert(choices: Choice[], gateway: Gateway, score: number): void {
  const choice = { gateway, score };
  let at = choices.length;
  choices.push(choice);
  for (; at > 0 && (choices[at - 1] as Choice).score < score; at--) choices[at] = choices[at - 1] as Choice;
  choices[at] = choice;
}
