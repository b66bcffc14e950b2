/** Where the clients of a gateway that drains may go: the other gateways, each as likely as it has room. */
import type { Endpoint } from '../../crpc/mod.ts';
import {
  type ClientAddresses,
  endpointFor,
  type GatewayEndpoint,
  readClientAddresses,
  type TransportKind,
} from '../../proto/mod.ts';

/** Another gateway, as clients reach it. */
export interface OtherGateway extends ClientAddresses {
  /** Part of the clients that is to go there; of all gateways together at most 1. */
  readonly share: number;
}

interface Candidate {
  readonly endpoint: Endpoint;
  /** Connections that it may still take. */
  readonly room: number;
}

/**
 * Shares the clients of a gateway among the others that take clients: those of its zone as far as their room goes, then
 * the rest. Whom nobody has room for is not sent anywhere: ipconf knows more by then.
 *
 * The one best of them would get everybody at once, so all of them are named, in proportion to room times weight, and
 * none beyond its room.
 *
 * @param endpoints what is registered
 * @param here address under which the gateway itself is
 */
export function otherGateways(endpoints: readonly Endpoint[], here: string, zone: string): OtherGateway[] {
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
 * Draws one of them by its share, for a client of this transport; undefined: none, or one that does not offer it.
 *
 * @param random in [0, 1)
 */
export function drawGateway(
  gateways: readonly OtherGateway[],
  kind: TransportKind,
  random: () => number = Math.random,
): GatewayEndpoint | undefined {
  let at = random();
  const drawn = gateways.find(({ share }) => (at -= share) < 0);
  return drawn && endpointFor(kind, drawn);
}

/** Divides a part of the clients. */
function shareOut(candidates: readonly Candidate[], part: number, clients: number): OtherGateway[] {
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
