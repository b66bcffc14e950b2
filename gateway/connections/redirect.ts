/** Redirects for the clients of a draining gateway: the other gateways, weighted by their free capacity. */
import type { Endpoint } from '../../crpc/mod.ts';
import {
  type ClientAddresses,
  endpointFor,
  type GatewayEndpoint,
  readClientAddresses,
  type TransportKind,
} from '../../proto/mod.ts';

/** Another gateway, as clients reach it. */
export interface AlternateGateway extends ClientAddresses {
  /** Share of the clients to send there; the shares of all gateways add up to at most 1. */
  readonly share: number;
}

interface Candidate {
  readonly endpoint: Endpoint;
  /** Connections that it can still take. */
  readonly room: number;
}

/**
 * Divides the clients of a gateway among the other gateways: first those of its zone, up to their free capacity, then
 * the rest. Clients that fit nowhere get no redirect and ask ipconf.
 *
 * Naming only the best gateway would send everybody there at once. So each gateway gets a share in proportion to its
 * free capacity times its weight, and never more than its free capacity.
 *
 * @param endpoints the registered gateways
 * @param here registered address of the draining gateway
 */
export function alternateGateways(
  endpoints: readonly Endpoint[],
  here: string,
  zone: string,
): AlternateGateway[] {
  const clients = Math.max(1, endpoints.find(({ address }) => address === here)?.load['connections'] ?? 0);
  const open = endpoints
    .filter(({ address, load }) => address !== here && load['draining'] !== 1 && load['ready'] !== 0)
    .map((endpoint) => ({ endpoint, room: roomOf(endpoint) }))
    .filter(({ room }) => room > 0);
  const isNear = ({ endpoint }: Candidate): boolean => zone !== '' && endpoint.zone === zone;
  const near = open.filter(isNear);
  const toNear = Math.min(1, near.reduce((sum, { room }) => sum + room, 0) / clients);
  const far = open.filter((candidate) => !isNear(candidate));
  return [...shareOut(near, toNear, clients), ...shareOut(far, 1 - toNear, clients)];
}

/**
 * Draws a gateway by share for a client of this transport. Returns undefined if none was drawn or the drawn one does
 * not offer the transport.
 *
 * @param random in [0, 1)
 */
export function drawGateway(
  gateways: readonly AlternateGateway[],
  kind: TransportKind,
  random: () => number = Math.random,
): GatewayEndpoint | undefined {
  let at = random();
  const drawn = gateways.find(({ share }) => (at -= share) < 0);
  return drawn && endpointFor(kind, drawn);
}

/** Divides a part of the clients among the candidates. */
function shareOut(candidates: readonly Candidate[], part: number, clients: number): AlternateGateway[] {
  const pullOf = ({ endpoint: { weight }, room }: Candidate): number => room * weight;
  const total = candidates.reduce((sum, candidate) => sum + pullOf(candidate), 0);
  return candidates.flatMap((candidate) => {
    const addresses = readClientAddresses(candidate.endpoint);
    const share = Math.min((part * pullOf(candidate)) / total, candidate.room / clients);
    const isReachable = addresses.tcp !== undefined || addresses.ws !== undefined;
    return isReachable && share > 0 ? [{ ...addresses, share }] : [];
  });
}

function roomOf({ load }: Endpoint): number {
  return (load['max_connections'] ?? 0) - (load['connections'] ?? 0);
}
