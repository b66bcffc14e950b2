/** Compose files as Docker reads them, as far as ours use the format: merged, with variables replaced, and checked. */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

export interface Service {
  readonly image: string;
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly volumes: readonly string[];
  readonly ports: readonly string[];
  readonly dependsOn: Readonly<
    Record<string, 'service_started' | 'service_healthy' | 'service_completed_successfully'>
  >;
  readonly healthcheck: readonly string[] | undefined;
  readonly restart: string;
}

export interface ComposeFile {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: readonly string[];
  /** Of the default network. */
  readonly subnet: string;
}

// oxlint-disable-next-line typescript/no-explicit-any -- YAML.
type Yaml = any;

/** Reads files over one another. @throws Error for a variable, a service or a volume that is named and is not there */
export function readCompose(
  files: readonly string[],
  variables: Readonly<Record<string, string>>,
): ComposeFile {
  const whole = files
    .map((file) => parse(replaced(readFileSync(file, 'utf8'), variables), { merge: true }))
    .reduce(merged);
  const volumes = Object.keys(whole.volumes ?? {});
  const services: Record<string, Service> = {};
  for (const [name, service] of Object.entries<Yaml>(whole.services)) {
    const dependsOn = Object.fromEntries(
      Object.entries<Yaml>(service.depends_on ?? {}).map(([other, { condition }]) => [other, condition]),
    );
    for (const other of Object.keys(dependsOn))
      if (whole.services[other] === undefined)
        throw new Error(`${name} depends on ${other}, which is no service`);
    for (const volume of service.volumes ?? []) {
      const [from = ''] = volume.split(':');
      if (!from.startsWith('.') && !volumes.includes(from))
        throw new Error(`${name} names the volume ${from}, which is none`);
    }
    services[name] = {
      image: service.image,
      command: service.command ?? [],
      environment: service.environment ?? {},
      volumes: service.volumes ?? [],
      ports: service.ports ?? [],
      dependsOn,
      healthcheck: service.healthcheck?.test,
      restart: service.restart ?? 'no',
    };
  }
  return { services, volumes, subnet: whole.networks.default.ipam.config[0].subnet };
}

/** Replaces ${NAME} and ${NAME:-default}; $$ is a dollar sign. */
function replaced(text: string, variables: Readonly<Record<string, string>>): string {
  return text.replaceAll(
    /\$(?:\$|\{(\w+)(?::-([^}]*))?\}|(\w+))/g,
    (found, name?: string, standard?: string, bare?: string) => {
      if (found === '$$') return '$';
      const value = variables[name ?? bare ?? ''] ?? standard;
      if (value === undefined) throw new Error(`the variable ${name ?? bare} has no value`);
      return value;
    },
  );
}

function merged(a: Yaml, b: Yaml): Yaml {
  if (Array.isArray(a) && Array.isArray(b)) return [...a, ...b];
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return b;
  const all = { ...a };
  for (const [key, value] of Object.entries(b)) all[key] = key in a ? merged(a[key], value) : value;
  return all;
}
