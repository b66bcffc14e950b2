/** The interface of a subcommand of `gochat ctl`. */
import type { AdminClient } from './admin-client.ts';

/** The context of a subcommand. */
export interface SubcommandContext {
  readonly client: AdminClient;
  /** Arguments in the order of `args`; undefined if an optional one is missing. */
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
  /** Resolves with the exit code. A GochatError that it throws is printed and determines it. */
  run(context: SubcommandContext): Promise<number>;
}
