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

-- Nodes of the release before, which work on beside the others for some time, make owners in conversations.owner alone: who
-- makes a room, who joins an empty one, and who is next when an owner leaves. Each comes with a row of members that is made or
-- goes, so that the triggers are there: those of conversations would cost every append. Deferred, as owner may be set later.
create function gochat_owner_role() returns trigger
language plpgsql
as $$
begin
  update members m
  set role = 2
  from conversations c
  where c.id = coalesce(new.conversation, old.conversation) and c.kind = 'room'
    and m.conversation = c.id and m.user_id = c.owner and m.role < 2;
  return null;
end
$$;

create constraint trigger members_owner_comes
after insert on members deferrable initially deferred
for each row when (new.role = 0) execute function gochat_owner_role();

create constraint trigger members_owner_goes
after delete on members deferrable initially deferred
for each row when (old.role = 2) execute function gochat_owner_role();
