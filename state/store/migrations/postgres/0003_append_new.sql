-- Appends messages that are expected to be new and of members, as nearly all are: without the probes and sorts that
-- gochat_append needs to find out. Answers with one row: per conversation the last seq before its messages and the member
-- version; nulls, and nothing is written, where a message is a repetition, a sender is no member or there is no such
-- conversation. gochat_append then decides.
--
--   p_conversations   each once, ascending: locks are taken in this order, as gochat_append takes them
--   p_counts          per conversation how many messages it gets
--   p_active_at_ms    per conversation the time of the newest
--   p_places, p_members   who sends: position (from 1) of the conversation, and the user
--   p_senders         per message the position of its sender in p_members
--   p_offsets         per message its place among those of its conversation, from 1
--
-- The update comes first: it takes the rows' locks and in READ COMMITTED reads what those before in the queue have
-- committed, and the statements after it see their members. The settings are those of gochat_append.
create function gochat_append_new(
  p_conversations bigint[], p_counts bigint[], p_active_at_ms bigint[], p_places bigint[], p_members bigint[],
  p_senders bigint[], p_offsets bigint[], p_client_msg_ids text[], p_ids bigint[], p_at_ms bigint[], p_bodies text[]
)
returns table (bases bigint[], member_versions bigint[])
language plpgsql volatile
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
set work_mem = '32MB'
set lock_timeout = '5s'
as $$
declare
  found_members bigint;
begin
  if current_setting('synchronous_commit') = 'off' then
    perform set_config('synchronous_commit', 'on', true);
  end if;

  begin
    with moved as (
      update conversations c
      set last_seq = c.last_seq + x.count, active_at_ms = greatest(c.active_at_ms, x.at_ms)
      from unnest(p_conversations, p_counts, p_active_at_ms) as x (id, count, at_ms)
      where c.id = x.id
      returning c.id, c.last_seq - x.count as base, c.member_version
    )
    select array_agg(m.base), array_agg(m.member_version) into bases, member_versions
    from (select * from moved order by id) m;

    select count(*) into found_members
    from unnest(p_places, p_members) as x (place, user_id)
    join members m on m.conversation = p_conversations[x.place] and m.user_id = x.user_id;

    if found_members < cardinality(p_members) or cardinality(bases) is distinct from cardinality(p_conversations) then
      raise no_data_found;
    end if;

    insert into messages (conversation, seq, id, sender, at_ms, client_msg_id, body)
    select p_conversations[p_places[x.sender]], bases[p_places[x.sender]] + x.place, x.id, p_members[x.sender],
           x.at_ms, x.client_msg_id, x.body
    from unnest(p_senders, p_offsets, p_client_msg_ids, p_ids, p_at_ms, p_bodies)
           as x (sender, place, client_msg_id, id, at_ms, body);
  exception
    when unique_violation or no_data_found then
      bases := null;
      member_versions := null;
  end;
  return next;
end
$$;
