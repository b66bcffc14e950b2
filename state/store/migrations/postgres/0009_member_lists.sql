-- Members of many conversations in one statement: a node that has just started meets thousands of conversations a second.
-- It takes the place of gochat_members, which nodes of the release before still call.
--
--   p_conversations   in the order of the answer; one may stand there twice
--   p_most            the answer ends before the conversation that follows so many members
--
-- Answers with a row per member, n being the conversation's position from 1; a conversation without members, or without
-- a row of its own, has one row with nulls. Positions beyond the answer's end have none. The settings keep the one plan
-- that scales, as in gochat_append_all.
create function gochat_member_lists(p_conversations bigint[], p_most bigint)
returns table (n bigint, version bigint, user_id bigint, visible_after_seq bigint)
language plpgsql stable
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
begin
  return query
  with asked as materialized (
    select t.n, c.id, c.member_version,
           coalesce(sum(c.member_count) over (order by t.n rows between unbounded preceding and 1 preceding), 0) as before
    from unnest(p_conversations) with ordinality as t (id, n)
    left join conversations c on c.id = t.id
  )
  select asked.n, asked.member_version, m.user_id, m.visible_after_seq
  from asked
  left join members m on m.conversation = asked.id
  where asked.before < p_most
  order by asked.n, m.user_id;
end
$$;
