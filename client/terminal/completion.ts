/** Completion of what is written: people, rooms, commands. */
import { COMMAND_USAGES } from '../plain/commands.ts';
import type { Model } from '../model/mod.ts';
import { visibleLine } from './text.ts';

const MAX_CHOICES = 50;

export interface Completion {
  /** What is replaced: offset in the text before the cursor. */
  readonly from: number;
  /** What was typed. */
  readonly typed: string;
  readonly choices: readonly { readonly insert: string; readonly shown: string }[];
  readonly selected: number;
}

/** Returns what may stand at the cursor; undefined: nothing does. @param before the text before it */
export function completionsOf(
  before: string,
  model: Model,
  conversation: string | undefined,
): Completion | undefined {
  const typed = /(?:^\/|[@#])[^\s]*$/u.exec(before)?.[0];
  if (typed === undefined) return undefined;
  const from = before.length - typed.length;
  const start = typed.slice(1).toLowerCase();
  const fits = (name: string) => name.toLowerCase().startsWith(start);
  const choices =
    typed[0] === '/'
      ? [...COMMAND_USAGES]
          .filter(([name]) => fits(name))
          .map(([name, { usage, help }]) => ({ insert: `/${name} `, shown: `${usage.padEnd(24)} ${help}` }))
      : typed[0] === '#'
        ? model.conversations
            .rows()
            .filter(({ kind, name }) => kind === 'room' && fits(name))
            .map(({ name }) => ({ insert: `#${name} `, shown: `# ${visibleLine(name)}` }))
        : peopleOf(model, conversation)
            .filter(({ name, displayName }) => fits(name) || fits(displayName))
            .map(({ name, displayName }) => ({
              insert: `@${name} `,
              shown: displayName === name ? `@${name}` : `${visibleLine(displayName)}  @${name}`,
            }));
  return choices.length === 0
    ? undefined
    : { from, typed, choices: choices.slice(0, MAX_CHOICES), selected: 0 };
}

function peopleOf(
  model: Model,
  conversation: string | undefined,
): readonly { readonly name: string; readonly displayName: string }[] {
  const members = conversation === undefined ? [] : model.members(conversation).members;
  const direct = model.conversations
    .rows()
    .filter(({ kind }) => kind === 'direct')
    .map(({ name, title }) => ({ name, displayName: title }));
  const known = [...members, ...direct];
  return known.filter(({ name }, at) => known.findIndex((each) => each.name === name) === at);
}
