/**
 * The command-line client: reads texts and commands from standard input; prints lines for people, or JSON events, on standard
 * output.
 */
import type { Readable, Writable } from 'node:stream';
import { JsonPrinter } from './plain/json-printer.ts';
import type { LineSource } from './plain/lines.ts';
import { streamLines } from './plain/lines.ts';
import type { Printer } from './plain/printer.ts';
import { PlainSession } from './plain/session.ts';
import { openTerminal } from './plain/terminal.ts';
import { TextPrinter } from './plain/text-printer.ts';
import type { GochatClientOptions } from './sdk/mod.ts';
import { GochatClient } from './sdk/mod.ts';
import { tcpTransport } from './transport-tcp.ts';

/** Codes of a wrong command line: exit code 2. */
const USAGE_CODES = new Set(['DEVICE_INVALID']);

/** Newest entries of a conversation that are shown at first, and to an unnamed device after an absence. */
const NEWEST = 1_000;

export interface PlainOptions {
  /** Base URL of the API server. */
  readonly api: string;
  /** Base URL of ipconf. */
  readonly ipconf: string;
  readonly user: string;
  readonly password: string;
  /** @default '' an unnamed device */
  readonly device?: string | undefined;
  /** @default false lines for people */
  readonly json?: boolean;
  readonly input: Readable & { readonly isTTY?: boolean };
  readonly output: Writable & { readonly isTTY?: boolean };
  readonly errorOutput: Writable;
  /** @default whether the output is a terminal and NO_COLOR is not set */
  readonly color?: boolean;
  /** Aborting it ends the client at once; unacknowledged sends fail. */
  readonly signal?: AbortSignal;
  /** Longest time without progress of the final sends and the first synchronisation, ms. @default 30_000 */
  readonly timeoutMs?: number;
  /** For tests and other transports. */
  readonly sdk?: Partial<GochatClientOptions>;
}

/**
 * Runs the client until the end of input, /quit, the abort of the signal, or a final refusal by the server.
 *
 * Resolves with the exit code: 0 if every send was acknowledged (and, unless a person types, every command worked), 1
 * if not or if the servers cannot be reached, 2 for an invalid device name.
 */
export async function runPlain(options: PlainOptions): Promise<number> {
  const { input, output, errorOutput, json = false } = options;
  const client = new GochatClient({
    api: options.api,
    ipconf: options.ipconf,
    user: options.user,
    password: options.password,
    device: options.device ?? '',
    transport: tcpTransport(),
    client: 'gochat-plain',
    // A script with a device of its own gets every message once; a new device begins with the newest.
    catchUp: options.device ? 'all' : NEWEST,
    newDevice: NEWEST,
    ...options.sdk,
  });
  const terminal =
    !json && input.isTTY === true && output.isTTY === true ? openTerminal(input, output) : undefined;
  const lines: LineSource = terminal ?? streamLines(input);
  const printer: Printer = json
    ? new JsonPrinter(output, errorOutput)
    : new TextPrinter({
        output,
        errorOutput,
        color: options.color ?? (output.isTTY === true && process.env['NO_COLOR'] === undefined),
        echoes: terminal !== undefined,
        conversation: (id) => client.conversation(id),
        displayName: (user) => client.displayName(user),
        ...(terminal && { write: (line, stream) => terminal.print(line, stream) }),
      });
  const session = new PlainSession({
    client,
    lines,
    printer,
    output,
    timeoutMs: options.timeoutMs ?? 30_000,
    terminal,
    signal: options.signal,
  });
  const failure = await session.run();
  return failure === undefined ? 0 : USAGE_CODES.has(failure) ? 2 : 1;
}
