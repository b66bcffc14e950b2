/** The nemesis: the plan of faults, targets and times, drawn by a seed beforehand. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Fault, FAULTS } from './faults.ts';
import type { History } from './history.ts';
import { Random } from './random.ts';
import type { System, Targets } from './system.ts';

export interface Step {
  /** Since the beginning of the run, ms. */
  readonly atMs: number;
  readonly fault: Fault;
  readonly target: string;
  readonly holdMs: number;
}

const FIRST_MS = 2000;
/** Time for a step's own work, such as starting an engine; its target gets no other fault meanwhile. */
const MARGIN_MS = 3000;
const GAP_MS = [200, 3500] as const;
const LULL_MS = 5000;

/** Plans a run. No target has two faults at a time; different ones may. */
export function plan(seed: number, durationMs: number, targets: Targets): Step[] {
  const random = new Random(seed, 'nemesis');
  const steps: Step[] = [];
  const busyUntil = new Map<string, number>();
  for (let atMs = FIRST_MS; atMs < durationMs; atMs += random.between(...GAP_MS)) {
    const fault = random.weighted(FAULTS);
    const target = random.pick(targets[fault.on].filter((name) => fault.only?.includes(name) ?? true));
    const holdMs = random.between(...fault.holdMs);
    // Everything is restored by the end of the run.
    if ((busyUntil.get(target) ?? 0) > atMs || atMs + holdMs > durationMs) continue;
    busyUntil.set(target, atMs + holdMs + MARGIN_MS);
    steps.push({ atMs, fault, target, holdMs });
    if (random.chance(0.04)) atMs += LULL_MS;
  }
  return steps;
}

/** Executes a plan. Resolves when its last fault is over. */
export async function unleash(
  steps: readonly Step[],
  system: System,
  seed: number,
  history: History,
): Promise<void> {
  const begun = performance.now();
  /** Running faults by target: a late step must not end in the next one's time. */
  const busy = new Map<string, Promise<void>>();
  for (const [index, step] of steps.entries()) {
    await sleep(Math.max(0, step.atMs - (performance.now() - begun)));
    const { fault, target, holdMs } = step;
    const before = busy.get(target) ?? Promise.resolve();
    const work = async () => {
      await before;
      history.write({ kind: 'fault', name: fault.name, target, holdMs });
      await fault.begin(system, target, new Random(seed, `step ${index}`));
      await sleep(holdMs);
      await fault.end?.(system, target);
    };
    const running = work();
    // Whoever awaits it at the end is told.
    running.catch(() => undefined);
    busy.set(target, running);
  }
  await Promise.all(busy.values());
}
