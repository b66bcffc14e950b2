-- Appends messages in the arrays' order, in one commit; what is refused or had been appended before costs only itself.
-- It takes the place of gochat_append and gochat_append_new, which nodes of the release before still call.
--
--   p_conversations   each once, ascending: locks are taken in this order, as those functions and all nodes take them
--   p_counts          per conversation how many messages it gets
--   p_active_at_ms    per conversation the time of the newest
--   p_places, p_members   who sends: position (from 1) of the conversation, and the user
--   p_senders         per message the position of its sender in p_members
--   p_offsets         per message its place among those of its conversation, from 1
--   p_suspects        positions of messages that may be repetitions, ascending; null: none is expected to be one
--
-- No two messages may have the same sender position and client_msg_id. Answers with one row:
--
--   bases, member_versions   per conversation the last seq before its messages (null: there is no such conversation) and
--                            the member version. What is new follows in the arrays' order, without a hole
--   refused           positions of the messages that are new and whose sender is no member; null: none
--   repetitions       positions of the messages that had been appended before; null: none
--   original_seqs, original_ids, original_at_ms   of those, in the same order
--
-- The update comes first: it takes the rows' locks and in READ COMMITTED reads what those before in the queue have
-- committed, and the statements after it see their members and messages. It counts on all messages being new and of
-- members, as nearly all are; where some are not, the rows of their conversations are put right. A repetition among those
-- that were not suspected violates messages_once: then all are looked up, once.
--
-- The settings keep the one plan that scales, an index probe per row, whatever the statistics were when the plan was made.
create function gochat_append_all(
  p_conversations bigint[], p_counts bigint[], p_active_at_ms bigint[], p_places bigint[], p_members bigint[],
  p_senders bigint[], p_offsets bigint[], p_client_msg_ids text[], p_ids bigint[], p_at_ms bigint[], p_bodies text[],
  p_suspects bigint[]
)
returns table (
  bases bigint[], member_versions bigint[], refused bigint[],
  repetitions bigint[], original_seqs bigint[], original_ids bigint[], original_at_ms bigint[]
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
declare
  found_ids bigint[];
  -- Positions in p_members of those who are none, then of their messages.
  strangers bigint[];
  strange bigint[];
  suspects bigint[] := p_suspects;
  -- Positions of the messages that are not written; null: all are.
  dropped bigint[];
  is_written boolean[];
begin
  -- An acknowledged message is durable, on the standby too where there is one, also where the server's default is less.
  if current_setting('synchronous_commit') not in ('on', 'remote_apply') then
    perform set_config('synchronous_commit', 'on', true);
  end if;

  with moved as (
    update conversations c
    set last_seq = c.last_seq + x.count, active_at_ms = greatest(c.active_at_ms, x.at_ms)
    from unnest(p_conversations, p_counts, p_active_at_ms) as x (id, count, at_ms)
    where c.id = x.id
    returning c.id, c.last_seq - x.count as base, c.member_version
  )
  select array_agg(m.id), array_agg(m.base), array_agg(m.member_version) into found_ids, bases, member_versions
  from (select * from moved order by id) m;

  if cardinality(found_ids) is distinct from cardinality(p_conversations) then
    -- A place also for what there is not. Of what was locked alone: the rest may appear only now.
    select array_agg(c.base), array_agg(c.member_version) into bases, member_versions
    from (
      select max(u.base) as base, max(u.member_version) as member_version
      from (
        select id, null::bigint as base, null::bigint as member_version from unnest(p_conversations) as p (id)
        union all
        select * from unnest(found_ids, bases, member_versions)
      ) u (id, base, member_version)
      group by u.id order by u.id
    ) c;
  end if;

  select array_agg(x.n) into strangers
  from unnest(p_places, p_members) with ordinality as x (place, user_id, n)
  where bases[x.place] is null or not exists (
    select from members m where m.conversation = p_conversations[x.place] and m.user_id = x.user_id
  );

  if strangers is not null then
    declare
      is_stranger boolean[] := array_fill(false, array[cardinality(p_members)]);
      n bigint;
    begin
      foreach n in array strangers loop is_stranger[n] := true; end loop;
      select array_agg(x.n) into strange
      from unnest(p_senders) with ordinality as x (sender, n) where is_stranger[x.sender];
    end;
  end if;

  loop
    -- A repetition is acknowledged also to a sender who has left since: it is in the log.
    if suspects is not null or strange is not null then
      select array_agg(x.n), array_agg(x.seq), array_agg(x.id), array_agg(x.at_ms)
      into repetitions, original_seqs, original_ids, original_at_ms
      from (
        select s.n, o.seq, o.id, o.at_ms
        from (select unnest(suspects) union select unnest(strange)) as s (n)
        join messages o on o.conversation = p_conversations[p_places[p_senders[s.n]]]
          and o.sender = p_members[p_senders[s.n]] and o.client_msg_id = p_client_msg_ids[s.n]
        order by s.n
      ) x;
      select array_agg(s.n) into refused from (
        select unnest(strange) as n except select unnest(repetitions) order by 1
      ) s;
    end if;

    dropped := refused || repetitions;
    if dropped is not null then
      declare
        n bigint;
      begin
        is_written := array_fill(true, array[cardinality(p_ids)]);
        foreach n in array dropped loop is_written[n] := false; end loop;
      end;
    end if;

    begin
      if dropped is null then
        insert into messages (conversation, seq, id, sender, at_ms, client_msg_id, body)
        select p_conversations[p_places[x.sender]], bases[p_places[x.sender]] + x.place, x.id, p_members[x.sender],
               x.at_ms, x.client_msg_id, x.body
        from unnest(p_senders, p_offsets, p_client_msg_ids, p_ids, p_at_ms, p_bodies)
               as x (sender, place, client_msg_id, id, at_ms, body);
      else
        insert into messages (conversation, seq, id, sender, at_ms, client_msg_id, body)
        select p_conversations[x.place], bases[x.place] + row_number() over (partition by x.place order by x.n),
               x.id, p_members[x.sender], x.at_ms, x.client_msg_id, x.body
        from (
          select p_places[m.sender] as place, m.*
          from unnest(p_senders, p_client_msg_ids, p_ids, p_at_ms, p_bodies) with ordinality
                 as m (sender, client_msg_id, id, at_ms, body, n)
          where is_written[m.n]
        ) x;
      end if;
      exit;
    exception
      when unique_violation then
        if cardinality(suspects) = cardinality(p_ids) then raise; end if;
        select array_agg(n) into suspects from generate_series(1, cardinality(p_ids)) n;
    end;
  end loop;

  if dropped is not null then
    update conversations c
    set last_seq = c.last_seq - x.count,
        -- Of the last message, which may be one from before, else of the making.
        active_at_ms = coalesce(
          (select o.at_ms from messages o where o.conversation = c.id and o.seq = c.last_seq - x.count),
          floor(extract(epoch from c.created_at) * 1000)
        )
    from (
      select p_conversations[p_places[p_senders[d.n]]] as id, count(*) as count
      from unnest(dropped) as d (n) group by 1 order by 1
    ) x
    where c.id = x.id;
  end if;
  return next;
end
$$;
