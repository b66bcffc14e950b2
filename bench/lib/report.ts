/** The report: medians over the rounds, ratios to the baseline of the same run, as a table and as JSON. */
import { LOAD, type Quantiles } from './load.ts';
import type { Machine } from './machine.ts';
import { median, type Outcome } from './runner.ts';
import type { Scenario } from './scenarios.ts';
import type { Usage } from './usage.ts';

export interface Row {
  readonly scenario: string;
  readonly peer: string;
  readonly durability: string;
  readonly acked_per_s: number;
  readonly delivered_per_s: number;
  readonly ack_ms: Latency;
  readonly delivery_ms: Latency;
  /** Ratio to the scenario's baseline; undefined without one. */
  readonly ratio: number | undefined;
  /** Acknowledged or delivered messages per second of CPU time of the servers, engines included. */
  readonly per_core_s: number;
  /** Its ratio to the baseline's; steadier than `ratio` if others use the machine too. */
  readonly per_core_s_ratio: number | undefined;
  readonly idle_kib_per_connection: number | undefined;
  readonly idle_kib_per_connection_grown: number | undefined;
  readonly statements_per_message: number | undefined;
  readonly connects_per_s: number;
  readonly usage: readonly Usage[];
  /** Violations, with their counts; empty if there are none. */
  readonly errors: Readonly<Record<string, number>>;
  readonly resyncs: number;
  /** How often a client would have had to ask for a message that was late. */
  readonly gaps: number;
  readonly frames_per_read: number;
}

type Latency = Pick<Quantiles, 'p50' | 'p99' | 'p999'>;

/** Reduces the rounds of a scenario to one row per peer. */
export function rowsOf(scenario: Scenario, outcomes: readonly Outcome[]): Row[] {
  const rateOf = (outcome: Outcome) => median(outcome.rounds.map(({ load }) => load[scenario.rate]));
  const baseline = outcomes.find(({ peer, rounds }) => peer === scenario.baseline && rounds.length > 0);
  const open = scenario.halfOf !== undefined || scenario.perSecond !== undefined;
  const perCoreS = (outcome: Outcome) =>
    rateOf(outcome) / coresOf(mediansOf(outcome.rounds.map(({ usage }) => usage)));
  return outcomes
    .filter(({ rounds }) => rounds.length > 0)
    .map((outcome) => {
      const loads = outcome.rounds.map(({ load }) => load);
      const latency = (which: 'ack_ms' | 'delivery_ms'): Latency => ({
        p50: median(loads.map((load) => load[which].p50)),
        p99: median(loads.map((load) => load[which].p99)),
        p999: median(loads.map((load) => load[which].p999)),
      });
      const idle = outcome.idle !== undefined;
      const errors: Record<string, number> = {};
      for (const load of loads) {
        for (const [what, count] of Object.entries(load.errors)) errors[what] = (errors[what] ?? 0) + count;
      }
      return {
        scenario: scenario.name,
        peer: outcome.peer,
        durability: outcome.durability,
        acked_per_s: median(loads.map((load) => load.acked_per_s)),
        delivered_per_s: median(loads.map((load) => load.delivered_per_s)),
        ack_ms: latency('ack_ms'),
        delivery_ms: latency('delivery_ms'),
        ratio: baseline === undefined || idle || open ? undefined : rateOf(outcome) / rateOf(baseline),
        per_core_s: perCoreS(outcome),
        per_core_s_ratio: baseline === undefined || idle ? undefined : perCoreS(outcome) / perCoreS(baseline),
        idle_kib_per_connection: outcome.idle?.whole,
        idle_kib_per_connection_grown: outcome.idle?.grown,
        statements_per_message:
          outcome.rounds[0]?.statementsPerMessage === undefined
            ? undefined
            : median(outcome.rounds.map((round) => round.statementsPerMessage ?? Number.NaN)),
        connects_per_s: median(loads.map((load) => load.connections / load.connect_s)),
        usage: mediansOf(outcome.rounds.map(({ usage }) => usage)),
        errors,
        resyncs: loads.reduce((total, load) => total + load.resyncs, 0),
        frames_per_read: median(loads.map((load) => load.frames_per_read)),
        gaps: loads.reduce((total, load) => total + load.gaps, 0),
      };
    });
}

/** Returns whether a peer must keep GoChat's promises: the others may lose order, and it is reported. */
export function isOurs(peer: string): boolean {
  return peer.startsWith('gochat');
}

/** Describes the machine, in two lines. */
export function machineText(machine: Machine): string {
  const engines = Object.entries(machine.engines).map(([name, version]) => `${name} ${version}`);
  return [
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.os}, Linux ${machine.kernel}`,
    `Node ${machine.node}; ${engines.join(', ')}`,
  ].join('\n');
}

/** The rows of one scenario as text. */
export function table(scenario: Scenario, rows: readonly Row[]): string {
  const idle = scenario.workload.scenario === 'idle';
  const head = idle
    ? ['peer', 'KiB/connection', 'each further', 'logins/s', 'connected']
    : [
        'peer',
        'acked/s',
        'delivered/s',
        'ack ms p50/p99/p99.9',
        'delivery ms p50/p99/p99.9',
        'ratio',
        'per core-s',
        'its ratio',
      ];
  const body = rows.map((row) =>
    idle
      ? [
          row.peer,
          (row.idle_kib_per_connection ?? 0).toFixed(1),
          (row.idle_kib_per_connection_grown ?? 0).toFixed(1),
          count(row.connects_per_s),
          state(row),
        ]
      : [
          row.peer,
          row.ack_ms.p50 === 0 && row.acked_per_s === 0 ? '-' : count(row.acked_per_s),
          count(row.delivered_per_s),
          latencyText(row.ack_ms),
          latencyText(row.delivery_ms),
          ratioText(row.ratio),
          count(row.per_core_s),
          ratioText(row.per_core_s_ratio),
        ],
  );
  const uses = rows.map((row) => [`  ${row.peer}`, row.usage.map(usageText).join(', ')]);
  const wrong = rows.flatMap((row) =>
    Object.entries(row.errors).map(
      ([what, times]) =>
        `  ${isOurs(row.peer) ? 'WRONG' : 'not kept'} on ${row.peer}: ${what} (${times} times)`,
    ),
  );
  const late = rows
    .filter((row) => row.resyncs + row.gaps > 0)
    .map((row) => `  on ${row.peer}: ${row.resyncs} resyncs, ${row.gaps} gaps that a client would ask for`);
  const statements = rows
    .filter((row) => row.statements_per_message !== undefined)
    .map((row) => `  on ${row.peer}: ${row.statements_per_message?.toFixed(4)} statements for each message`);
  const durability = rows.map((row) => [`  ${row.peer}`, row.durability]);
  return [
    `\n${scenario.name}: ${scenario.title}`,
    align([head, ...body], 1),
    '  CPU (of one core) and resident memory:',
    align(uses),
    ...(idle ? [] : ['  an acked message has survived:', align(durability)]),
    ...statements,
    ...late,
    ...wrong,
  ].join('\n');
}

/** Returns the CPU time of the servers without the load generator, cores. */
export function coresOf(usage: readonly Usage[]): number {
  return usage.reduce((cores, { name, cpuPercent }) => (name === LOAD ? cores : cores + cpuPercent / 100), 0);
}

function usageText({ name, cpuPercent, rssMiB }: Usage): string {
  const cpu = `${name} ${cpuPercent.toFixed(0)}%`;
  return name === LOAD ? cpu : `${cpu} ${rssMiB.toFixed(0)}M`;
}

function ratioText(ratio: number | undefined): string {
  return ratio === undefined ? '-' : ratio.toFixed(2);
}

function state(row: Row): string {
  return Object.keys(row.errors).length === 0 ? 'all' : 'not all';
}

function mediansOf(rounds: readonly (readonly Usage[])[]): Usage[] {
  const first = rounds[0] ?? [];
  return first.map(({ name }) => {
    const of = (key: 'cpuPercent' | 'rssMiB') =>
      median(rounds.map((usage) => usage.find((each) => each.name === name)?.[key] ?? 0));
    return { name, cpuPercent: of('cpuPercent'), rssMiB: of('rssMiB') };
  });
}

export function count(number: number): string {
  return Math.round(number).toLocaleString('en-US');
}

function latencyText({ p50, p99, p999 }: Latency): string {
  return [p50, p99, p999].map((ms) => (ms < 10 ? ms.toFixed(2) : ms.toFixed(1))).join(' / ');
}

/** Pads columns; those from `right` on are right-aligned. */
export function align(rows: readonly (readonly string[])[], right = Number.POSITIVE_INFINITY): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const pad = (cell: string, column: number) =>
    column >= right ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0);
  return rows.map((row) => `  ${row.map(pad).join('  ').trimEnd()}`).join('\n');
}
