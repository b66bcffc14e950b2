/**
 * Prints where the CPU time of a profiled run went, by process: the functions with the most self time.
 *
 *     node bench/main.ts direct-1000x4 --peer gochat --profile DIR
 *     node bench/profile.ts DIR [LINES]
 */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

interface Profile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const IDLE = new Set(['(idle)', '(program)', '(root)']);
const DEFAULT_LINES = 30;

const [folder, lines] = process.argv.slice(2);
if (folder === undefined) {
  console.error('Usage: node bench/profile.ts DIR [LINES]');
  process.exit(2);
}
for (const file of readdirSync(folder).filter((name) => name.endsWith('.cpuprofile'))) {
  const profile = JSON.parse(readFileSync(join(folder, file), 'utf8')) as Profile;
  const places = new Map(
    profile.nodes.map(({ id, callFrame: { functionName, url, lineNumber } }) => [
      id,
      `${functionName || '(anonymous)'}  ${url === '' ? '' : `${basename(url)}:${lineNumber + 1}`}`.trim(),
    ]),
  );
  const spent = new Map<string, number>();
  let busy = 0;
  profile.samples.forEach((id, i) => {
    const place = places.get(id) ?? '?';
    const micros = profile.timeDeltas[i] ?? 0;
    if (IDLE.has(place)) return;
    spent.set(place, (spent.get(place) ?? 0) + micros);
    busy += micros;
  });
  console.log(`\n${file}: ${(busy / 1e6).toFixed(2)} s in JavaScript and what it calls`);
  const most = [...spent].toSorted(([, a], [, b]) => b - a).slice(0, Number(lines ?? DEFAULT_LINES));
  for (const [place, micros] of most)
    console.log(`  ${((100 * micros) / busy).toFixed(1).padStart(5)}%  ${place}`);
}
