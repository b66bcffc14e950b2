/** Explains placement to people: each gateway's reports, score, credit, and why it is where it is. */
import type { Fleet } from './fleet.ts';
import type { Gateway } from './gateway.ts';
import { COMFORT } from './scorer.ts';

/** Returns what GET /ip/explain shows, best gateway first. */
export function explain(fleet: Fleet, now: number) {
  const taking = new Set(fleet.candidates);
  const gateways = [...fleet.gateways]
    .map((gateway) => explainGateway(fleet, gateway, taking.has(gateway), now))
    .sort((a, b) => b.score - a.score);
  return {
    candidates: taking.size,
    mean_headroom: round(fleet.meanHeadroom),
    stale_for_ms: Math.round(fleet.staleFor),
    suspicion: round(fleet.suspicion),
    gateways,
  };
}

function explainGateway(fleet: Fleet, gateway: Gateway, takes: boolean, now: number) {
  const { address, window, credit, capacity } = gateway;
  const { load } = window;
  return {
    name: address.name,
    id: address.id,
    address: `${address.ip}:${address.port}`,
    zone: address.zone,
    version: address.version,
    started_at: address.epoch === 0 ? null : new Date(address.epoch).toISOString(),
    draining: load.draining,
    weight: load.weight,
    used: load.used,
    takes_clients: takes,
    score: takes ? round(fleet.score(gateway)) : 0,
    headroom: round(gateway.headroom),
    connections: load.connections,
    capacity: Math.round(capacity),
    credit: Math.round(credit.amount),
    arrived: Math.round(credit.outcome.arrived),
    lost: Math.round(credit.outcome.lost),
    used_rate: round(window.usedRate),
    report_age_ms: Math.round(window.age(now)),
    freshness: round(gateway.freshness),
    trust: round(gateway.trust),
    ramp: round(gateway.ramp),
    reports: window.recent,
    why: reasons(gateway, now),
  };
}

function reasons(gateway: Gateway, now: number): string[] {
  const { window, credit, capacity } = gateway;
  const { load } = window;
  const why: string[] = [];
  if (load.draining) why.push('it is draining: it gets no clients');
  if (gateway.freshness === 0) why.push(`no report for ${Math.round(window.age(now))} ms: left out`);
  else if (gateway.freshness < 1) why.push(`no report for ${Math.round(window.age(now))} ms: discounted`);
  if (gateway.trust < 1) why.push('clients that were sent there do not arrive');
  if (gateway.ramp < 1) why.push('it is new: its lead counts little by little');
  const byConnections = (load.connections + credit.amount) / capacity;
  const byRate = (window.usedRate - COMFORT) / (1 - COMFORT);
  if (Math.max(byConnections, byRate) >= 1) why.push('it is full');
  why.push(byRate > byConnections ? 'its rates are the scarcest' : 'its connections are the scarcest');
  return why;
}

function round(value: number): number {
  return Math.round(value * 1e6) / 1e6;
}
