/** A run: starts the system, lets clients work under faults, restores everything, and judges. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { signup } from '../harness/gochat.ts';
import { quiesce } from './quiesce.ts';
import { Checker, type Verdict } from './checker.ts';
import { FLOOR_RAISES, FloorRaiser, type FloorRaises } from './floor-raiser.ts';
import type { Command } from './driver.ts';
import { DriverProcess } from './driver-process.ts';
import { History, readHistories } from './history.ts';
import { plan, type Step, unleash } from './nemesis.ts';
import { Random } from './random.ts';
import { StoreProbe } from './store-probe.ts';
import { STATES, System, targetsOf } from './system.ts';
import type { DeedWeights } from './workload.ts';

export interface RunOptions {
  readonly seed: number;
  /** Duration of faults and work, ms, without start, recovery and judgement. */
  readonly durationMs: number;
  /** The faults; work ends with the last one. @default drawn by the seed, for durationMs */
  readonly steps?: readonly Step[];
  /** Folder for histories and logs. */
  readonly dir: string;
  /** Another bin/gochat. @default this repository's */
  readonly bin?: string;
  /** @default STATES */
  readonly states?: number;
  /** @default 12 */
  readonly users?: number;
  /** @default 6 */
  readonly rooms?: number;
  /** Share of the rooms that hide from who joins what was before. @default 0.5 */
  readonly hiddenRooms?: number;
  /** Of all clients together. @default 60 */
  readonly sendsPerSecond?: number;
  /** Messages per send. @default 1 */
  readonly atOnce?: number;
  /** Actions other than plain sends, of all clients together. @default 8 */
  readonly deedsPerSecond?: number;
  /** Their relative frequencies, where they are not the workload's own. @default {} */
  readonly deeds?: DeedWeights;
  /** @default FLOOR_RAISES */
  readonly floors?: FloorRaises;
  /** @default CONVERGENCE_MS */
  readonly convergenceMs?: number;
}

/** Processes of clients. */
const DRIVERS = 2;
/**
 * Time after the last fault in which every send is answered and every client has all of the log. A lease lives 10 s, a
 * mass loss is held back for 15 s, and clients wait up to 10 s between attempts.
 */
export const CONVERGENCE_MS = 90_000;

/** Rejects if the run itself fails; GoChat's violations are in the verdict. */
export async function runChaos(options: RunOptions): Promise<Verdict> {
  const { seed, dir, durationMs, bin, states = STATES } = options;
  await mkdir(dir, { recursive: true });
  const path = (name: string) => join(dir, `${name}.jsonl`);
  const history = new History(path('system'));
  const paths = [path('system')];
  try {
    await using cleanup = new AsyncDisposableStack();
    const system = cleanup.use(
      await System.start({
        dir,
        random: new Random(seed, 'proxies'),
        states,
        ...(bin !== undefined && { bin }),
        onCrash: (process, what) => history.write({ kind: 'crash', process, what }),
      }),
    );
    const probe = cleanup.use(new StoreProbe(system.services.urls.postgres, history));
    await probe.install();
    const everyone = Array.from({ length: options.users ?? 12 }, (_, i) => `user${i}`);
    for (const user of everyone) await signup(system.urls, user);
    const drivers: DriverProcess[] = [];
    for (let number = 0; number < DRIVERS; number++) {
      const driver = cleanup.use(new DriverProcess());
      drivers.push(driver);
      paths.push(path(`clients-${number}`));
      await driver.tell({
        do: 'begin',
        historyPath: path(`clients-${number}`),
        seed,
        users: everyone.filter((_, i) => i % DRIVERS === number),
        everyone,
        urls: system.urls,
        admins: Object.keys(system.admins).flatMap((name) =>
          name.startsWith('state') ? [system.admins[name] as string] : [],
        ),
        rooms: options.rooms ?? 6,
        hiddenRooms: options.hiddenRooms ?? 0.5,
        sendsPerSecond: (options.sendsPerSecond ?? 60) / DRIVERS,
        atOnce: options.atOnce ?? 1,
        deedsPerSecond: (options.deedsPerSecond ?? 8) / DRIVERS,
        deeds: options.deeds ?? {},
      });
    }
    probe.watchCursors();
    const floors = cleanup.use(
      new FloorRaiser({
        url: system.services.urls.postgres,
        probe,
        random: new Random(seed, 'floors'),
        history,
        raises: options.floors ?? FLOOR_RAISES,
      }),
    );
    await unleash(options.steps ?? plan(seed, durationMs, targetsOf(states)), system, seed, history);

    await floors.stop();
    const healed = performance.now();
    const withinMs = options.convergenceMs ?? CONVERGENCE_MS;
    const left = () => Math.max(1000, withinMs - (performance.now() - healed));
    const tell = async (command: Command) => {
      const results = await Promise.all(drivers.map((driver) => driver.tell(command)));
      return results.reduce((sum, result) => sum + result, 0);
    };
    await system.up();
    await tell({ do: 'quiesce', deadlineMs: left() });
    let expected = await probe.expectation();
    const stuck = await tell({ do: 'converge', expected, deadlineMs: left() });
    history.write({ kind: 'converged', ms: Math.round(performance.now() - healed), withinMs });
    if (stuck === 0) expected = await quiesce({ tell, probe, history, deadlineMs: withinMs });
    await tell({ do: 'views', expected });
    await probe.dump();
    await tell({ do: 'end' });
  } finally {
    await history.close();
  }
  const checker = new Checker();
  for await (const entry of readHistories(paths)) checker.add(entry);
  return checker.verdict();
}
