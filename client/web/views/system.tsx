/** What the server has recorded: who came, who went, who became what. */
import type { SystemEntry } from '../../sdk/mod.ts';
import { Icon } from '../parts/icon.tsx';
import { memo } from '../parts/memo.ts';
import { t } from '../state/texts.ts';
import { fullTimeOf } from '../state/times.ts';

export const System = memo(function System({ entry }: { entry: SystemEntry }) {
  const text = textOf(entry);
  return text === undefined ? null : (
    <p class="system" data-seq={entry.seq} title={fullTimeOf(entry.atMs)}>
      <Icon name="users" small />
      <span>{text}</span>
    </p>
  );
});

function textOf({ event, name, from, role }: SystemEntry): string | undefined {
  switch (event) {
    case 'joined':
      return t().joined(name);
    case 'left':
      return t().left(name);
    case 'removed':
      return t().removed(name, from);
    case 'role':
      return role && t().roleGiven(name, t().role[role]);
    default:
      return undefined;
  }
}
