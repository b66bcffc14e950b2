/** Writes docs/errors.md from the catalogue: `node scripts/errors-doc.ts`. */
import { writeFileSync } from 'node:fs';
import { CATALOGUE, type ErrorEntry, GrpcStatus } from '../common/mod.ts';

const INTRO = `# Errors

Every refusal that GoChat gives has a code. The same code travels in a NACK or CLOSE frame, in the JSON body of an
HTTP answer, in the trailers of a crpc call, and on the command line. Generated from \`common/errors.ts\` by
\`make errors-doc\`; a test fails when the two differ.

*Retry*: the same request may succeed later without a change. *Close*: status of the WebSocket close frame where the
code ends a connection (TCP clients get the code in the CLOSE frame). *Exit*: exit code where the code ends a process.
`;

/** Returns the text of docs/errors.md. */
export function renderErrors(): string {
  const grpcNames = new Map(Object.entries(GrpcStatus).map(([name, number]) => [number, name]));
  const rows = Object.entries(CATALOGUE as Record<string, ErrorEntry>).map(([code, entry]) =>
    [
      `<a id="${code}"></a>\`${code}\``,
      entry.message,
      entry.remedy,
      entry.retryable ? 'yes' : 'no',
      grpcNames.get(entry.grpc) ?? '',
      entry.http,
      entry.close ?? '',
      entry.exit ?? '',
    ].join(' | '),
  );
  return `${INTRO}
| code | what happened | what to do | retry | gRPC | HTTP | close | exit |
|---|---|---|---|---|---|---|---|
${rows.map((row) => `| ${row} |`).join('\n')}
`;
}

if (import.meta.main) writeFileSync(new URL('../docs/errors.md', import.meta.url), renderErrors());
