/** Explanation of placement for people: each gateway's reports, score, credit, and the reasons for its score. */
import type { Fleet } from './fleet.ts';
import type { Gateway } from './gateway.ts';
import { COMFORT } from './scorer.ts';

/** Returns the answer of GET /ip/explain, best gateway first. @param nodes ipconf nodes that place clients */
export function explain(fleet: Fleet, nodes: number, now: number) {
  const taking = new Set(fleet.candidates);
  const gateways = [...fleet.gateways]
    .map((gateway) => explainGateway(fleet, gateway, taking.has(gateway), now))
    .sort((a, b) => b.score - a.score);
  return {
    ipconf_nodes: nodes,
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
    address: address.address,
    zone: address.zone,
    version: address.version,
    started_at: address.epoch === 0 ? null : new Date(address.epoch).toISOString(),
    takes_clients: takes,
    score: takes ? round(gateway.score) : 0,
    why: reasons(fleet, gateway, takes, now),
    headroom: round(gateway.headroom),
    freshness: round(gateway.freshness),
    trust: round(gateway.trust),
    ramp: round(gateway.slowStart),
    draining: load.draining,
    ready: load.ready,
    weight: load.weight,
    capacity,
    connections: load.connections,
    credit: Math.round(credit.amount),
    arrived_lately: Math.round(credit.arrived),
    lost_lately: Math.round(credit.lost),
    used: Object.fromEntries(Object.entries(load.used).map(([name, share]) => [name, round(share)])),
    used_rate: round(window.usedRate),
    report_age_ms: Math.round(window.age(now)),
    reports: window.recent.map(({ at, connections, rate }) => ({
      age_ms: Math.round(Math.max(0, now - at)),
      connections,
      used_rate: round(rate),
    })),
  };
}

/** Returns the reasons for a gateway's score, in words. */
function reasons(fleet: Fleet, gateway: Gateway, takes: boolean, now: number): string[] {
  const { window, credit, capacity } = gateway;
  const { load } = window;
  const why: string[] = [];
  if (load.draining) why.push('it is draining: it gets no clients');
  if (!load.ready && !load.draining)
    why.push(`it is not ready: it gets ${takes ? 'clients because none is' : 'no clients'}`);
  const silent = `no report for ${Math.round(window.age(now) / 1000)} s`;
  if (gateway.freshness === 0) why.push(`${silent}: left out`);
  else if (gateway.freshness < 1) why.push(`${silent}: ${percent(gateway.freshness)} of its score counts`);
  if (gateway.trust < 1)
    why.push(`clients that were sent there do not arrive: ${percent(gateway.trust)} of its score counts`);
  if (gateway.slowStart < 1)
    why.push(`it is new: ${percent(gateway.slowStart)} of its lead over the mean counts`);
  if (fleet.suspicion > 0)
    why.push(`the picture is old: ${percent(1 - fleet.suspicion)} of its distance from the mean counts`);
  const byConnections = (load.connections + credit.amount) / capacity;
  const byRate = (window.usedRate - COMFORT) / (1 - COMFORT);
  const connections = `${load.connections} connections and ${Math.round(credit.amount)} on their way of ${capacity}`;
  const [scarcest] = Object.entries(load.used).toSorted(([, a], [, b]) => b - a);
  why.push(
    byRate > byConnections
      ? `scarcest is ${scarcest?.[0] ?? 'its rate'}: ${percent(window.usedRate)} is used, averaged`
      : `scarcest are connections: ${connections}`,
  );
  if (gateway.weight > 1)
    why.push(`its weight is ${round(gateway.weight)} times the lowest: it looks emptier`);
  if (gateway.headroom === 0) why.push('it is full: it gets no clients');
  return why;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

function round(value: number): number {
  return Math.round(value * 1e6) / 1e6;
}
