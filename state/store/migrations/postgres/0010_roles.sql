-- Roles of a room's members: 0 member, 1 moderator, 2 owner (ROLES in state/policy.ts).
--
-- conversations.owner stays: of a room it is one of the owners, of a deleted one who deleted it, of a direct conversation
-- who opened it.

alter table members add column role smallint not null default 0;

update members m
set role = 2
from conversations c
where c.id = m.conversation and c.owner = m.user_id and c.kind = 'room';

create index members_of_rank on members (conversation) where role > 0;

-- Nodes of the release before, which work on beside the others for some time, make owners in conversations.owner alone.
-- Deferred: they insert the room before its first member. An append does not set owner, so that it fires nothing.
create function gochat_owner_role() returns trigger
language plpgsql
as $$
begin
  update members set role = 2 where conversation = new.id and user_id = new.owner and role < 2;
  return null;
end
$$;

create constraint trigger conversations_owner_role
after insert or update of owner on conversations
deferrable initially deferred
for each row when (new.kind = 'room' and new.owner is not null)
execute function gochat_owner_role();
