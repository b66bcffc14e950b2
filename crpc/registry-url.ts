/** Which registry a URL names. */
import { GochatError } from '../common/mod.ts';
import type { Logger } from '../common/mod.ts';
import { EtcdRegistry } from './registry-etcd.ts';
import { MemoryRegistry } from './registry-memory.ts';
import type { Registry } from './registry.ts';

export interface OpenRegistryOptions {
  readonly logger: Logger;
}

/**
 * Opens `memory://[name]` or `etcd://[user:password@]host:port[,host:port…][/prefix]`; it does not connect yet.
 * Two systems share one etcd by different prefixes. @default prefix gochat
 *
 * @throws GochatError CONFIG_INVALID
 */
export function openRegistry(url: string, options: OpenRegistryOptions): Registry {
  if (url.startsWith('memory://')) return new MemoryRegistry(url);
  const match = /^etcd:\/\/(?:([^:@/]+):([^@/]*)@)?([^/]+)(?:\/([\w.-]*))?$/.exec(url);
  const hosts = match?.[3]?.split(',') ?? [];
  if (hosts.length === 0 || !hosts.every((host) => /^(\[[0-9a-fA-F:]+\]|[^:[\]]+):\d+$/.test(host))) {
    const what = `${url.replace(/:[^:@/]*@/, ':…@')} is not a registry; use memory:// or etcd://host:port[,host:port].`;
    throw new GochatError('CONFIG_INVALID', { details: { what } });
  }
  const [, user, password, , prefix] = match ?? [];
  return new EtcdRegistry({
    ...options,
    hosts,
    user: user === undefined ? undefined : decodeURIComponent(user),
    ...(prefix ? { prefix: `/${prefix}/` } : {}),
    password: password === undefined ? undefined : decodeURIComponent(password),
  });
}
