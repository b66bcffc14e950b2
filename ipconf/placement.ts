/** Placement: which gateways a client is told, best first. */
import type { Choice, Draw, Others } from './draw.ts';
import type { Fleet, Transport } from './fleet.ts';
import type { Gateway } from './gateway.ts';
import type { Homes } from './homes.ts';
import type { Pool } from './pool.ts';

/** Most gateways in an answer, and as many as without a wish: enough that one of them can be reached. */
export const MAX_GATEWAYS = 5;
/**
 * Pools up to this size are looked at as a whole. In larger ones as many are drawn as the answer holds, at least two:
 * two random choices are exponentially better than one (Mitzenmacher 2001), and a drawn handful does not herd.
 */
export const EXHAUSTIVE_POOL = 8;
const MIN_DRAWS = 2;
/** How much fuller the client's own zone may be before it is sent to another: 15 of 100 points of headroom. */
export const ZONE_PENALTY = 0.15;
/**
 * How much fuller a user's home may be than the alternative before the user is moved, as a share of what the
 * alternative uses: a tenth of the tolerated imbalance of a fleet at half load costs little evenness.
 */
export const STICKY_MARGIN = 0.02;
/**
 * And at least as a share of capacity: in a fleet that is nearly empty a few clients more say nothing. It counts below
 * 5 % of use, where evenness does not matter yet.
 */
export const STICKY_SLACK = 0.001;

/**
 * Lists of what comes after a home, drawn anew each tick and told in turn: so many that the users of a home that died
 * spread over the others much as if each had a list of its own, and so few that most answers are written already.
 */
const OTHERS = 16;
/** Draws for each place in such a list: the same gateway comes out more than once. */
const PICK_TRIES = 4;
const NOBODY: Draw = { choices: [], text: '' };

/** What a client asks for. */
export interface PlacementRequest {
  /** Most gateways in the answer, 1 to MAX_GATEWAYS. */
  readonly n: number;
  /** The client's zone; '' or one without gateways: any. */
  readonly zone: string;
  readonly transport: Transport;
  /** Whom it is for; '' unknown. Comes back to the same gateway while that one is healthy. */
  readonly uid: string;
}

export const ANY: PlacementRequest = { n: MAX_GATEWAYS, zone: '', transport: 'tcp', uid: '' };

/** What a client is told: its home, if it is to go there, and then the others. */
export class Placed {
  readonly home: Choice | undefined;
  readonly others: Draw;

  constructor(home: Choice | undefined, others: Draw) {
    this.home = home;
    this.others = others;
  }

  /** Gateways in the order in which the client should try them. */
  get choices(): readonly Choice[] {
    return this.home ? [this.home, ...this.others.choices] : this.others.choices;
  }

  /** Where the client is sent; undefined: there is no gateway for it. */
  get first(): Gateway | undefined {
    return (this.home ?? this.others.choices[0])?.gateway;
  }
}

export class Placement {
  readonly #fleet: Fleet;
  readonly #random: () => number;
  /** ipconf nodes that place clients, this one included: each sees only its own share. */
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
  place(request: PlacementRequest): Placed {
    const placed = this.choose(request);
    const { first } = placed;
    if (first) {
      // The other nodes place as many without telling: each of ours stands for one of each of theirs.
      this.#fleet.place(first, this.nodes);
      this.#placed++;
    }
    return placed;
  }

  /** Chooses gateways for somebody who does not go there, such as a HEAD. */
  choose({ n, zone, transport, uid }: PlacementRequest): Placed {
    const fleet = this.#fleet;
    const all = fleet.pool('', transport);
    const near = zone !== '' && fleet.hasZone(zone) ? fleet.pool(zone, transport) : undefined;
    const pool = near ?? all;
    const own = near ? zone : '';
    const home = uid === '' ? undefined : this.#homeOf(uid, fleet.homes(own, transport), pool, all);
    if (!home) return new Placed(undefined, { choices: this.#draw(n, own, near, all), text: undefined });
    // Who belongs there goes there; what comes after it matters only when it cannot be reached.
    return new Placed({ gateway: home, score: home.score }, this.#others(home, n - 1, near, all));
  }

  /** Returns n gateways to be tried after the user's home. */
  #others(home: Gateway, n: number, near: Pool | undefined, all: Pool): Draw {
    if (n === 0) return NOBODY;
    const lists = ((near ?? all).others[n] ??= []);
    const turn = this.#placed % OTHERS;
    const list = (lists[turn] ??= this.#drawOthers(n, near, all));
    if (indexOf(list.choices, home) < 0) return list;
    const rest = list.choices.filter(({ gateway }) => gateway !== home);
    return { choices: list.spare ? [...rest, list.spare] : rest, text: undefined };
  }

  /**
   * Draws n gateways and a spare one, near ones first unless their zone is full. They stay in the order in which they
   * were drawn: nobody counts who goes there when a home has died, and if all of them went to the best it would be full
   * before its next report.
   */
  #drawOthers(n: number, near: Pool | undefined, all: Pool): Others {
    const choices: Choice[] = [];
    if (near && near.mean >= all.mean - ZONE_PENALTY) this.#pick(near, n + 1, choices);
    this.#pick(all, n + 1, choices);
    return { choices: choices.slice(0, n), spare: choices[n], text: undefined };
  }

  /** Draws gateways from a pool, by the room they have, until there are `count` choices or the pool has no more. */
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

  /** Returns the best n of those drawn, best first. */
  #draw(n: number, zone: string, near: Pool | undefined, all: Pool): Choice[] {
    const choices: Choice[] = [];
    const draws = Math.max(n, MIN_DRAWS);
    if (near) this.#gather(near, draws, choices, '');
    this.#gather(all, near ? Math.max(MIN_DRAWS, draws - choices.length) : draws, choices, zone);
    if (choices.length > n) choices.length = n;
    return choices;
  }

  /** Draws from a pool into the choices; gateways outside the client's zone, if it has one, look fuller. */
  #gather(pool: Pool, draws: number, choices: Choice[], zone: string): void {
    if (pool.isEmpty) return;
    const { gateways } = pool;
    const isSmall = gateways.length <= EXHAUSTIVE_POOL;
    const count = isSmall ? gateways.length : draws;
    for (let i = 0; i < count; i++) {
      const gateway = isSmall ? (gateways[i] as Gateway) : pool.draw(this.#random());
      if (indexOf(choices, gateway) >= 0) continue;
      const { score } = gateway;
      // Without room it cannot take the client, however near it is.
      if (score <= 0) continue;
      const penalty = zone !== '' && gateway.address.zone !== zone ? ZONE_PENALTY : 0;
      insert(choices, gateway, Math.max(0, score - penalty));
    }
  }

  /** Returns where the user belongs, if going there costs little evenness. */
  #homeOf(uid: string, homes: Homes, near: Pool, all: Pool): Gateway | undefined {
    const both = homes.of(uid);
    if (!both) return undefined;
    const [first, second] = both;
    const home = isWorth(first.score, second.score) ? first : second;
    // Others are emptier when one is new, and elsewhere when the whole zone is full: then nobody stays at home.
    const mean = Math.max(near.mean, all.mean - (near === all ? 0 : ZONE_PENALTY));
    return isWorth(home.score, mean) ? home : undefined;
  }
}

/** Returns whether a gateway with this score is hardly fuller than the alternative. */
function isWorth(score: number, alternative: number): boolean {
  const used = 1 - alternative;
  return score > 0 && 1 - score <= used + Math.max(used * STICKY_MARGIN, STICKY_SLACK);
}

function indexOf(choices: readonly Choice[], gateway: Gateway): number {
  for (let i = 0; i < choices.length; i++) if ((choices[i] as Choice).gateway === gateway) return i;
  return -1;
}

/** Keeps the order by score, best first. */
function insert(choices: Choice[], gateway: Gateway, score: number): void {
  const choice = { gateway, score };
  let at = choices.length;
  choices.push(choice);
  for (; at > 0 && (choices[at - 1] as Choice).score < score; at--) choices[at] = choices[at - 1] as Choice;
  choices[at] = choice;
}
