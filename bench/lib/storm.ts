/** A gateway with all of its clients is killed and started again; meanwhile clients of another one go on exchanging messages. */
import { setTimeout } from 'node:timers/promises';
import { startServer } from './gochat.ts';
import { freePorts } from './ports.ts';
import { Seeds } from './seed.ts';
import { environment, type Findings, type StudyContext } from './study.ts';

export const STORM_CLIENTS = 15_000;
const STORM_DEADLINE_S = 90;
const BASELINE_S = 8;
const BYSTANDERS = 20;
const BYSTANDER_RATE = 100;

export async function storm({ load, services, signal, profiles }: StudyContext): Promise<Findings> {
  await using stack = new AsyncDisposableStack();
  const env = environment(services, profiles);
  const [port] = await freePorts(1);
  const start = async (mode: string, flags: readonly string[] = []) => {
    const server = await startServer(mode, flags, { env });
    stack.use(server.child);
    return server;
  };
  await start('state');
  const steady = await start('gateway', ['--ws-port', '0']);
  const hit = await start('gateway', ['--port', String(port), '--ws-port', '0']);
  const clients = await new Seeds(services.store).connections({
    scenario: 'idle',
    connections: STORM_CLIENTS,
  });
  // Other users, whose messages do not go to the clients.
  const pairs = await new Seeds(services.store).connections({ scenario: 'direct', connections: BYSTANDERS });
  const talk = (seconds: number) =>
    load.run(
      {
        protocol: 'gochat',
        scenario: 'direct',
        ports: [Number(steady.up['tcp']?.split(':').at(-1))],
        connections: pairs,
        rate: BYSTANDER_RATE,
        seconds,
        warmup: 1,
      },
      [],
      signal,
    );

  const connected = Promise.withResolvers<void>();
  let servedMs = 0;
  const storming = load.run(
    {
      protocol: 'gochat',
      scenario: 'idle',
      ports: [port as number],
      connections: clients,
      seconds: STORM_DEADLINE_S,
      warmup: 0,
      reconnect: true,
    },
    [],
    signal,
    (phase) => {
      console.error(`storm: ${phase}`);
      if (phase === 'connected') connected.resolve();
      if (phase === 'served') servedMs = performance.now();
    },
  );
  // Awaited below; an abort before that must not end the bench without its clean-up.
  storming.catch(() => undefined);
  await Promise.race([connected.promise, storming]);
  const before = await talk(BASELINE_S);
  const meanwhile = talk(BASELINE_S * 2);
  meanwhile.catch(() => undefined);
  // Its measurement has begun.
  await setTimeout(2000);
  console.error('storm: killing the gateway');
  hit.child.kill();
  await hit.child.ended;
  await start('gateway', ['--port', String(port), '--ws-port', '0']);
  const upMs = performance.now();
  console.error('storm: the gateway is up again');
  const { load: result } = await storming;
  const during = await meanwhile;
  const lost = Object.values(result.errors).reduce((sum, each) => sum + each, 0);
  return {
    clients: STORM_CLIENTS,
    'not back': lost,
    'all served after the restart, s': servedMs === 0 ? 'not in time' : (servedMs - upMs) / 1000,
    refused: JSON.stringify(result.refused),
    'bystanders before, delivery p50 ms': before.load.delivery_ms.p50,
    'bystanders before, delivery p99 ms': before.load.delivery_ms.p99,
    'bystanders in the storm, delivery p50 ms': during.load.delivery_ms.p50,
    'bystanders in the storm, delivery p99 ms': during.load.delivery_ms.p99,
    'p99 in the storm ÷ before': during.load.delivery_ms.p99 / before.load.delivery_ms.p99,
  };
}
