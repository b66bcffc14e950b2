/** Cost of idle connections: CPU time of heartbeats, deadlines and everything else. */
import { setTimeout } from 'node:timers/promises';
import { startServer } from './gochat.ts';
import { Seeds } from './seed.ts';
import { environment, type Findings, type StudyContext } from './study.ts';
import { sample, type Usage, usageSince } from './usage.ts';

const CONNECTIONS = 10_000;
const EMPTY_S = 20;
const MEASURED_S = 60;

export async function heartbeats({ load, services, signal, profiles }: StudyContext): Promise<Findings> {
  await using stack = new AsyncDisposableStack();
  const env = environment(services, profiles);
  const state = stack.use((await startServer('state', [], { env })).child);
  const { child, up } = await startServer('gateway', ['--ws-port', '0'], { env });
  const gateway = stack.use(child);
  const connections = await new Seeds(services.store).connections({
    scenario: 'idle',
    connections: CONNECTIONS,
  });
  const servers = [gateway, state];
  await setTimeout(1000, undefined, { signal });
  const before = sample(servers);
  await setTimeout(EMPTY_S * 1000, undefined, { signal });
  const empty = usageSince(before, servers);
  const { usage } = await load.run(
    {
      protocol: 'gochat',
      scenario: 'idle',
      ports: [Number(up['tcp']?.split(':').at(-1))],
      connections,
      seconds: MEASURED_S,
      warmup: 5,
    },
    servers,
    signal,
  );
  const percent = (of: readonly Usage[], name: string) =>
    of.find((each) => each.name === name)?.cpuPercent ?? Number.NaN;
  const microsAMinute = (name: string) =>
    (((percent(usage, name) - percent(empty, name)) / 100) * 60e6) / CONNECTIONS;
  return {
    connections: CONNECTIONS,
    'gateway without connections, % of a core': percent(empty, 'gateway'),
    'gateway, % of a core': percent(usage, 'gateway'),
    'state without connections, % of a core': percent(empty, 'state'),
    'state, % of a core': percent(usage, 'state'),
    'gateway, CPU µs for each connection and minute': microsAMinute('gateway'),
    'state, CPU µs for each connection and minute': microsAMinute('state'),
  };
}
