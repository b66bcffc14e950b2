/** One gateway as ipconf sees it: its reports, the clients on their way to it, and how far it is believed. */
import type { Endpoint } from '../crpc/mod.ts';
import { endpointFor, type GatewayEndpoint, type TransportKind } from '../proto/mod.ts';
import { toAscii } from './answer.ts';
import { Credit, type Outcome } from './credit.ts';
import { type GatewayAddress, readLoad } from './gateway-report.ts';
import { freshness, headroom, prefer, ramp, trust } from './scorer.ts';
import { Window } from './window.ts';

/** Reports after which a gateway counts as one that reports periodically, so that its silence means something. */
const PERIODIC_REPORTS = 3;

const NOWHERE: GatewayEndpoint = { host: '', port: 0, wsPort: 0, tls: false };

/** Steps between a score of 0 and one of 1, as it stands in an answer: how far apart gateways are is all it says. */
const SCORE_STEPS = 1000;

/** What holds for all gateways at one tick. */
export interface FleetState {
  readonly now: number;
  readonly outcome: Outcome;
  /** Lowest weight in the fleet. */
  readonly minWeight: number;
  /** The picture as a whole is old: ages say nothing about single gateways. */
  readonly isStale: boolean;
}

/** A part of an answer. */
interface Text {
  /** Up to the score. */
  readonly head: string;
  whole: string;
  step: number;
}

export class Gateway {
  readonly address: GatewayAddress;
  readonly window: Window;
  readonly credit: Credit;
  /** When it was first seen; -Infinity: it was there before ipconf. ms. */
  readonly seenAt: number;
  endpoint: Endpoint;
  /** As a multiple of the lowest in the fleet. */
  weight = 1;
  /** How many clients belong there, beside the others: its capacity times its weight. */
  share = 1;
  /** How far a lead over the others counts while it is new, 0 to 1. */
  ramp = 1;
  freshness = 1;
  trust = 1;
  /** How good it is for one more client, 0 to 1; the fleet's, kept up to date: reading it costs one look at memory. */
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

  /** The figures go on coming, so that their absence would mean something. */
  get isPeriodic(): boolean {
    return this.#reports >= PERIODIC_REPORTS;
  }

  /** Connections that it may hold. */
  get capacity(): number {
    return this.window.load.maxConnections;
  }

  /** It takes clients by its own account. */
  get isOpen(): boolean {
    const { draining, ready } = this.window.load;
    return ready && !draining;
  }

  /** Headroom by the last report and the clients on their way, 0 to 1; changes with each placement. */
  get headroom(): number {
    return headroom(this.window.load.connections, this.credit.amount, this.capacity, this.window.usedRate);
  }

  /** Headroom as it looks beside others of another weight, 0 to 1. */
  get room(): number {
    return prefer(this.headroom, this.weight);
  }

  /** Returns its part of an answer; the score seldom changes by a step, so it is mostly written already. */
  text(score: number, transport: TransportKind): string {
    const text = this.#texts[transport];
    const step = Math.round(score * SCORE_STEPS);
    if (step !== text.step) {
      text.step = step;
      // Joined, it lies in one piece: what is added up is put together anew whenever it is sent.
      text.whole = [text.head, step / SCORE_STEPS, '}'].join('');
    }
    return text.whole;
  }

  /** Takes what the registry has; the same object again is no new report. */
  report(endpoint: Endpoint, now: number): void {
    if (endpoint === this.endpoint) return;
    this.endpoint = endpoint;
    const load = readLoad(endpoint);
    if (load.tick !== undefined && load.tick === this.window.load.tick) return;
    this.#reports++;
    this.credit.arrive(this.window.add(load, now));
  }

  /** Brings what depends on time up to date. */
  refresh(state: FleetState): void {
    const { load } = this.window;
    this.weight = load.weight / state.minWeight;
    this.share = load.maxConnections * this.weight;
    this.ramp = ramp(state.now - this.seenAt);
    this.freshness = this.isPeriodic && !state.isStale ? freshness(this.window.age(state.now)) : 1;
    this.trust = trust(this.credit, state.outcome);
  }
}

function textFor(transport: TransportKind, address: GatewayAddress): Text {
  // One that does not offer the transport is in none of its answers.
  const { host: ip, port, wsPort, tls } = endpointFor(transport, address) ?? NOWHERE;
  const facts = { ip, port, ws_port: wsPort, ...(tls && { tls }), zone: address.zone };
  return { head: `${toAscii(facts).slice(0, -1)},"score":`, whole: '', step: -1 };
}
