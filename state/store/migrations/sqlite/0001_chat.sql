-- Accounts, conversations, members, the message log, cursors and signing keys.
--
-- Ids are Snowflakes of the caller. Times are Unix ms.

create table accounts (
  id            integer primary key,
  name          text not null unique,
  password_hash text not null,
  created_at_ms integer not null default (unixepoch() * 1000)
) strict;

create table conversations (
  id             integer primary key,
  kind           text not null check (kind in ('direct', 'room')),
  name           text unique,
  direct_low     integer references accounts (id),
  direct_high    integer references accounts (id),
  last_seq       integer not null default 0,
  -- Time of the last message, else of the making.
  active_at_ms   integer not null,
  member_version integer not null default 1,
  member_count   integer not null,
  created_at_ms  integer not null default (unixepoch() * 1000),
  unique (direct_low, direct_high),
  check (case kind
    when 'room' then name is not null and direct_low is null and direct_high is null
    else name is null and direct_low <= direct_high
  end)
) strict;

create index conversations_rooms on conversations (id) where kind = 'room';

create table members (
  conversation      integer not null references conversations (id),
  user_id           integer not null references accounts (id),
  joined_seq        integer not null,
  visible_after_seq integer not null default 0,
  joined_at_ms      integer not null default (unixepoch() * 1000),
  primary key (conversation, user_id)
) strict, without rowid;

create index members_of_user on members (user_id, conversation);

-- The log, clustered by conversation: a page of history is one range. Without foreign keys: append checks membership,
-- which has them.
create table messages (
  conversation  integer not null,
  seq           integer not null,
  id            integer not null,
  sender        integer not null,
  at_ms         integer not null,
  client_msg_id text not null,
  body          text not null,
  primary key (conversation, seq)
) strict, without rowid;

create unique index messages_once on messages (conversation, sender, client_msg_id);

-- device '': the user's unnamed devices. 0: not moved yet.
create table cursors (
  user_id       integer not null references accounts (id),
  device        text not null,
  conversation  integer not null references conversations (id),
  delivered_seq integer not null,
  read_seq      integer not null,
  primary key (user_id, device, conversation)
) strict, without rowid;

create table signing_keys (
  kid           text primary key,
  private_jwk   text not null,
  current       integer not null,
  created_at_ms integer not null default (unixepoch() * 1000)
) strict;

-- At most one key signs.
create unique index signing_keys_current on signing_keys (current) where current = 1;
