-- Accounts, conversations, members, the message log, cursors and signing keys.
--
-- Ids are Snowflakes of the caller. Times are Unix ms. Text that is compared is collated "C": bytes, the fastest, and
-- an upgrade of the system's locales cannot corrupt its indexes.

create table accounts (
  id            bigint primary key,
  name          text collate "C" not null unique,
  password_hash text not null,
  created_at    timestamptz not null default now()
);

-- fillfactor: an append updates last_seq in place (HOT), so no index may name last_seq or active_at_ms.
create table conversations (
  id             bigint primary key,
  kind           text collate "C" not null check (kind in ('direct', 'room')),
  name           text collate "C" unique,
  direct_low     bigint references accounts (id),
  direct_high    bigint references accounts (id),
  last_seq       bigint not null default 0,
  -- Time of the last message, else of the making.
  active_at_ms   bigint not null,
  member_version bigint not null default 1,
  member_count   bigint not null,
  created_at     timestamptz not null default now(),
  unique (direct_low, direct_high),
  check (case kind
    when 'room' then name is not null and direct_low is null and direct_high is null
    else name is null and direct_low <= direct_high
  end)
) with (fillfactor = 80);

create index conversations_rooms on conversations (id) where kind = 'room';

create table members (
  conversation      bigint not null references conversations (id),
  user_id           bigint not null references accounts (id),
  joined_seq        bigint not null,
  visible_after_seq bigint not null default 0,
  joined_at         timestamptz not null default now(),
  primary key (conversation, user_id)
);

create index members_of_user on members (user_id, conversation);

-- The log. Without foreign keys: gochat_append checks membership, which has them.
create table messages (
  conversation  bigint not null,
  seq           bigint not null,
  id            bigint not null,
  sender        bigint not null,
  at_ms         bigint not null,
  client_msg_id text collate "C" not null,
  body          text not null,
  primary key (conversation, seq)
);

create unique index messages_once on messages (conversation, sender, client_msg_id);

-- device '': the user's unnamed devices. 0: not moved yet.
create table cursors (
  user_id       bigint not null references accounts (id),
  device        text collate "C" not null,
  conversation  bigint not null references conversations (id),
  delivered_seq bigint not null,
  read_seq      bigint not null,
  primary key (user_id, device, conversation)
) with (fillfactor = 80);

create table signing_keys (
  kid         text collate "C" primary key,
  private_jwk text not null,
  current     boolean not null,
  created_at  timestamptz not null default now()
);

-- At most one key signs.
create unique index signing_keys_current on signing_keys (current) where current;

-- Appends messages in the arrays' order, in one commit. No two rows may have the same conversation, sender and
-- client_msg_id (messages_once would reject them). Answers with one row:
--   seqs            per message its seq, 0 where the sender is not a member or there is no such conversation
--   member_versions per message the conversation's member version
--   duplicates      positions (from 1) of the messages that had been appended before; their seqs are the originals'
--   original_ids, original_at_ms   of those, in the same order
--
-- The lock comes first and in id order, so nodes that append at once wait for each other and never deadlock; in READ
-- COMMITTED the statement after it sees what those before in the queue have committed. The settings keep the one plan
-- that scales, an index probe per row, whatever the statistics were when the plan was made.
create function gochat_append(
  p_conversations bigint[], p_senders bigint[], p_client_msg_ids text[], p_ids bigint[], p_at_ms bigint[],
  p_bodies text[]
)
returns table (
  seqs bigint[], member_versions bigint[], duplicates bigint[], original_ids bigint[], original_at_ms bigint[]
)
language plpgsql volatile
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
set work_mem = '32MB'
set lock_timeout = '5s'
as $$
begin
  -- An acknowledged message is durable also where the server's default is otherwise.
  if current_setting('synchronous_commit') = 'off' then
    perform set_config('synchronous_commit', 'on', true);
  end if;

  perform from conversations c where c.id = any (p_conversations) order by c.id for no key update;

  return query
  with numbered as materialized (
    select t.ord, t.conversation, t.sender, t.client_msg_id, t.id, t.at_ms, t.body,
           c.member_version,
           m.user_id is not null as is_member,
           m.user_id is not null and o.seq is null as is_new,
           o.seq as original_seq, o.id as original_id, o.at_ms as original_at_ms,
           c.last_seq + count(*) filter (where m.user_id is not null and o.seq is null)
             over (partition by t.conversation order by t.ord) as new_seq
    from unnest(p_conversations, p_senders, p_client_msg_ids, p_ids, p_at_ms, p_bodies)
           with ordinality as t (conversation, sender, client_msg_id, id, at_ms, body, ord)
    left join conversations c on c.id = t.conversation
    left join members m on m.conversation = t.conversation and m.user_id = t.sender
    left join messages o
      on o.conversation = t.conversation and o.sender = t.sender and o.client_msg_id = t.client_msg_id
  ),
  written as (
    insert into messages (conversation, seq, id, sender, at_ms, client_msg_id, body)
    select n.conversation, n.new_seq, n.id, n.sender, n.at_ms, n.client_msg_id, n.body
    from numbered n where n.is_new
  ),
  moved as (
    update conversations c
    set last_seq = x.last_seq, active_at_ms = greatest(c.active_at_ms, x.at_ms)
    from (
      select n.conversation, max(n.new_seq) as last_seq, max(n.at_ms) as at_ms
      from numbered n where n.is_new group by n.conversation
    ) x
    where c.id = x.conversation
  )
  select array_agg(case when n.is_member then coalesce(n.original_seq, n.new_seq) else 0 end),
         array_agg(coalesce(n.member_version, 0)),
         array_agg(n.ord) filter (where n.is_member and not n.is_new),
         array_agg(n.original_id) filter (where n.is_member and not n.is_new),
         array_agg(n.original_at_ms) filter (where n.is_member and not n.is_new)
  from (select * from numbered order by ord) n;
end
$$;
