-- Threads. A reply has kind 8 in messages, so that what counts the messages of the timeline need not look for it; extras has its
-- root and its number in the thread.

create index extras_of_thread on extras (conversation, thread, seq) where thread is not null;

-- replies: the number of the last one.
create table threads (
  conversation bigint not null,
  root         bigint not null,
  replies      bigint not null,
  last_seq     bigint not null,
  last_at_ms   bigint not null,
  primary key (conversation, root)
) with (fillfactor = 80);

-- Who has written in a thread or its root, or has chosen to follow it or not to, with the read cursor as in members.
create table thread_members (
  conversation bigint not null,
  root         bigint not null,
  user_id      bigint not null,
  following    boolean not null,
  read_seq     bigint not null,
  read_epoch   bigint not null default 0,
  primary key (conversation, root, user_id)
) with (fillfactor = 80);

create index thread_members_of_user on thread_members (user_id, conversation);
