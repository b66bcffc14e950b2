-- Leaving, removing and deleting, in one order with the messages; what a user has read, one cursor for all devices.

alter table conversations
  add column owner bigint references accounts (id),
  -- Who joins sees what comes from then on, not what was before.
  add column hides_history boolean not null default false,
  -- Nobody is in it any more; its messages are being erased, then the row goes.
  add column deleted boolean not null default false;

update conversations c
set owner = (select m.user_id from members m where m.conversation = c.id order by m.joined_at, m.user_id limit 1)
where c.kind = 'room';

create index conversations_deleted on conversations (id) where deleted;

-- fillfactor: read_seq is updated in place (HOT).
alter table members add column read_seq bigint not null default 0;
alter table members set (fillfactor = 90);

update members m
set read_seq = x.read_seq
from (select user_id, conversation, max(read_seq) as read_seq from cursors group by 1, 2) x
where x.user_id = m.user_id and x.conversation = m.conversation and x.read_seq > 0;

alter table cursors drop column read_seq;
delete from cursors where delivered_seq = 0;

-- Who was in a room: may read what came until then, and their clients learn from it that they are out.
create table former_members (
  conversation      bigint not null references conversations (id),
  user_id           bigint not null references accounts (id),
  visible_after_seq bigint not null,
  left_seq          bigint not null,
  reason            text collate "C" not null check (reason in ('left', 'removed')),
  primary key (conversation, user_id)
);

-- Appends messages in the arrays' order, in one commit. No two rows may have the same conversation, sender and
-- client_msg_id (messages_once would reject them). Answers with one row:
--   seqs            per message its seq; 0 where it is new and the sender is not a member, or there is no conversation
--   member_versions per message the conversation's member version
--   duplicates      positions (from 1) of the messages that had been appended before; their seqs are the originals'
--   original_ids, original_at_ms   of those, in the same order
--
-- The lock comes first and in id order, so nodes that append at once wait for each other and never deadlock; in READ
-- COMMITTED the statement after it sees what those before in the queue have committed. The settings keep the one plan
-- that scales, an index probe per row, whatever the statistics were when the plan was made.
create or replace function gochat_append(
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
           -- A repetition is acknowledged also to a sender who has left since: it is in the log.
           m.user_id is not null or o.seq is not null as is_answered,
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
  select array_agg(case when n.is_answered then coalesce(n.original_seq, n.new_seq) else 0 end),
         array_agg(coalesce(n.member_version, 0)),
         array_agg(n.ord) filter (where n.is_answered and not n.is_new),
         array_agg(n.original_id) filter (where n.is_answered and not n.is_new),
         array_agg(n.original_at_ms) filter (where n.is_answered and not n.is_new)
  from (select * from numbered order by ord) n;
end
$$;
