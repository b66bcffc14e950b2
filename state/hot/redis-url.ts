/** URLs of Redis: one server, a Cluster, or the Sentinels that know the server. */
import { GochatError } from '../../common/mod.ts';
import type { RedisAddress, RedisHost } from './hot-redis-client.ts';

const DEFAULT_PORT = 6379;
const DEFAULT_SENTINEL_PORT = 26_379;
const PARAMETERS = {
  server: ['cluster'],
  sentinel: ['sentinel_user', 'sentinel_password'],
} as const;

/**
 * Reads `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`, with `?cluster=true` HOST[:PORT][,…] of any nodes of a Redis
 * Cluster, or `redis+sentinel://[[USER]:PASSWORD@]HOST[:PORT][,…]/NAME[/DATABASE]` with
 * `?sentinel_user=…&sentinel_password=…` where the Sentinels have a login of their own. `rediss` instead of `redis`: TLS.
 *
 * @throws GochatError CONFIG_INVALID
 */
export function parseRedisUrl(text: string): RedisAddress {
  const match =
    /^redis(s?)(\+sentinel)?:\/\/(?:([^:@/?#]*)(?::([^@/?#]*))?@)?([^@/?#]+)((?:\/[^/?#]*)*)(?:\?([^#]*))?$/.exec(
      text,
    );
  if (match === null)
    throw invalid(
      text,
      'it is not redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE] nor redis+sentinel://[[USER]:PASSWORD@]HOST[:PORT][,…]/NAME[/DATABASE]',
    );
  const [, secure, sentinel, username = '', password = '', list = '', path = '', query = ''] = match;
  const parameters = readParameters(text, query, PARAMETERS[sentinel === undefined ? 'server' : 'sentinel']);
  const hosts = list
    .split(',')
    .map((host) => readHost(text, host, sentinel === undefined ? DEFAULT_PORT : DEFAULT_SENTINEL_PORT));
  const isCluster = readCluster(text, parameters.get('cluster'));
  if (sentinel === undefined && !isCluster && hosts.length > 1)
    throw invalid(
      text,
      'several hosts are for a Redis Cluster (?cluster=true) or Sentinels (redis+sentinel://)',
    );
  const parts = path.split('/').slice(1);
  const name = sentinel === undefined ? undefined : decode(text, parts.shift() ?? '');
  if (name === '') throw invalid(text, 'it does not name the server as the Sentinels know it');
  const [database = '', ...rest] = parts;
  if (!/^\d{0,5}$/.test(database) || rest.some((part) => part !== ''))
    throw invalid(text, 'its path is not the number of a database');
  if (isCluster && Number(database) !== 0) throw invalid(text, 'a Redis Cluster has only database 0');
  return {
    hosts,
    db: Number(database),
    ...(username !== '' && { username: decode(text, username) }),
    ...(password !== '' && { password: decode(text, password) }),
    isTls: secure !== '',
    isCluster,
    ...(name !== undefined && {
      sentinel: {
        name,
        username: parameters.get('sentinel_user'),
        password: parameters.get('sentinel_password'),
      },
    }),
  };
}

/** Returns the URL without its passwords. */
export function redactRedisUrl(url: string): string {
  return url.replace(/(:\/\/[^:@/]*):[^@]*@/, '$1:***@').replace(/(password=)[^&#]*/, '$1***');
}

function invalid(url: string, reason: string): GochatError {
  return new GochatError('CONFIG_INVALID', {
    details: { what: `Hot-state URL ${redactRedisUrl(url)}: ${reason}.` },
  });
}

function readHost(url: string, text: string, standardPort: number): RedisHost {
  const [, bracketed, plain, port] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(port ?? 0) > 65_535) throw invalid(url, `${text} is not HOST[:PORT]`);
  return { host, port: port === undefined ? standardPort : Number(port) };
}

function readParameters(url: string, query: string, known: readonly string[]): URLSearchParams {
  const parameters = new URLSearchParams(query);
  for (const name of parameters.keys()) {
    if (!known.includes(name)) throw invalid(url, `there is no parameter ${name}, only ${known.join(', ')}`);
    if (parameters.getAll(name).length > 1) throw invalid(url, `${name} is there twice`);
  }
  return parameters;
}

function readCluster(url: string, value: string | null): boolean {
  if (value === null || value === 'false') return false;
  if (value === 'true') return true;
  throw invalid(url, 'cluster is true or false');
}

function decode(url: string, text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid(url, `a part of it is wrongly percent-encoded`);
  }
}
