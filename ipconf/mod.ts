/** ipconf: tells clients which gateway to connect to. */
export { type IpconfOptions, IpconfServer } from './server.ts';
