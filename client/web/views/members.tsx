/** The members of a room: who runs it, who is here, who is away. */
import { useEffect, useState } from 'preact/hooks';
import type { Member, Presence, Role } from '../../sdk/mod.ts';
import type { ConversationRow } from '../../model/mod.ts';
import { Avatar } from '../parts/avatar.tsx';
import { IconButton } from '../parts/icon-button.tsx';
import { Icon } from '../parts/icon.tsx';
import { Problem } from '../parts/problem.tsx';
import { useAttempt } from '../parts/use-attempt.ts';
import { useChat } from '../state/chat.ts';
import { go } from '../state/route.ts';
import { type MenuItem, openMenu } from '../state/screen.ts';
import { t } from '../state/texts.ts';
import { momentOf } from '../state/times.ts';
import { useSource } from '../state/use-source.ts';
import { SidePanel } from './side-panel.tsx';

const RANK: Record<Role, number> = { owner: 2, moderator: 1, member: 0 };

export function Members({ row }: { row: ConversationRow }) {
  const { client, model } = useChat();
  const list = useSource(model.members(row.id));
  const watching = useSource(model.watching);
  const [wanted, want] = useState('');
  const attempt = useAttempt();
  useEffect(() => {
    if (list.members.length === 0) void list.more();
  }, [list]);
  const statusOf = ({ user, online }: Member): Presence['status'] =>
    watching.presence(user)?.status ?? (online ? 'online' : 'offline');
  const found = list.members.filter(({ name, displayName }) =>
    `${displayName} @${name}`.toLocaleLowerCase().includes(wanted.toLocaleLowerCase()),
  );
  const sorted = found.toSorted(
    (a, b) => RANK[b.role] - RANK[a.role] || a.displayName.localeCompare(b.displayName),
  );
  const isRoom = row.kind === 'room';
  const groups: [string, readonly Member[]][] = [
    [t().runThisRoom, sorted.filter(({ role }) => isRoom && role !== 'member')],
    [
      t().hereNow,
      sorted.filter((each) => !(isRoom && each.role !== 'member') && statusOf(each) !== 'offline'),
    ],
    [t().away, sorted.filter((each) => !(isRoom && each.role !== 'member') && statusOf(each) === 'offline')],
  ];
  const actions = (member: Member): readonly MenuItem[] => {
    const { user, name, role } = member;
    const mayChange = isRoom && RANK[row.role] > RANK[role];
    const give = (to: Role): MenuItem => ({
      icon: 'users',
      label: t().makeRole(t().role[to]),
      act: () => void attempt.run(() => client.setRole(row.id, user, to)),
    });
    return [
      {
        icon: 'bubble',
        label: t().message,
        act: () =>
          void attempt.run(async () => {
            const conversation = await client.openDirect(name);
            model.conversations.put(conversation);
            go(conversation.id);
          }),
      },
      ...(mayChange && row.role === 'owner'
        ? (['owner', 'moderator', 'member'] as const).filter((to) => to !== role).map(give)
        : []),
      ...(mayChange
        ? [
            {
              icon: 'door',
              label: t().removeFromRoom,
              isBad: true,
              act: () => void attempt.run(() => client.removeMember(row.id, user)),
            } as const,
          ]
        : []),
    ];
  };
  return (
    <SidePanel title={t().members} count={list.count}>
      <div class="tools-row">
        <label class="input">
          <Icon name="search" small />
          <input
            type="search"
            placeholder={t().findMember}
            aria-label={t().findMember}
            value={wanted}
            onInput={(event) => want(event.currentTarget.value)}
          />
        </label>
      </div>
      <Problem text={attempt.error ?? list.error?.message} />
      <div class="fill people" tabIndex={-1}>
        {groups
          .filter(([, members]) => members.length > 0)
          .map(([title, members]) => (
            <>
              <h3>
                {title} · {members.length}
              </h3>
              <ul aria-label={title}>
                {members.map((member) => (
                  <Person
                    key={member.user}
                    member={member}
                    isMe={member.user === model.me}
                    isRoom={isRoom}
                    presence={
                      watching.presence(member.user) ?? {
                        user: member.user,
                        status: statusOf(member),
                        lastSeenMs: undefined,
                      }
                    }
                    onMenu={(at) => openMenu(t().actionsFor(member.displayName), actions(member), at)}
                  />
                ))}
              </ul>
            </>
          ))}
        {list.hasMore && list.members.length > 0 && (
          <button class="link more" type="button" onClick={() => void list.more()}>
            {t().moreMembers}
          </button>
        )}
      </div>
    </SidePanel>
  );
}

interface PersonProps {
  readonly member: Member;
  readonly isMe: boolean;
  readonly isRoom: boolean;
  readonly presence: Presence;
  readonly onMenu: (at: HTMLElement) => void;
}

function Person({ member, isMe, isRoom, presence, onMenu }: PersonProps) {
  const { user, name, displayName, role } = member;
  const { status, lastSeenMs } = presence;
  return (
    <li class="person">
      <Avatar user={user} name={displayName} size={32} presence={presence} />
      <span class="what">
        <span class="line">
          <b class="cut" dir="auto" title={displayName}>
            {displayName}
          </b>
          {isRoom && role !== 'member' && <span class="tag">{t().role[role]}</span>}
          {isMe && <span class="tag">{t().you}</span>}
        </span>
        <span class="hint cut">@{name}</span>
      </span>
      <span class="hint end">
        <bdi>
          {status === 'idle'
            ? t().idle
            : status === 'offline' && lastSeenMs !== undefined && momentOf(lastSeenMs)}
        </bdi>
      </span>
      {!isMe && (
        <IconButton
          icon="more"
          hasMenu
          label={t().actionsFor(displayName)}
          onClick={(event) => onMenu(event.currentTarget as HTMLElement)}
        />
      )}
    </li>
  );
}
