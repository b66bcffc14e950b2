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

-- Appends messages; one row of the answer per row of the arrays, in any order:
--   seq is null        not a member, or no such conversation
--   duplicate          seq, id and at_ms are the original's
--
-- The lock comes first and in id order, so nodes that append at once wait for each other and never deadlock; in READ
-- COMMITTED each later statement sees what the one before in the queue has committed. The settings keep the one plan
-- that scales (an index probe per row) whatever the statistics were when the plan was made.
create function gochat_append(
  p_conversation bigint[], p_sender bigint[], p_client_msg_id text[], p_id bigint[], p_at_ms bigint[], p_body text[]
)
returns table (ord bigint, seq bigint, id bigint, at_ms bigint, duplicate boolean, member_version bigint)
language plpgsql volatile
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
set lock_timeout = '5s'
as $$
#variable_conflict use_column
begin
  if current_setting('synchronous_commit') = 'off' then
    perform set_config('synchronous_commit', 'on', true);
  end if;

  perform 1 from conversations c where c.id = any (p_conversation) order by c.id for no key update;

  return query
  with input as materialized (
    select t.ord, t.conversation, t.sender, t.client_msg_id, t.id, t.at_ms, t.body,
           c.last_seq, c.member_version, m.user_id is not null as member,
           o.seq as old_seq, o.id as old_id, o.at_ms as old_at_ms
    from unnest(p_conversation, p_sender, p_client_msg_id, p_id, p_at_ms, p_body)
           with ordinality as t (conversation, sender, client_msg_id, id, at_ms, body, ord)
    left join conversations c on c.id = t.conversation
    left join members m on m.conversation = t.conversation and m.user_id = t.sender
    left join messages o
      on o.conversation = t.conversation and o.sender = t.sender and o.client_msg_id = t.client_msg_id
  ),
  firsts as (
    select i.*,
           i.member and i.old_seq is null
             and row_number() over (partition by i.conversation, i.sender, i.client_msg_id order by i.ord) = 1 as fresh
    from input i
  ),
  numbered as materialized (
    select f.*,
           f.last_seq + count(*) filter (where f.fresh) over (partition by f.conversation order by f.ord) as new_seq
    from firsts f
  ),
  written as (
    insert into messages (conversation, seq, id, sender, at_ms, client_msg_id, body)
    select n.conversation, n.new_seq, n.id, n.sender, n.at_ms, n.client_msg_id, n.body from numbered n where n.fresh
  ),
  moved as (
    update conversations c
    set last_seq = n.last_seq, active_at_ms = greatest(c.active_at_ms, n.at_ms)
    from (
      select x.conversation, max(x.new_seq) as last_seq, max(x.at_ms) as at_ms
      from numbered x where x.fresh group by x.conversation
    ) n
    where c.id = n.conversation
  )
  select n.ord,
         case when not n.member then null
              when n.old_seq is not null then n.old_seq
              else first_value(n.new_seq) over same end,
         coalesce(n.old_id, first_value(n.id) over same),
         coalesce(n.old_at_ms, first_value(n.at_ms) over same),
         not n.fresh,
         n.member_version
  from numbered n
  window same as (partition by n.conversation, n.sender, n.client_msg_id order by n.ord);
end
$$;
