-- Threads. A reply has kind 8 in messages, so that what counts the messages of the timeline need not look for it; extras has its
-- root and its number in the thread.

create index extras_of_thread on extras (conversation, thread, seq) where thread is not null;

-- replies: the number of the last one.
create table threads (
  conversation integer not null,
  root         integer not null,
  replies      integer not null,
  last_seq     integer not null,
  last_at_ms   integer not null,
  primary key (conversation, root)
) strict, without rowid;

-- Who has written in a thread or its root, or has chosen to follow it or not to, with the read cursor as in members.
create table thread_members (
  conversation integer not null,
  root         integer not null,
  user_id      integer not null,
  following    integer not null,
  read_seq     integer not null,
  read_epoch   integer not null default 0,
  primary key (conversation, root, user_id)
) strict, without rowid;

create index thread_members_of_user on thread_members (user_id, conversation);
