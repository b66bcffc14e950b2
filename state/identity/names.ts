/** Names of users and rooms. */
import { GochatError } from '../../common/mod.ts';

const NAME = /^[a-z][a-z0-9._-]{0,31}$/;
/** Most characters of an invalid name that an error quotes. */
const MAX_QUOTED = 64;

/** Returns a name in lower case. @throws GochatError NAME_INVALID */
export function parseName(input: string): string {
  const name = input.toLowerCase();
  if (!NAME.test(name)) throw new GochatError('NAME_INVALID', { details: { name: quoted(input) } });
  return name;
}

/** Returns a name for an error: shortened and without control characters. */
export function quoted(input: string): string {
  return JSON.stringify(input.slice(0, MAX_QUOTED));
}
