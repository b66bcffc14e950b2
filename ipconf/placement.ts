/** Placement: which gateways a client is told, best first. */
import type { Fleet, Transport } from './fleet.ts';
import type { Gateway } from './gateway.ts';
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

/** What a client asks for. */
export interface PlacementRequest {
  /** Most gateways in the answer, 1 to MAX_GATEWAYS. */
  readonly n: number;
  /** The client's zone; '' or one without gateways: any. */
  readonly zone: string;
  readonly transport: Transport;
  /** Whom it is for; '' unknown. Comes back to the same gateway while that one is healthy. */
  readonly uid: string;
  /** Name of the gateway that it was on; ''. */
  readonly last: string;
}

export const ANY: PlacementRequest = { n: MAX_GATEWAYS, zone: '', transport: 'tcp', uid: '', last: '' };

interface Choice {
  readonly gateway: Gateway;
  readonly score: number;
}

/** What a client is told: gateways in the order in which it should try them. */
export type Placed = readonly Choice[];

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
    const choices = this.#choose(request);
    const first = choices[0];
    if (first) {
      // The other nodes place as many without telling: each of ours stands for one of each of theirs.
      first.gateway.credit.place(this.nodes);
      this.#placed++;
    }
    return choices;
  }

  #choose({ n, zone, transport, uid, last }: PlacementRequest): Choice[] {
    const fleet = this.#fleet;
    const all = fleet.pool('', transport);
    const isLocal = zone !== '' && fleet.hasZone(zone);
    const choices: Choice[] = [];
    const consider = (gateway: Gateway): void => {
      if (choices.some((choice) => choice.gateway === gateway)) return;
      const score = fleet.score(gateway);
      // Without room it cannot take the client, however near it is.
      if (score <= 0) return;
      const penalty = isLocal && gateway.address.zone !== zone ? ZONE_PENALTY : 0;
      insert(choices, { gateway, score: Math.max(0, score - penalty) });
    };
    const draws = Math.max(n, MIN_DRAWS);
    if (isLocal) {
      this.#gather(fleet.pool(zone, transport), draws, consider);
      this.#gather(all, Math.max(MIN_DRAWS, draws - choices.length), consider);
    } else this.#gather(all, draws, consider);
    const home = this.#homeOf(uid, last, isLocal ? zone : '', transport);
    if (home) moveToFront(choices, { gateway: home, score: fleet.score(home) });
    if (choices.length > n) choices.length = n;
    return choices;
  }

  #gather(pool: Pool, draws: number, consider: (gateway: Gateway) => void): void {
    if (pool.isEmpty) return;
    if (pool.gateways.length <= EXHAUSTIVE_POOL) pool.gateways.forEach(consider);
    else for (let i = 0; i < draws; i++) consider(pool.draw(this.#random()));
  }

  /** Returns where the user belongs, if going there costs little evenness. */
  #homeOf(uid: string, last: string, zone: string, transport: Transport): Gateway | undefined {
    if (uid === '' && last === '') return undefined;
    const fleet = this.#fleet;
    const before = last === '' ? undefined : fleet.named(last);
    if (before && isWorth(fleet.score(before), fleet.meanHeadroom)) return before;
    if (uid === '') return undefined;
    const homes = fleet.homes(zone, transport).of(uid);
    if (!homes) return undefined;
    const [first, second] = homes;
    const home = isWorth(fleet.score(first), fleet.score(second)) ? first : second;
    return fleet.score(home) > 0 ? home : undefined;
  }
}

/** Returns whether a gateway with this score is hardly fuller than the alternative. */
function isWorth(score: number, alternative: number): boolean {
  return score > 0 && 1 - score <= (1 - alternative) * (1 + STICKY_MARGIN);
}

/** Keeps the order by score, best first. */
function insert(choices: Choice[], choice: Choice): void {
  let at = choices.length;
  while (at > 0 && (choices[at - 1] as Choice).score < choice.score) at--;
  choices.splice(at, 0, choice);
}

function moveToFront(choices: Choice[], choice: Choice): void {
  const at = choices.findIndex(({ gateway }) => gateway === choice.gateway);
  if (at >= 0) choices.splice(at, 1);
  choices.unshift(choice);
}
