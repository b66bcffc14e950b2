/**
 * docs/openapi.json: the document of the API server, from the schemas that validate. The types of its TypeScript client
 * are made from it by openapi-typescript, which needs TypeScript 5 and so runs apart from the project's packages.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeApi } from '../../api/mod.ts';

const GENERATOR = ['openapi-typescript@7.13.0', 'typescript@5.9.3'];

export async function renderOpenApi(): Promise<string> {
  return `${JSON.stringify(await describeApi(), null, 2)}\n`;
}

/** Returns whether types were made from this document. */
export function isTypedBy(types: string, document: string): boolean {
  return types.startsWith(headOf(document));
}

/** Makes the types of a document; npm fetches the generator. */
export function renderTypes(document: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'gochat-openapi-'));
  try {
    writeFileSync(join(folder, 'openapi.json'), document);
    const packages = GENERATOR.map((name) => `--package=${name}`);
    execFileSync(
      'npm',
      ['exec', '--yes', ...packages, '--', 'openapi-typescript', 'openapi.json', '-o', 'types.ts'],
      { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] },
    );
    return headOf(document) + readFileSync(join(folder, 'types.ts'), 'utf8');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function headOf(document: string): string {
  return `// Made by "make docs" from docs/openapi.json ${createHash('sha256').update(document).digest('hex')}\n`;
}
