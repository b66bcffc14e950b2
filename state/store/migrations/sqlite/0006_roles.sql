-- Roles of a room's members: 0 member, 1 moderator, 2 owner (ROLES in state/policy.ts).
--
-- conversations.owner stays: of a room it is one of the owners, of a deleted one who deleted it, of a direct conversation
-- who opened it.

alter table members add column role integer not null default 0;

update members
set role = 2
where exists (
  select 1 from conversations c
  where c.id = members.conversation and c.owner = members.user_id and c.kind = 'room'
);

create index members_of_rank on members (conversation) where role > 0;
