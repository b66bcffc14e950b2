/** ipconf: tells clients which gateway to connect to. */
export { Fleet, type Transport } from './fleet.ts';
export type { Gateway } from './gateway.ts';
export { ANY, Placement, type PlacementRequest } from './placement.ts';
export { type IpconfOptions, IpconfServer } from './server.ts';
