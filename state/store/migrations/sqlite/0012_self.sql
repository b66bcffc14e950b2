-- What the devices of a user share, and what others may know of a user.

-- settings: an object of those that the user has set, see proto/settings.ts; the columns repeat two of them for other queries.
-- version: 1 stands for no row. changed_at_ms: by the clock of the node that did it.
create table user_settings (
  user_id        integer primary key references accounts (id),
  version        integer not null,
  settings       text not null,
  changed_at_ms  integer not null,
  invisible      integer not null generated always as (coalesce(settings ->> 'invisible', 0)) stored,
  hides_receipts integer not null generated always as (not coalesce(settings ->> 'receipts', 1)) stored
) strict;

create index user_settings_changes on user_settings (changed_at_ms);

create table mutes (
  user_id      integer not null references accounts (id),
  conversation integer not null references conversations (id),
  until_ms     integer not null,
  primary key (user_id, conversation)
) strict, without rowid;

create table drafts (
  user_id      integer not null references accounts (id),
  conversation integer not null references conversations (id),
  body         text not null,
  at_ms        integer not null,
  primary key (user_id, conversation)
) strict, without rowid;

-- When a user's last device ended, or was last logged in.
create table last_seen (
  user_id integer primary key references accounts (id),
  at_ms   integer not null
) strict;

-- The cursors that others are shown of a user who is invisible: those of when that began.
create table frozen_receipts (
  user_id       integer not null references accounts (id),
  conversation  integer not null references conversations (id),
  read_seq      integer not null,
  read_epoch    integer not null,
  delivered_seq integer not null,
  primary key (user_id, conversation)
) strict, without rowid;

-- For the delivered cursors of a conversation's members.
create index cursors_of_conversation on cursors (conversation, user_id);
