/** Fuzzing of REST by Schemathesis (https://schemathesis.io), from the OpenAPI document that the server shows. */
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ROOT, startUp } from '../harness/gochat.ts';
import { tokenOf } from '../harness/raw-client.ts';

const VERSION = '4.32.5';
/** An answer is no 5xx, and is what the document says: status, media type, headers, body; another method is 405. */
const CHECKS = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_headers_conformance',
  'response_schema_conformance',
  'unsupported_method',
].join(',');
/** Calls after which the token of the others is void. */
const ENDING = '/auth/logout|/sessions|/users/me/password|/users/me$';
/** For the number of cases that the whole run must have. */
const EXAMPLES = Number(process.env['GOCHAT_TEST_SCHEMATHESIS_EXAMPLES'] ?? 250);
const CASES = EXAMPLES * 40;
const HOUR_MS = 3_600_000;

const folder = mkdtempSync(join(tmpdir(), 'gochat-schemathesis-'));
let program: string;
let up: Awaited<ReturnType<typeof startUp>>;
let token: string;
beforeAll(async () => {
  const script = join(ROOT, 'scripts/install-for-tests.sh');
  program = execFileSync(script, ['--pip', 'schemathesis', VERSION], { encoding: 'utf8' }).trim();
  up = await startUp(join(folder, 'data'), ['--token-ttl-ms', String(HOUR_MS)]);
  token = await tokenOf(up, 'demo', '111111');
}, 600_000);
afterAll(async () => {
  await up?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

/** Runs it; returns its report and the number of cases. */
function fuzz(args: readonly string[]): Promise<{ readonly report: string; readonly cases: number }> {
  const all = [
    'run',
    `${up.api}/docs/json`,
    '--checks',
    CHECKS,
    '--phases',
    'examples,coverage,fuzzing',
    '--seed',
    '1',
  ];
  const more = ['--workers', '1', '--warnings', 'off', '--continue-on-failure', '--no-color', ...args];
  return new Promise((resolve) => {
    execFile(program, [...all, ...more], { cwd: folder, maxBuffer: 2 ** 28 }, (error, stdout, stderr) => {
      const cases = Number(/^ *(\d+) generated/m.exec(stdout)?.[1] ?? 0);
      const summary = stdout.slice(-20_000);
      resolve({ report: error === null ? '' : `exit ${error.code}\n${summary}\n${stderr}`, cases });
    });
  });
}

test(
  '10,000 requests of a user: no 5xx, and no answer that the document does not have',
  async () => {
    const authorization = ['--header', `Authorization: Bearer ${token}`];
    const { report, cases } = await fuzz([
      ...authorization,
      '--exclude-path-regex',
      ENDING,
      '--max-examples',
      String(EXAMPLES),
    ]);
    expect(report).toBe('');
    expect(cases).toBeGreaterThanOrEqual(CASES);
  },
  HOUR_MS,
);

test(
  'requests without a token, those that end sessions included: the same',
  async () => {
    const { report } = await fuzz(['--max-examples', '5']);
    expect(report).toBe('');
  },
  HOUR_MS,
);
