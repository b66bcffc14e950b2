/** CPU time and memory of processes, threads and children included, from /proc. */
import { readdirSync, readFileSync } from 'node:fs';

const TICKS_PER_S = 100;

/** One server in the report: a process with its descendants. */
export interface Tracked {
  readonly name: string;
  readonly pid: number;
  /** Runs a garbage collection in it, if it can. */
  collect?(): Promise<void>;
}

export interface Usage {
  readonly name: string;
  /** User and system time, percent of one core. */
  readonly cpuPercent: number;
  /** Resident memory; of several processes the sum of their proportional shares. */
  readonly rssMiB: number;
}

export interface Sample {
  readonly atMs: number;
  readonly cpuMs: ReadonlyMap<string, number>;
}

/** Reads the CPU time that each server has used so far. */
export function sample(servers: readonly Tracked[]): Sample {
  const parents = processParents();
  const cpuMs = new Map(
    servers.map(({ name, pid }) => [name, sum(tree(pid, parents).map(cpuTicks)) * (1000 / TICKS_PER_S)]),
  );
  return { atMs: performance.now(), cpuMs };
}

/** Usage of each server since the sample. */
export function usageSince(before: Sample, servers: readonly Tracked[]): Usage[] {
  const after = sample(servers);
  const elapsedMs = after.atMs - before.atMs;
  return servers.map(({ name, pid }) => ({
    name,
    cpuPercent: (100 * ((after.cpuMs.get(name) ?? 0) - (before.cpuMs.get(name) ?? 0))) / elapsedMs,
    rssMiB: residentMiB(pid),
  }));
}

/** Resident memory of a process and its children, MiB. */
export function residentMiB(pid: number): number {
  const all = tree(pid, processParents());
  if (all.length === 1) return kibibytes(`/proc/${pid}/status`, 'VmRSS') / 1024;
  return sum(all.map((each) => kibibytes(`/proc/${each}/smaps_rollup`, 'Pss'))) / 1024;
}

function tree(root: number, parents: ReadonlyMap<number, number>): number[] {
  const found = [root];
  for (let i = 0; i < found.length; i++) {
    for (const [pid, parent] of parents) if (parent === found[i]) found.push(pid);
  }
  return found;
}

function processParents(): Map<number, number> {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const fields = statFields(Number(name));
    if (fields !== undefined) parents.set(Number(name), Number(fields[1]));
  }
  return parents;
}

function cpuTicks(pid: number): number {
  const fields = statFields(pid);
  return fields === undefined ? 0 : Number(fields[11]) + Number(fields[12]);
}

/** The fields of /proc/PID/stat from the state on: the command before it may contain spaces. */
function statFields(pid: number): string[] | undefined {
  const stat = readable(`/proc/${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function kibibytes(file: string, key: string): number {
  return Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(readable(file) ?? '')?.[1] ?? 0);
}

/** The file's text, or undefined when the process has ended or is not ours to read. */
function readable(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // Processes come and go while they are listed.
    return undefined;
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
