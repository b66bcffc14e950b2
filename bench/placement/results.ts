/** The results: kept as JSON beside the docs, and rendered as the tables and plots that the docs show. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Measures, MIN_MEAN } from './measures.ts';
import { plot } from './plot.ts';
import { POLICIES } from './policies.ts';
import { SCENARIOS } from './scenarios.ts';

const [BEGIN, END] = ['<!-- results: begin -->', '<!-- results: end -->'];
const OURS = 'GoChat';
const CLASSIC = 'classic';
const HEAD =
  'worst max/mean | p99.9 | oscillation | balanced after | misplaced | misplaced at the end | failed attempts';

/** A policy that fills only one gateway leaves the fleet so empty that no ratio means anything. */
const NONE_COUNTS = `under ${MIN_MEAN * 100} % full`;

/** One run, without its series; Infinity is written as null, and so is a ratio for which no second counts. */
export interface Row extends Omit<Measures, 'series' | 'balancedAfter' | 'worst' | 'p999' | 'final'> {
  readonly scenario: string;
  readonly clients: number;
  readonly gateways: number;
  readonly reportAgeMs: number;
  readonly policy: string;
  readonly seed: number;
  readonly balancedAfter: number | null;
  readonly worst: number | null;
  readonly p999: number | null;
  readonly final: number | null;
}

export function toRow(
  at: Pick<Row, 'scenario' | 'clients' | 'gateways' | 'reportAgeMs' | 'policy' | 'seed'>,
  measures: Measures,
): Row {
  const { series: _, balancedAfter, worst, p999, final, ...rest } = measures;
  const known = (value: number) => (Number.isFinite(value) ? value : null);
  return {
    ...at,
    ...rest,
    balancedAfter: known(balancedAfter),
    worst: known(worst),
    p999: known(p999),
    final: known(final),
  };
}

/** Table row of a run. */
export function cells(row: Row): string {
  return [
    row.worst?.toFixed(3) ?? NONE_COUNTS,
    row.p999?.toFixed(3) ?? NONE_COUNTS,
    `${row.oscillation.toFixed(2)} %`,
    row.balancedAfter === null ? 'not in the run' : `${row.balancedAfter} s`,
    `${row.misplaced.toFixed(1)} %`,
    `${row.misplacedAtEnd.toFixed(1)} %`,
    `${row.failed.toFixed(1)} %`,
  ].join(' | ');
}

/** Writes the rows and series of one scenario into the docs; those of others stay. */
export function publish(
  docs: string,
  scenario: string,
  rows: readonly Row[],
  series: {
    readonly subtitle: string;
    readonly lines: readonly { name: string; values: readonly number[] }[];
  },
): void {
  const folder = join(docs, 'placement');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'results.json');
  const before: Row[] = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Row[]) : [];
  const all = [...before.filter((row) => row.scenario !== scenario), ...rows];
  const order = (row: Row) => SCENARIOS.findIndex(({ name }) => name === row.scenario);
  all.sort((a, b) => order(a) - order(b));
  writeFileSync(file, `[\n${all.map((row) => JSON.stringify(row)).join(',\n')}\n]\n`);
  const title = `${capital(scenario)}: highest utilisation over mean`;
  writeFileSync(join(folder, `${slug(scenario)}.svg`), plot(title, series.subtitle, series.lines));
  writeTables(docs, all);
}

/** Rewrites the pages from all rows. */
export function writeTables(docs: string, all: readonly Row[]): void {
  writeFileSync(join(docs, 'placement', 'results.md'), allRuns(all));
  const page = join(docs, 'placement.md');
  const text = readFileSync(page, 'utf8');
  const [from, to] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`${page} lacks ${BEGIN} and ${END}`);
  writeFileSync(page, `${text.slice(0, from)}${BEGIN}\n${summary(all)}\n${text.slice(to)}`);
}

/** For each scenario, the worst of all its fleets, and the plot. */
function summary(all: readonly Row[]): string {
  const parts: string[] = [];
  for (const { name, about } of SCENARIOS) {
    const rows = all.filter(({ scenario }) => scenario === name);
    if (rows.length === 0) continue;
    const fleets = new Set(rows.map(({ gateways }) => gateways));
    parts.push(
      `\n### ${capital(name)}\n`,
      `${about} ${rows[0]?.clients.toLocaleString('en')} clients; the worst of ${[...fleets].join(', ')} gateways with reports 1 s and 5 s old:\n`,
      `| policy | ${HEAD} |`,
      '|---|---:|---:|---:|---:|---:|---:|---:|',
      ...Object.keys(POLICIES).map((policy) => `| ${bold(policy)} | ${cells(worstOf(rows, policy))} |`),
      `\n${nearer(rows)}`,
      `\n![${capital(name)}](placement/${slug(name)}.svg)`,
    );
  }
  return parts.join('\n');
}

function allRuns(all: readonly Row[]): string {
  const lines = [
    '# Placement: every run',
    '',
    'Written by `make bench-placement`; [placement.md](../placement.md) says what is measured.',
  ];
  for (const { name } of SCENARIOS) {
    const rows = all.filter(({ scenario }) => scenario === name);
    if (rows.length === 0) continue;
    lines.push('', `## ${capital(name)}`, '', `${rows[0]?.clients.toLocaleString('en')} clients.`, '');
    lines.push(
      `| gateways | report age | policy | ${HEAD} |`,
      '|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|',
    );
    for (const row of rows)
      lines.push(`| ${row.gateways} | ${row.reportAgeMs / 1000} s | ${bold(row.policy)} | ${cells(row)} |`);
  }
  return `${lines.join('\n')}\n`;
}

function worstOf(rows: readonly Row[], policy: string): Row {
  const own = rows.filter((row) => row.policy === policy);
  const most = (read: (row: Row) => number) => Math.max(...own.map(read));
  const mostKnown = (read: (row: Row) => number | null) => {
    const known = own.map(read).filter((value) => value !== null);
    return known.length === 0 ? null : Math.max(...known);
  };
  const balanced = most(({ balancedAfter }) => balancedAfter ?? Infinity);
  return {
    ...(own[0] as Row),
    worst: mostKnown(({ worst }) => worst),
    p999: mostKnown(({ p999 }) => p999),
    oscillation: most(({ oscillation }) => oscillation),
    balancedAfter: balanced === Infinity ? null : balanced,
    misplaced: most(({ misplaced }) => misplaced),
    misplacedAtEnd: most(({ misplacedAtEnd }) => misplacedAtEnd),
    failed: most(({ failed }) => failed),
  };
}

/** Says how much closer to 1 GoChat is than the classic scorer, in the fleets where that is least and most. */
function nearer(rows: readonly Row[]): string {
  const factors = rows
    .filter(({ policy }) => policy === OURS)
    .map((ours) => {
      const classic = rows.find(
        ({ policy, gateways, reportAgeMs }) =>
          policy === CLASSIC && gateways === ours.gateways && reportAgeMs === ours.reportAgeMs,
      );
      return ((classic?.worst ?? Number.NaN) - 1) / ((ours.worst ?? Number.NaN) - 1);
    })
    .filter((factor) => !Number.isNaN(factor));
  const [least, most] = [Math.min(...factors), Math.max(...factors)];
  return `Distance of the worst max/mean from 1: ${least.toFixed(1)} to ${most.toFixed(1)} times smaller than classic's.`;
}

function bold(policy: string): string {
  return policy === OURS ? `**${policy}**` : policy;
}

function slug(name: string): string {
  return name.replaceAll(/\W+/g, '-');
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
