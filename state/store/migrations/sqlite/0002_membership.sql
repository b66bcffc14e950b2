-- Leaving, removing and deleting, in one order with the messages; what a user has read, one cursor for all devices.

alter table conversations add column owner integer references accounts (id);
-- Who joins sees what comes from then on, not what was before.
alter table conversations add column hides_history integer not null default 0;
-- Nobody is in it any more; its messages are being erased, then the row goes.
alter table conversations add column deleted integer not null default 0;

update conversations
set owner = (select user_id from members where conversation = id order by joined_at_ms, user_id limit 1)
where kind = 'room';

alter table members add column read_seq integer not null default 0;

update members
set read_seq = coalesce(
  (select max(c.read_seq) from cursors c where c.user_id = members.user_id and c.conversation = members.conversation), 0
);

alter table cursors drop column read_seq;
delete from cursors where delivered_seq = 0;

-- Who was in a room: may read what came until then, and their clients learn from it that they are out.
create table former_members (
  conversation      integer not null references conversations (id),
  user_id           integer not null references accounts (id),
  visible_after_seq integer not null,
  left_seq          integer not null,
  reason            text not null check (reason in ('left', 'removed')),
  primary key (conversation, user_id)
) strict, without rowid;

create index conversations_deleted on conversations (id) where deleted = 1;
