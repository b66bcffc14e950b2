/** The answers of `/ip/list`: encodes placements as JSON. The part that all answers of a tick share is encoded once. */
import { type Answer, errorAnswer, okAnswer } from './answer.ts';
import type { Fleet, Transport } from './fleet.ts';
import { backoffHint, Rate, TTL_MS } from './hints.ts';
import type { PlacementResult, Placement, PlacementRequest } from './placement.ts';
import type { TicketIssuer } from './ticket.ts';

/** Retry hint while there is no gateway: typical start-up time of a gateway, ms. */
const NO_GATEWAY_RETRY_MS = 2_000;
/** Retry hint while all gateways are full: capacity frees up within seconds, ms. */
const FULL_RETRY_MS = 5_000;

const START = '{"code":"OK","message":"ok","data":';

export class List {
  readonly #fleet: Fleet;
  readonly #placement: Placement;
  readonly #tickets: TicketIssuer | undefined;
  readonly #rate: Rate;
  #tail = '';

  constructor(fleet: Fleet, placement: Placement, tickets: TicketIssuer | undefined, now: number) {
    this.#fleet = fleet;
    this.#placement = placement;
    this.#tickets = tickets;
    this.#rate = new Rate(now);
    this.tick(now);
  }

  /** Clients placed per second, averaged. */
  get placementsPerSecond(): number {
    return this.#rate.perSecond;
  }

  /** Encodes the part that all answers share. */
  tick(now: number): void {
    this.#rate.update(this.#placement.placed, now);
    const { candidates, staleFor, suspicion } = this.#fleet;
    const shared = JSON.stringify({
      backoff: backoffHint(this.#rate.perSecond, candidates.length),
      ttl_ms: TTL_MS,
      stale: staleFor > 0,
      suspicion: Math.round(suspicion * 100) / 100,
    });
    this.#tail = [',', shared.slice(1)].join('');
  }

  /** Answers GET with the gateways for one client. HEAD gets the same, and no client is counted. */
  answer(request: PlacementRequest, isHead = false): Answer | Promise<Answer> {
    const placed = isHead ? this.#placement.choose(request) : this.#placement.place(request);
    if (!placed.first) return this.#nothing(request);
    const start = START + write(placed, request.transport);
    if (!this.#tickets || request.uid === '') return okAnswer(start + this.#tail);
    return this.#ticket(request, placed).then((ticket) => okAnswer(start + ticket + this.#tail));
  }

  /** Answers POST with the gateways, or the error, for each of several clients. If none has a gateway, answers the error. */
  async answerBatch(requests: readonly PlacementRequest[]): Promise<Answer> {
    const results: string[] = [];
    let nothing: Answer | undefined;
    let isAnyPlaced = false;
    for (const request of requests) {
      const placed = this.#placement.place(request);
      if (placed.first) {
        isAnyPlaced = true;
        const ticket = request.uid === '' ? '' : await this.#ticket(request, placed);
        results.push(`{"code":"OK","data":${write(placed, request.transport)}${ticket}}`);
      } else results.push((nothing = this.#nothing(request)).body);
    }
    if (nothing && !isAnyPlaced) return nothing;
    return okAnswer(`{"code":"OK","message":"ok","results":[${results.join()}]${this.#tail}`);
  }

  async #ticket({ uid }: PlacementRequest, placed: PlacementResult): Promise<string> {
    if (!this.#tickets) return '';
    const names = placed.choices.map(({ gateway }) => gateway.address.name);
    return `,"ticket":${JSON.stringify(await this.#tickets.sign(uid, names))}`;
  }

  #nothing({ transport }: PlacementRequest): Answer {
    return this.#fleet.pool('', transport).gateways.length === 0
      ? errorAnswer('NO_GATEWAY', { retryAfterMs: NO_GATEWAY_RETRY_MS })
      : errorAnswer('OVERLOADED', { retryAfterMs: FULL_RETRY_MS });
  }
}

/** Encodes the gateways for a client; alternates are encoded once for all clients that get the same. */
function write({ home, alternates }: PlacementResult, transport: Transport): string {
  alternates.text ??= alternates.choices.map(({ gateway, score }) => gateway.text(score, transport)).join();
  if (!home) return `[${alternates.text}]`;
  const first = home.gateway.text(home.score, transport);
  return alternates.text === '' ? `[${first}]` : `[${first},${alternates.text}]`;
}
