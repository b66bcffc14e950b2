/** A verdict in words. */
import type { Verdict } from './checker.ts';

const COUNT = new Intl.NumberFormat('en-GB');

/** Returns the report of a run. */
export function report(seed: number, durationMs: number, verdict: Verdict): string {
  const faults = Object.values(verdict.faults).reduce((sum, count) => sum + count, 0);
  const total = verdict.violations.length + verdict.more;
  const failed = Object.entries(verdict.failed).map(
    ([code, count]) => `${COUNT.format(count)} ${code || 'cut off'}`,
  );
  const lines = [
    `seed ${seed}, ${Math.round(durationMs / 1000)} s of faults`,
    `  faults        ${faults}: ${counts(verdict.faults)}`,
    `  clients       ${COUNT.format(verdict.instances)}, which reconnected ${COUNT.format(verdict.reconnects)} times`,
    `  sends         ${COUNT.format(verdict.sends)}: ${COUNT.format(verdict.acked)} acked${failed.length > 0 ? `, not acked: ${failed.join(', ')}` : ''}`,
    `  members       came ${COUNT.format(verdict.changes.joined)} times and went ${COUNT.format(verdict.changes.left)} times`,
    `  in the log    ${COUNT.format(verdict.messages)}, of which ${COUNT.format(verdict.unackedPresent)} without an ack, seen by all members`,
    `  deliveries    ${COUNT.format(verdict.deliveries)}`,
    `  converged     ${verdict.convergedMs === undefined ? 'no' : `${(verdict.convergedMs / 1000).toFixed(1)} s after the last fault`}`,
    `  violations    ${total}`,
    ...verdict.violations.map(({ rule, what }) => `    ${rule}: ${what}`),
  ];
  if (verdict.more > 0) lines.push(`    and ${verdict.more} more`);
  return lines.join('\n');
}

/** Returns whether enough happened in a run for its verdict to mean something. */
export function proves(durationMs: number, { acked, changes, reconnects, faults }: Verdict): boolean {
  const minutes = durationMs / 60_000;
  return (
    acked > 300 * minutes &&
    changes.left > minutes &&
    reconnects > 2 * minutes &&
    Object.keys(faults).length > Math.min(8, 2 * minutes)
  );
}

function counts(record: Readonly<Record<string, number>>): string {
  return Object.entries(record)
    .toSorted(([, a], [, b]) => b - a)
    .map(([name, count]) => `${count} ${name}`)
    .join(', ');
}
