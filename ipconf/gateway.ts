/** A gateway in ipconf: its reports, its credit, and the trust in it. */
import type { Endpoint } from '../crpc/mod.ts';
import { endpointFor, type GatewayEndpoint, type TransportKind } from '../proto/mod.ts';
import { toAscii } from './answer.ts';
import { Credit, type Outcome } from './credit.ts';
import { type GatewayAddress, readLoad } from './gateway-report.ts';
import { freshness, headroom, adjustForWeight, slowStartShare, trust } from './scorer.ts';
import { Window } from './window.ts';

/** Reports after which a gateway counts as reporting periodically, so that silence has a meaning. */
const PERIODIC_REPORTS = 3;

const NOWHERE: GatewayEndpoint = { host: '', port: 0, wsPort: 0, tls: false };

/** Resolution of the score in an answer, which only ranks gateways. */
const SCORE_STEPS = 1000;

/** The fleet-wide figures of a tick. */
export interface FleetState {
  readonly now: number;
  readonly outcome: Outcome;
  /** Lowest weight in the fleet. */
  readonly minWeight: number;
  /** Whether the whole snapshot is stale, so that ages say nothing about single gateways. */
  readonly isStale: boolean;
}

/** A gateway's part of an answer. */
interface Text {
  /** JSON up to the score. */
  readonly head: string;
  whole: string;
  step: number;
}

export class Gateway {
  readonly address: GatewayAddress;
  readonly window: Window;
  readonly credit: Credit;
  /** When it was first seen, ms; -Infinity if it was there before this ipconf. */
  readonly seenAt: number;
  endpoint: Endpoint;
  /** Weight as a multiple of the lowest in the fleet. */
  weight = 1;
  /** Its share of the clients: capacity times weight. */
  share = 1;
  /** How far its lead over the others counts during the slow start, 0 to 1. */
  slowStart = 1;
  freshness = 1;
  trust = 1;
  /** Rank for one more client, 0 to 1; kept up to date by the fleet, so that reading it is one load. */
  score = 0;
  #reports = 1;
  /** Its part of an answer, by transport. */
  readonly #texts: Readonly<Record<TransportKind, Text>>;

  constructor(address: GatewayAddress, endpoint: Endpoint, now: number, seenAt: number) {
    this.address = address;
    this.endpoint = endpoint;
    this.window = new Window(readLoad(endpoint), now);
    this.credit = new Credit(Math.floor(now / 1000));
    this.seenAt = seenAt;
    this.#texts = { tcp: textFor('tcp', address), ws: textFor('ws', address) };
  }

  /** Whether it reports periodically, so that silence has a meaning. */
  get isPeriodic(): boolean {
    return this.#reports >= PERIODIC_REPORTS;
  }

  /** Most connections. */
  get capacity(): number {
    return this.window.load.maxConnections;
  }

  /** Whether it accepts clients by its own report. */
  get isOpen(): boolean {
    const { draining, ready } = this.window.load;
    return ready && !draining;
  }

  /** Headroom by the last report and the credit, 0 to 1; changes with each placement. */
  get headroom(): number {
    return headroom(this.window.load.connections, this.credit.amount, this.capacity, this.window.usedRate);
  }

  /** Headroom adjusted for weight, 0 to 1. */
  get room(): number {
    return adjustForWeight(this.headroom, this.weight);
  }

  /** Returns its part of an answer; cached, as the score rarely changes by a step. */
  text(score: number, transport: TransportKind): string {
    const text = this.#texts[transport];
    const step = Math.round(score * SCORE_STEPS);
    if (step !== text.step) {
      text.step = step;
      // join() makes a flat string; a concatenation would be flattened again at each write.
      text.whole = [text.head, step / SCORE_STEPS, '}'].join('');
    }
    return text.whole;
  }

  /** Accepts the registry's entry; the same object again is not a new report. */
  report(endpoint: Endpoint, now: number): void {
    if (endpoint === this.endpoint) return;
    this.endpoint = endpoint;
    const load = readLoad(endpoint);
    if (load.tick !== undefined && load.tick === this.window.load.tick) return;
    this.#reports++;
    this.credit.arrive(this.window.add(load, now));
  }

  /** Updates everything that depends on time. */
  refresh(state: FleetState): void {
    const { load } = this.window;
    this.weight = load.weight / state.minWeight;
    this.share = load.maxConnections * this.weight;
    this.slowStart = slowStartShare(state.now - this.seenAt);
    this.freshness = this.isPeriodic && !state.isStale ? freshness(this.window.age(state.now)) : 1;
    this.trust = trust(this.credit, state.outcome);
  }
}

function textFor(transport: TransportKind, address: GatewayAddress): Text {
  // A gateway that does not offer the transport is in none of its answers.
  const { host: ip, port, wsPort, tls } = endpointFor(transport, address) ?? NOWHERE;
  const facts = { ip, port, ws_port: wsPort, ...(tls && { tls }), zone: address.zone };
  return { head: `${toAscii(facts).slice(0, -1)},"score":`, whole: '', step: -1 };
}
