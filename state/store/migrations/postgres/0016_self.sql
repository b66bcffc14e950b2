-- What the devices of a user share, and what others may know of a user.

-- settings: an object of those that the user has set, see proto/settings.ts; the columns repeat two of them for other queries.
-- version: 1 stands for no row. changed_at_ms: by the clock of the node that did it.
create table user_settings (
  user_id        bigint primary key references accounts (id),
  version        bigint not null,
  settings       jsonb not null,
  changed_at_ms  bigint not null,
  invisible      boolean not null generated always as (coalesce((settings ->> 'invisible')::boolean, false)) stored,
  hides_receipts boolean not null generated always as (not coalesce((settings ->> 'receipts')::boolean, true)) stored
);

create index user_settings_changes on user_settings (changed_at_ms);

create table mutes (
  user_id      bigint not null references accounts (id),
  conversation bigint not null references conversations (id),
  until_ms     bigint not null,
  primary key (user_id, conversation)
);

create table drafts (
  user_id      bigint not null references accounts (id),
  conversation bigint not null references conversations (id),
  body         text not null,
  at_ms        bigint not null,
  primary key (user_id, conversation)
) with (fillfactor = 50);

-- When a user's last device ended, or was last logged in.
create table last_seen (
  user_id bigint primary key references accounts (id),
  at_ms   bigint not null
) with (fillfactor = 50);

-- The cursors that others are shown of a user who is invisible: those of when that began.
create table frozen_receipts (
  user_id       bigint not null references accounts (id),
  conversation  bigint not null references conversations (id),
  read_seq      bigint not null,
  read_epoch    bigint not null,
  delivered_seq bigint not null,
  primary key (user_id, conversation)
);

-- For the delivered cursors of a conversation's members.
create index cursors_of_conversation on cursors (conversation, user_id);
