/** `make chaos [SEED=…] [MINUTES=…] [STATES=…]`: one run, its report on standard output, exit code 1 when a promise was broken or little happened. */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { proves, report } from './report.ts';
import { runChaos } from './run.ts';
import { STATES } from './system.ts';

const seed = Number(process.env['SEED'] || Math.floor(Math.random() * 1_000_000));
const durationMs = Number(process.env['MINUTES'] || 5) * 60_000;
const states = Number(process.env['STATES'] || STATES);
const dir = await mkdtemp(join(tmpdir(), `gochat-chaos-${seed}-`));
process.stdout.write(`seed ${seed}; histories and logs in ${dir}\n`);
const verdict = await runChaos({ seed, durationMs, dir, states });
process.stdout.write(`${report(seed, durationMs, verdict)}\n`);
const provesMuch = proves(durationMs, verdict);
if (!provesMuch) process.stdout.write('too little happened for that to prove anything\n');
process.exitCode = verdict.violations.length === 0 && provesMuch ? 0 : 1;
