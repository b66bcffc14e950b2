/** A process of clients: executes the run's commands from IPC and writes their history. */
import type { SystemUrls } from '../harness/gochat.ts';
import { History } from './history.ts';
import { type DeedWeights, type Expectation, Workload } from './workload.ts';

/** Messages from the run to a driver; each is answered with its result. */
export type Command =
  | {
      readonly do: 'begin';
      readonly historyPath: string;
      readonly seed: number;
      readonly users: readonly string[];
      readonly everyone: readonly string[];
      readonly urls: SystemUrls;
      readonly admins: readonly string[];
      readonly rooms: number;
      readonly hiddenRooms: number;
      readonly sendsPerSecond: number;
      readonly atOnce: number;
      readonly deedsPerSecond: number;
      readonly deeds: DeedWeights;
    }
  | { readonly do: 'quiesce'; readonly deadlineMs: number }
  | { readonly do: 'converge'; readonly expected: Expectation; readonly deadlineMs: number }
  | {
      readonly do: 'say';
      readonly conversations: Readonly<Record<string, readonly string[]>>;
      readonly deadlineMs: number;
    }
  | {
      readonly do: 'settle';
      readonly expected: Expectation;
      readonly cursors: Readonly<Record<string, number>>;
    }
  | {
      readonly do: 'watched';
      readonly expected: Expectation;
      readonly cursors: Readonly<Record<string, number>>;
      /** Whether to record what is wrong. */
      readonly isLast: boolean;
    }
  | { readonly do: 'views'; readonly expected: Expectation }
  | { readonly do: 'end' };

export type Answer = { readonly result: number } | { readonly error: string };

let history: History | undefined;
let workload: Workload | undefined;
let working: Promise<void> | undefined;

async function execute(command: Command): Promise<number> {
  if (command.do === 'begin') {
    history = new History(command.historyPath);
    workload = new Workload({ ...command, history });
    await workload.start();
    working = workload.run();
    return 0;
  }
  if (workload === undefined || history === undefined) throw new Error('not begun');
  switch (command.do) {
    case 'quiesce':
      await workload.stop(command.deadlineMs);
      await working;
      return 0;
    case 'converge':
      return await workload.converge(command.expected, command.deadlineMs);
    case 'say':
      await workload.say(command.conversations, command.deadlineMs);
      return 0;
    case 'settle':
      return workload.settle(command.expected, command.cursors);
    case 'watched':
      return workload.watched(command.expected, command.cursors, command.isLast);
    case 'views':
      await workload.views(command.expected);
      return 0;
    case 'end':
      workload.halt();
      await history.close();
      return 0;
    default:
      throw new Error('not a command');
  }
}

process.on('message', (command: Command) => {
  execute(command).then(
    (result) => answer({ result }),
    (error: unknown) =>
      answer({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
  );
});
// Its clients live on after the last command; they end with the process.
process.on('disconnect', () => process.exit());

function answer(answer: Answer): void {
  process.send?.(answer);
}
