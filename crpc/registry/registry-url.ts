/** URLs of registries. */
import { CrpcError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { TlsOptions } from '../client/credentials.ts';
import { EtcdRegistry } from './registry-etcd.ts';
import { MemoryRegistry } from './registry-memory.ts';
import type { Registry } from './registry.ts';

export interface OpenRegistryOptions {
  readonly logger: Logger;
  /** For etcds://: authority, and certificate and key where etcd asks for them. @default what Node.js trusts */
  readonly tls?: Pick<TlsOptions, 'ca' | 'cert' | 'key'> | undefined;
}

/**
 * Opens `memory://[name]` or `etcd://[user:password@]host:port[,host:port…][/prefix]`, the same with `etcds://` for TLS;
 * it does not connect yet. Each member's certificate must bear the name or address of one of the hosts. Two systems share one etcd by different prefixes. @default prefix gochat
 *
 * @throws CrpcError CONFIG_INVALID
 */
export function openRegistry(url: string, options: OpenRegistryOptions): Registry {
  if (url.startsWith('memory://')) return new MemoryRegistry(url);
  const match = /^(etcds?):\/\/(?:([^:@/]+):([^@/]*)@)?([^/]+)(?:\/([\w.-]*))?$/.exec(url);
  const [, scheme, user, password, list, prefix] = match ?? [];
  const hosts = list?.split(',') ?? [];
  if (hosts.length === 0 || !hosts.every((host) => /^(\[[0-9a-fA-F:]+\]|[^:[\]]+):\d+$/.test(host))) {
    const what = `${url.replace(/:[^:@/]*@/, ':…@')} is not a registry; use memory:// or etcd://[user:password@]host:port[,host:port][/prefix], with etcds:// for TLS.`;
    throw new CrpcError('CONFIG_INVALID', { details: { what } });
  }
  return new EtcdRegistry({
    ...options,
    hosts,
    tls: scheme === 'etcds' ? (options.tls ?? {}) : undefined,
    user: user === undefined ? undefined : decodeURIComponent(user),
    ...(prefix ? { prefix: `/${prefix}/` } : {}),
    password: password === undefined ? undefined : decodeURIComponent(password),
  });
}
