/** What a subcommand of `gochat ctl` is made of. */
import type { AdminClient } from './admin-client.ts';

/** What a subcommand runs with. */
export interface SubcommandContext {
  readonly client: AdminClient;
  /** In the order of `args`; undefined where an optional one was left out. */
  readonly args: readonly (string | undefined)[];
  /** Values of `options` by camelCase name. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Prints a line for people or scripts. */
  readonly print: (line: string) => void;
}

export interface Subcommand {
  readonly name: string;
  readonly summary: string;
  /** In commander's notation: `<needed>`, `[optional]`; with a description. */
  readonly args?: readonly (readonly [arg: string, description: string])[];
  /** In commander's notation: `--flag <value>`; with a description. */
  readonly options?: readonly (readonly [flags: string, description: string])[];
  /** Resolves with the exit code; a GochatError that it throws is printed and decides it. */
  run(context: SubcommandContext): Promise<number>;
}
