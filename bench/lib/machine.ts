/** The machine that the figures come from. */
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { run } from './child.ts';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly os: string;
  readonly node: string;
  readonly engines: Readonly<Record<string, string>>;
}

const ENGINES: Readonly<Record<string, readonly [command: string, ...args: string[]]>> = {
  etcd: ['etcd', '--version'],
  redis: ['redis-server', '--version'],
  postgres: ['postgres', '--version'],
  nats: ['nats-server', '--version'],
  mosquitto: ['mosquitto', '-h'],
  ejabberd: ['dpkg-query', '--show', '--showformat', '${Version}', 'ejabberd'],
};

/** Describes this machine; an engine that is not installed is left out. */
export async function describeMachine(): Promise<Machine> {
  const engines: Record<string, string> = {};
  for (const [name, [command, ...args]] of Object.entries(ENGINES)) {
    const version = await run(command, args)
      // mosquitto prints its help with exit code 1; a missing program prints no number.
      .catch((error: unknown) =>
        error instanceof Error ? error.message.split('\n').slice(1).join('\n') : '',
      );
    const found = /\d+\.\d+(\.\d+)?/.exec(version)?.[0];
    if (found !== undefined) engines[name] = found;
  }
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    os: /^PRETTY_NAME="(.*)"$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown',
    node: process.version,
    engines,
  };
}
