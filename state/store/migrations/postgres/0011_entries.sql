-- Entries: the log carries edits, retractions, pins and what the server records, beside messages. Numbers of kinds are
-- indexes in ENTRY_KINDS (state/store/store.ts); 0 is a message of the timeline, 8 one that is a reply in a thread.
--
-- Nodes of the release before must have stopped: what only they called is dropped.

drop trigger members_owner_comes on members;
drop trigger members_owner_goes on members;
drop function gochat_owner_role();
drop function gochat_append(bigint[], bigint[], text[], bigint[], bigint[], text[]);
drop function gochat_append_new(
  bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], text[], bigint[], bigint[], text[]
);
drop function gochat_append_all(
  bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], text[], bigint[], bigint[], text[], bigint[]
);
drop function gochat_members(bigint[], bigint);

alter table accounts
  add column display_name  text not null default '',
  -- Unix time of the last change of the display name.
  add column renamed_at_ms bigint not null default 0;

create index accounts_renamed on accounts (renamed_at_ms) where renamed_at_ms > 0;

-- Who joins again goes on where they had read.
alter table former_members add column read_seq bigint not null default 0;

-- No index may name any of these: an append updates them in place (HOT). What it changes stands together: the WAL gets all
-- from the first to the last that differs.
alter table conversations
  -- Time and number of the last entry and of the last message; active_at_ms is the time of the latter.
  add column last_at_ms       bigint not null default 0,
  add column last_message_seq bigint not null default 0,
  -- last_at_ms before the last append, for those of which nothing was written.
  add column prior_at_ms      bigint not null default 0,
  -- Number of entries that do not count as unread: all but messages.
  add column skipped          bigint not null default 0,
  -- Entries up to floor_seq are no longer kept; floor_skipped of them do not count as unread.
  add column floor_seq        bigint not null default 0,
  add column floor_skipped    bigint not null default 0,
  -- Seq of the last entry that changed the pins.
  add column pins_version     bigint not null default 0;

update conversations set last_at_ms = active_at_ms, last_message_seq = last_seq;

-- fillfactor: an edit or a retraction changes a text in place (HOT) while there is room.
alter table messages
  add column kind      smallint not null default 0,
  -- Seq of the last entry that has changed the message, an edit or the retraction; null: none has.
  add column version   bigint,
  add column retracted boolean not null default false;
alter table messages set (fillfactor = 90);

-- What an entry has beyond a plain message. These tables have no foreign keys, as messages has none.
create table extras (
  conversation  bigint not null,
  seq           bigint not null,
  -- Number of entries up to this one, itself included, that do not count as unread.
  skipped       bigint not null,
  -- Seq of the message that it concerns or quotes; 0: none.
  target        bigint not null,
  -- Of a reply in a thread: the root's seq, and its number in the thread.
  thread        bigint,
  thread_number bigint,
  -- JSON, see EntryMeta in entry-meta.ts.
  meta          text,
  primary key (conversation, seq)
);

-- Earlier texts of edited messages; messages.body is the newest. version: seq of the entry that brought the text.
create table revisions (
  conversation bigint not null,
  seq          bigint not null,
  version      bigint not null,
  body         text not null,
  primary key (conversation, seq, version)
);

create table pins (
  conversation bigint not null,
  seq          bigint not null,
  entry_seq    bigint not null,
  primary key (conversation, seq)
);

-- What is hidden and has to be erased: messages of a sender in a range that the entry has retracted, or (entry and sender
-- are 0) all entries up to a floor.
create table erasures (
  conversation      bigint not null,
  entry_seq         bigint not null,
  sender            bigint not null,
  from_seq          bigint not null,
  to_seq            bigint not null,
  -- Null: the messages leave no evidence.
  evidence_until_ms bigint,
  primary key (conversation, entry_seq)
);

-- What moderators have retracted; it outlives the conversation.
create table evidence (
  conversation  bigint not null,
  seq           bigint not null,
  sender        bigint not null,
  at_ms         bigint not null,
  -- JSON array of all texts, the oldest first.
  texts         text not null,
  -- The retraction.
  entry_seq     bigint not null,
  by_user       bigint not null,
  by_at_ms      bigint not null,
  reason        text not null,
  expires_at_ms bigint not null,
  primary key (conversation, seq)
);

create index evidence_expiry on evidence (expires_at_ms);

-- Which conversations have got entries, a row per commit, while there are consumers. Ordered by (xid, id) below the oldest
-- running transaction.
create table feed (
  id            bigint generated always as identity primary key,
  xid           xid8 not null default pg_current_xact_id(),
  conversations bigint[] not null,
  first_seqs    bigint[] not null,
  last_seqs     bigint[] not null
);

alter table feed
  alter column conversations set storage external,
  alter column first_seqs set storage external,
  alter column last_seqs set storage external;

create index feed_order on feed (xid, id);

-- How far a consumer has read, per slot of the conversations' hash.
create table consumers (
  name     text collate "C" not null,
  slot     smallint not null,
  xid      xid8 not null,
  feed_id  bigint not null,
  moved_at timestamptz not null default now(),
  primary key (name, slot)
);

-- Appends entries in the arrays' order, in one commit; what is refused or had been appended before costs only itself.
--
--   p_conversations   each once, ascending: locks are taken in this order, as all nodes take them
--   p_counts, p_at_ms   per conversation how many entries it gets, and their time
--   p_places, p_members   who sends: position (from 1) of the conversation, and the user
--   p_senders         per entry the position of its sender in p_members
--   p_offsets         per entry its place among those of its conversation, from 1
--   p_client_msg_ids, p_ids, p_bodies   per entry
--   p_suspects        positions of entries that may be repetitions, ascending; null: none is expected to be one
--
-- Where all are plain messages, the following are null but for the rules:
--
--   p_messages, p_skips   per conversation the place of the last message among its entries (0: none), and the number of
--                     those that are none
--   p_kinds           per entry
--   p_entries         positions of what is not a plain message, ascending. For each of these:
--   p_entry_skips     how many entries of its conversation up to it, itself included, are no messages
--   p_targets         seq of the message that it concerns or quotes, or of the root of its thread; 0 for a range
--   p_target_ids      instead: client_msg_id of a message of the same sender; null: none
--   p_texts, p_metas  text of an edit; see extras.meta
--   p_range_senders, p_range_firsts, p_range_lasts   of the retraction of a range, else null
--   p_edit_window_ms, p_pin, p_retract, p_evidence_ms   EntryRules
--   p_has_feed        whether to write a row of the feed
--
-- No two entries may have the same sender position and client_msg_id; append-parts.ts says which entries may come together.
-- Answers with one row:
--
--   bases, times, member_versions   per conversation the last seq before its entries (null: there is no such conversation),
--                     the time that they get, and the member version. What is new follows in the arrays' order, without a
--                     hole
--   refused           positions of the entries that are new, were not refused before, and whose sender is no member; null:
--                     none
--   repetitions       positions of the entries that had been appended before; null: none
--   original_seqs, original_ids, original_at_ms, original_targets   of those, in the same order
--   deferred          positions of the entries that were left out, to be appended next: one whose target comes with it, by its
--                     seq, and what follows it in its conversation; null: none
--   rejected, codes   positions of the entries that are refused for another reason, or were refused before, with the codes
--                     (SendRefusal); null: none
--   targets           per entry of p_entries; null: there are none
--   quotes            JSON array of [position, sender, text, version] of quoted messages; null: none
--
-- The update comes first: it takes the rows' locks and in READ COMMITTED reads what those before in the queue have
-- committed, and the statements after it see their members and messages. It counts on all entries being new and allowed, as
-- nearly all are; where some are not, the rows of their conversations are put right. What would be rejected is looked up
-- first. A repetition among the rest that was not suspected violates messages_once: then all are looked up, once.
--
-- All that is read and written of refusals is of conversations whose rows are locked, so an entry is in messages or in
-- refusals, never in both, whatever other nodes append.
--
-- Arrays are read by position, which costs half of what unnest costs; with "offset 0" an element is read once.
--
-- The settings keep the one plan that scales, an index probe per row, whatever the statistics were when the plan was made.
create function gochat_append(
  p_conversations bigint[], p_counts bigint[], p_at_ms bigint[], p_places bigint[], p_members bigint[],
  p_senders bigint[], p_offsets bigint[], p_client_msg_ids text[], p_ids bigint[], p_bodies text[],
  p_suspects bigint[],
  p_messages bigint[], p_skips bigint[], p_kinds smallint[],
  p_entries bigint[], p_entry_skips bigint[], p_targets bigint[], p_target_ids text[], p_texts text[], p_metas text[],
  p_range_senders bigint[], p_range_firsts bigint[], p_range_lasts bigint[],
  p_edit_window_ms bigint, p_pin smallint, p_retract smallint, p_evidence_ms bigint, p_has_feed boolean
)
returns table (
  bases bigint[], times bigint[], member_versions bigint[], refused bigint[],
  repetitions bigint[], original_seqs bigint[], original_ids bigint[], original_at_ms bigint[],
  original_targets bigint[], deferred bigint[], rejected bigint[], codes text[], targets bigint[], quotes json
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
  -- Per conversation, unless all are plain messages; skips: before its entries.
  floors bigint[];
  skips bigint[];
  pin_versions bigint[];
  are_direct boolean[];
  -- Per member, unless all are plain messages.
  roles smallint[];
  visible_afters bigint[];
  -- Positions in p_members of those who are none, then of their entries.
  strangers bigint[];
  strange bigint[];
  -- Positions of the entries that were refused before, and the codes.
  barred bigint[];
  barred_codes text[];
  suspects bigint[] := p_suspects;
  -- Positions of the entries that are not written; null: all are.
  dropped bigint[];
  -- p_offsets and p_entry_skips without those entries; the offset of these is 0.
  offsets bigint[];
  entry_skips bigint[];
  is_written boolean[];
  -- Per entry of p_entries the row of its target, the last entry that has changed that (null: none), and the text that an
  -- edit replaces.
  rows tid[];
  versions bigint[];
  texts text[];
  -- Per entry of p_entries its number in its thread, if there are replies in threads.
  thread_numbers bigint[];
  -- Whether a message of another sender, and whether an edited one, is retracted.
  is_moderated boolean;
  has_revisions boolean;
begin
  -- An acknowledged entry is durable, on the standby too where there is one, also where the server's default is less.
  if current_setting('synchronous_commit') not in ('on', 'remote_apply') then
    perform set_config('synchronous_commit', 'on', true);
  end if;

  if p_entries is null then
    with moved as (
      update conversations c
      set last_seq = c.last_seq + x.count,
          prior_at_ms = c.last_at_ms,
          last_at_ms = greatest(c.last_at_ms, x.at_ms),
          active_at_ms = greatest(c.active_at_ms, c.last_at_ms, x.at_ms),
          last_message_seq = c.last_seq + x.count
      from (
        select p_conversations[n] as id, p_counts[n] as count, p_at_ms[n] as at_ms
        from generate_series(1, cardinality(p_conversations)) n offset 0
      ) x
      where c.id = x.id
      returning c.id, c.last_seq - x.count as base, c.last_at_ms, c.member_version
    )
    select array_agg(m.id), array_agg(m.base), array_agg(m.last_at_ms), array_agg(m.member_version)
    into found_ids, bases, times, member_versions
    from (select * from moved order by id) m;
  else
    with moved as (
      update conversations c
      set last_seq = c.last_seq + x.count,
          prior_at_ms = c.last_at_ms,
          last_at_ms = greatest(c.last_at_ms, x.at_ms),
          active_at_ms = case x.message when 0 then c.active_at_ms
            else greatest(c.active_at_ms, c.last_at_ms, x.at_ms) end,
          last_message_seq = case x.message when 0 then c.last_message_seq else c.last_seq + x.message end,
          skipped = c.skipped + x.skips
      from (
        select p_conversations[n] as id, p_counts[n] as count, p_at_ms[n] as at_ms, p_messages[n] as message,
               p_skips[n] as skips
        from generate_series(1, cardinality(p_conversations)) n offset 0
      ) x
      where c.id = x.id
      returning c.id, c.last_seq - x.count as base, c.last_at_ms, c.member_version, c.floor_seq,
                c.skipped - x.skips as skips, c.pins_version, c.kind = 'direct' as is_direct
    )
    select array_agg(m.id), array_agg(m.base), array_agg(m.last_at_ms), array_agg(m.member_version),
           array_agg(m.floor_seq), array_agg(m.skips), array_agg(m.pins_version), array_agg(m.is_direct)
    into found_ids, bases, times, member_versions, floors, skips, pin_versions, are_direct
    from (select * from moved order by id) m;
  end if;

  if cardinality(found_ids) is distinct from cardinality(p_conversations) then
    -- A place also for what there is not. Of what was locked alone: the rest may appear only now.
    select array_agg(bases[x.place]), array_agg(times[x.place]), array_agg(member_versions[x.place]),
           array_agg(floors[x.place]), array_agg(skips[x.place]), array_agg(pin_versions[x.place]),
           array_agg(are_direct[x.place])
    into bases, times, member_versions, floors, skips, pin_versions, are_direct
    from (
      select max(u.place) as place
      from (
        select id, null::bigint from unnest(p_conversations) as p (id)
        union all
        select * from unnest(found_ids) with ordinality
      ) u (id, place)
      group by u.id order by u.id
    ) x;
  end if;

  if p_entries is null then
    select array_agg(n) into strangers
    from generate_series(1, cardinality(p_members)) n
    where bases[p_places[n]] is null or (
      select user_id from members where conversation = p_conversations[p_places[n]] and user_id = p_members[n]
    ) is null;
  else
    select array_agg(n) filter (where bases[p_places[n]] is null or m.role is null), array_agg(m.role),
           array_agg(m.visible_after_seq)
    into strangers, roles, visible_afters
    from generate_series(1, cardinality(p_members)) n
    left join lateral (
      select role, visible_after_seq from members
      where conversation = p_conversations[p_places[n]] and user_id = p_members[n] limit 1
    ) m on true;
  end if;

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

  if exists (select from refusals) then
    select array_agg(x.n), array_agg(x.code) into barred, barred_codes
    from (
      select s.n, (
               select code from refusals
               where conversation = p_conversations[p_places[s.sender]] and sender = p_members[s.sender]
                 and client_msg_id = p_client_msg_ids[s.n]
             ) as code
      from (select n, p_senders[n] as sender from generate_series(1, cardinality(p_ids)) n offset 0) s
      offset 0
    ) x
    where x.code is not null;
  end if;

  loop
    -- A repetition is acknowledged also to a sender who has left since: it is in the log.
    if suspects is not null or strange is not null then
      select array_agg(x.n), array_agg(x.seq), array_agg(x.id), array_agg(x.at_ms), array_agg(x.target)
      into repetitions, original_seqs, original_ids, original_at_ms, original_targets
      from (
        select s.n, o.seq, o.id, o.at_ms, coalesce(e.target, 0) as target
        from (select unnest(suspects) union select unnest(strange)) as s (n)
        join messages o on o.conversation = p_conversations[p_places[p_senders[s.n]]]
          and o.sender = p_members[p_senders[s.n]] and o.client_msg_id = p_client_msg_ids[s.n]
        left join lateral (
          select target from extras where conversation = o.conversation and seq = o.seq limit 1
        ) e on true
        order by s.n
      ) x;
      select array_agg(s.n) into refused from (
        select unnest(strange) as n except select unnest(repetitions || barred) order by 1
      ) s;
    end if;

    if p_entries is not null then
      dropped := refused || repetitions || barred;
      targets := p_targets;
      if p_target_ids is not null then
        select array_agg(coalesce(o.seq, x.target) order by x.i) into targets
        from unnest(p_entries, p_targets, p_target_ids) with ordinality as x (n, target, target_id, i)
        left join messages o on x.target_id is not null
          and o.conversation = p_conversations[p_places[p_senders[x.n]]] and o.sender = p_members[p_senders[x.n]]
          and o.client_msg_id = x.target_id;
      end if;

      -- In the order of SendRefusal.
      select array_agg(x.n) filter (where x.code is not null), array_agg(x.code) filter (where x.code is not null),
             json_agg(json_build_array(x.n, x.author::text, left(x.body, 400), coalesce(x.version, x.target)))
               filter (where x.code is null and x.kind = 0),
             array_agg(x.ctid), array_agg(x.version), array_agg(case x.kind when 1 then x.body end),
             bool_or(x.kind = 2 and x.author <> x.sender), bool_or(x.kind = 2 and x.version is not null)
      into rejected, codes, quotes, rows, versions, texts, is_moderated, has_revisions
      from (
        select e.n, e.kind, e.target, e.sender, t.ctid, t.sender as author, t.body, t.version,
               case
                 when e.n = any (dropped) then null
                 when e.target > bases[e.place] and e.target < bases[e.place] + p_offsets[e.n] then 'later'
                 when e.range_sender is not null then
                   case
                     when p_range_firsts[e.i] > p_range_lasts[e.i] or p_range_firsts[e.i] > bases[e.place]
                       or p_range_firsts[e.i] <= visible_afters[e.member] then 'TARGET_NOT_FOUND'
                     when p_range_lasts[e.i] <= floors[e.place] then 'TARGET_EXPIRED'
                     when e.range_sender <> e.sender and (
                       are_direct[e.place] or roles[e.member] < p_retract or roles[e.member] <= coalesce(a.role, -1)
                     ) then 'ROLE_TOO_LOW'
                     when (
                       select count(*) from erasures r
                       where r.conversation = e.conversation and r.entry_seq > 0
                         and (r.evidence_until_ms is null) = (e.range_sender = e.sender)
                     ) >= 16 then 'RANGES_FULL'
                   end
                 when e.target < 1 or e.target > bases[e.place] or e.target <= visible_afters[e.member]
                 then 'TARGET_NOT_FOUND'
                 when e.target <= floors[e.place] then 'TARGET_EXPIRED'
                 when t.kind not in (0, 8) then 'TARGET_INVALID'
                 when e.kind = 8 then case t.kind when 8 then 'THREAD_NESTED' end
                 when t.retracted or exists (select from erasures) and exists (
                   select from erasures r
                   where r.conversation = e.conversation and r.sender = t.sender
                     and e.target between r.from_seq and r.to_seq
                 ) then 'TARGET_RETRACTED'
                 when e.kind = 1 and t.sender <> e.sender then 'NOT_AUTHOR'
                 when e.kind = 2 and t.sender <> e.sender and (
                   are_direct[e.place] or roles[e.member] < p_retract or roles[e.member] <= coalesce(a.role, -1)
                 ) then 'ROLE_TOO_LOW'
                 when e.kind in (3, 4) and not are_direct[e.place] and roles[e.member] < p_pin then 'ROLE_TOO_LOW'
                 when e.kind = 1 and times[e.place] - t.at_ms > p_edit_window_ms then 'EDIT_TOO_LATE'
                 when e.kind = 3 and (select count(*) from pins p where p.conversation = e.conversation) >= 100
                   and not exists (select from pins p where p.conversation = e.conversation and p.seq = e.target)
                 then 'PINS_FULL'
               end as code
        from (
          select x.n, x.i, x.member, p_kinds[x.n] as kind, targets[x.i] as target, p_range_senders[x.i] as range_sender,
                 p_places[x.member] as place, p_members[x.member] as sender,
                 p_conversations[p_places[x.member]] as conversation
          from (select p_entries[i] as n, i, p_senders[p_entries[i]] as member
                from generate_series(1, cardinality(p_entries)) i offset 0) x
          offset 0
        ) e
        left join lateral (
          select ctid, sender, at_ms, kind, version, retracted, body from messages
          where conversation = e.conversation and seq = e.target limit 1
        ) t on true
        left join lateral (
          select role from members
          where e.kind = 2 and e.sender <> coalesce(e.range_sender, t.sender)
            and conversation = e.conversation and user_id = coalesce(e.range_sender, t.sender) limit 1
        ) a on true
        offset 0
      ) x;

      deferred := null;
      if 'later' = any (codes) then
        select array_agg(s.n) into deferred
        from unnest(p_senders) with ordinality as s (sender, n)
        where s.n >= (
          select min(x.n) from unnest(rejected, codes) as x (n, code)
          where x.code = 'later' and p_places[p_senders[x.n]] = p_places[s.sender]
        );
        select array_agg(x.n), array_agg(x.code) into rejected, codes
        from unnest(rejected, codes) as x (n, code) where x.n <> all (deferred);
      end if;
    end if;

    -- A repetition is acknowledged whatever has become since of what it is about, and of the sender's role.
    if not rejected <@ coalesce(suspects, '{}') then
      select array_agg(distinct n) into suspects from unnest(suspects || rejected) n;
      continue;
    end if;

    dropped := refused || repetitions || rejected || deferred || barred;
    offsets := p_offsets;
    entry_skips := p_entry_skips;
    if dropped is not null then
      is_written := array_fill(true, array[cardinality(p_ids)]);
      declare
        n bigint;
      begin
        foreach n in array dropped loop is_written[n] := false; end loop;
      end;
      select array_agg(case when x.is_written then x.place else 0 end order by x.n) into offsets
      from (
        select s.n, is_written[s.n] as is_written,
               count(*) filter (where is_written[s.n]) over (partition by p_places[s.sender] order by s.n) as place
        from unnest(p_senders) with ordinality as s (sender, n)
      ) x;
      select array_agg(x.skips order by x.n) into entry_skips
      from (
        select e.n, count(*) filter (where is_written[e.n] and p_kinds[e.n] <> 0) over (
                 partition by p_places[p_senders[e.n]] order by e.n
               ) as skips
        from unnest(p_entries) as e (n)
      ) x;
    end if;

    begin
      if p_entries is null and dropped is null then
        insert into messages (conversation, seq, id, sender, at_ms, client_msg_id, body)
        select p_conversations[x.place], bases[x.place] + p_offsets[x.n], p_ids[x.n], p_members[x.sender],
               times[x.place], p_client_msg_ids[x.n], p_bodies[x.n]
        from (
          select n, p_senders[n] as sender, p_places[p_senders[n]] as place
          from generate_series(1, cardinality(p_ids)) n offset 0
        ) x;
      else
        insert into messages (conversation, seq, id, sender, at_ms, client_msg_id, body, kind)
        select p_conversations[x.place], bases[x.place] + x.offset, p_ids[x.n], p_members[x.sender], times[x.place],
               p_client_msg_ids[x.n], p_bodies[x.n], coalesce(p_kinds[x.n], 0::smallint)
        from (
          select n, p_senders[n] as sender, p_places[p_senders[n]] as place, offsets[n] as "offset"
          from generate_series(1, cardinality(p_ids)) n offset 0
        ) x
        where x.offset > 0;
      end if;
      exit;
    exception
      when unique_violation then
        if cardinality(suspects) = cardinality(p_ids) then raise; end if;
        select array_agg(n) into suspects from generate_series(1, cardinality(p_ids)) n;
    end;
  end loop;

  if p_entries is not null then
    if 8 = any (p_kinds) then
      -- One row per entry of p_entries; number is null for what is no reply. No two of these sets are joined: nothing but a
      -- nested loop is allowed here.
      with replies as materialized (
        select x.i, x.conversation, x.root, bases[x.place] + offsets[x.n] as seq, p_members[p_senders[x.n]] as sender,
               times[x.place] as at_ms, rows[x.i] as root_row,
               case when x.is_reply then x.before + row_number() over (
                 partition by x.is_reply, x.place, x.root order by x.n
               ) end as number
        from (
          select e.*, coalesce((
                   select t.replies from threads t where e.is_reply and t.conversation = e.conversation and t.root = e.root
                 ), 0) as before
          from (
            select p_entries[i] as n, i, p_places[p_senders[p_entries[i]]] as place, targets[i] as root,
                   p_conversations[p_places[p_senders[p_entries[i]]]] as conversation,
                   p_kinds[p_entries[i]] = 8 and offsets[p_entries[i]] > 0 as is_reply
            from generate_series(1, cardinality(p_entries)) i offset 0
          ) e offset 0
        ) x
      ),
      grown as (
        insert into threads (conversation, root, replies, last_seq, last_at_ms)
        select conversation, root, max(number), max(seq), max(at_ms) from replies
        where number is not null group by 1, 2
        on conflict (conversation, root) do update
        set replies = excluded.replies, last_seq = excluded.last_seq, last_at_ms = excluded.last_at_ms
      ),
      members as (
        -- Who replies has read what came before; who wrote the root has not.
        insert into thread_members (conversation, root, user_id, following, read_seq)
        select conversation, root, user_id, true, min(read)
        from (
          select conversation, root, sender as user_id, seq as read from replies where number is not null
          union all
          select r.conversation, r.root, t.sender, case t.sender when r.sender then r.seq else 0 end
          from replies r join messages t on t.ctid = r.root_row
          where r.number = 1
        ) m
        group by 1, 2, 3
        on conflict (conversation, root, user_id) do nothing
      )
      select array_agg(number order by i) into thread_numbers from replies;
    end if;

    insert into extras (conversation, seq, skipped, target, thread, thread_number, meta)
    select p_conversations[x.place], bases[x.place] + offsets[x.n], skips[x.place] + entry_skips[x.i],
           case p_kinds[x.n] when 8 then 0 else targets[x.i] end, case p_kinds[x.n] when 8 then targets[x.i] end,
           thread_numbers[x.i], p_metas[x.i]
    from (
      select p_entries[i] as n, i, p_places[p_senders[p_entries[i]]] as place
      from generate_series(1, cardinality(p_entries)) i
    ) x
    where offsets[x.n] > 0;

    if 1 = any (p_kinds) then
      insert into revisions (conversation, seq, version, body)
      select p_conversations[p_places[p_senders[x.n]]], targets[x.i], coalesce(versions[x.i], targets[x.i]), texts[x.i]
      from (select p_entries[i] as n, i from generate_series(1, cardinality(p_entries)) i) x
      where p_kinds[x.n] = 1 and offsets[x.n] > 0;
    end if;

    if is_moderated then
      insert into evidence (conversation, seq, sender, at_ms, texts, entry_seq, by_user, by_at_ms, reason, expires_at_ms)
      select x.conversation, x.target, t.sender, t.at_ms,
             (
               select json_agg(v.body order by v.version)::text
               from (
                 select version, body from revisions where conversation = x.conversation and seq = x.target
                 union all
                 select 9223372036854775807, t.body
               ) v
             ),
             x.seq, x.sender, x.at_ms, coalesce(x.meta::json ->> 'reason', ''), x.at_ms + p_evidence_ms
      from (
        select p_conversations[e.place] as conversation, targets[e.i] as target, bases[e.place] + offsets[e.n] as seq,
               p_members[p_senders[e.n]] as sender, times[e.place] as at_ms, p_metas[e.i] as meta, rows[e.i] as target_row
        from (
          select p_entries[i] as n, i, p_places[p_senders[p_entries[i]]] as place
          from generate_series(1, cardinality(p_entries)) i
        ) e
        where p_kinds[e.n] = 2 and offsets[e.n] > 0
      ) x
      join messages t on t.ctid = x.target_row
      where t.sender <> x.sender;
    end if;

    if has_revisions then
      delete from revisions r
      using (
        select v.ctid
        from generate_series(1, cardinality(p_entries)) i
        cross join lateral (
          select ctid from revisions
          where conversation = p_conversations[p_places[p_senders[p_entries[i]]]] and seq = targets[i] offset 0
        ) v
        where p_kinds[p_entries[i]] = 2 and offsets[p_entries[i]] > 0 and versions[i] is not null
      ) x
      where r.ctid = x.ctid;
    end if;

    if p_kinds && '{1,2}' then
      update messages t
      set body = coalesce(p_texts[x.i], ''),
          version = bases[p_places[p_senders[x.n]]] + offsets[x.n],
          retracted = p_kinds[x.n] = 2
      from (select p_entries[i] as n, i from generate_series(1, cardinality(p_entries)) i) x
      where p_kinds[x.n] in (1, 2) and offsets[x.n] > 0 and t.ctid = rows[x.i];
    end if;

    if p_range_senders is not null then
      insert into erasures (conversation, entry_seq, sender, from_seq, to_seq, evidence_until_ms)
      select p_conversations[x.place], bases[x.place] + offsets[x.n], p_range_senders[x.i], p_range_firsts[x.i],
             least(p_range_lasts[x.i], bases[x.place] + offsets[x.n] - 1),
             case when p_range_senders[x.i] <> p_members[p_senders[x.n]] then times[x.place] + p_evidence_ms end
      from (
        select p_entries[i] as n, i, p_places[p_senders[p_entries[i]]] as place
        from generate_series(1, cardinality(p_entries)) i
      ) x
      where p_range_senders[x.i] is not null and offsets[x.n] > 0;
    end if;

    if 2 = any (p_kinds) and 0 < any (pin_versions) then
      with unpinned as (
        delete from pins p
        using (
          select v.ctid, e.conversation, e.seq
          from (
            select p_conversations[x.place] as conversation, bases[x.place] + offsets[x.n] as seq, targets[x.i] as target,
                   p_range_senders[x.i] as range_sender, p_range_firsts[x.i] as range_first, p_range_lasts[x.i] as range_last
            from (
              select p_entries[i] as n, i, p_places[p_senders[p_entries[i]]] as place
              from generate_series(1, cardinality(p_entries)) i
            ) x
            where p_kinds[x.n] = 2 and offsets[x.n] > 0
          ) e
          cross join lateral (
            select p.ctid from pins p
            where p.conversation = e.conversation
              and case when e.range_sender is null then p.seq = e.target
                    else p.seq between e.range_first and least(e.range_last, e.seq - 1) and e.range_sender = (
                      select sender from messages where conversation = p.conversation and seq = p.seq
                    ) end
            offset 0
          ) v
        ) x
        where p.ctid = x.ctid
        returning x.conversation, x.seq
      )
      update conversations c set pins_version = u.seq
      from (select conversation, max(seq) as seq from unpinned group by conversation) u
      where c.id = u.conversation;
    end if;

    if p_kinds && '{3,4}' then
      with e as materialized (
        select p_conversations[x.place] as conversation, bases[x.place] + offsets[x.n] as seq, targets[x.i] as target,
               p_kinds[x.n] as kind
        from (
          select p_entries[i] as n, i, p_places[p_senders[p_entries[i]]] as place
          from generate_series(1, cardinality(p_entries)) i
        ) x
        where p_kinds[x.n] in (3, 4) and offsets[x.n] > 0
      ),
      pinned as (
        insert into pins (conversation, seq, entry_seq)
        select e.conversation, e.target, e.seq from e where e.kind = 3
        on conflict (conversation, seq) do nothing
      ),
      unpinned as (
        delete from pins p
        using e, lateral (
          select ctid from pins where conversation = e.conversation and seq = e.target limit 1
        ) x
        where e.kind = 4 and p.ctid = x.ctid
      )
      update conversations c set pins_version = greatest(c.pins_version, e.seq) from e where c.id = e.conversation;
    end if;
  end if;

  if dropped is not null then
    update conversations c
    set last_seq = c.last_seq - x.count,
        skipped = c.skipped - x.skips,
        last_at_ms = case when x.is_empty then c.prior_at_ms else c.last_at_ms end,
        -- Of the last message, which may be one from before, else of the making. One that is no longer kept had its place
        -- not after the last entry.
        active_at_ms = case when x.is_hoped and c.active_at_ms = c.last_at_ms and x.message <= bases[x.place]
          then greatest(
            floor(extract(epoch from c.created_at) * 1000),
            coalesce(
              (select m.at_ms from messages m where m.conversation = c.id and m.seq = x.message),
              case when c.floor_seq > 0 then c.prior_at_ms end
            )
          )
          else c.active_at_ms end,
        last_message_seq = x.message
    from (
      select y.place, y.count, y.skips, y.is_empty, y.is_hoped,
             coalesce(
               bases[y.place] + y.message, gochat_last_message(p_conversations[y.place], bases[y.place])
             ) as message
      from (
        select p_places[e.sender] as place,
               count(*) filter (where e.place = 0) as count,
               count(*) filter (where e.place = 0 and e.kind <> 0) as skips,
               bool_and(e.place = 0) as is_empty,
               max(e.place) filter (where e.place > 0 and coalesce(e.kind, 0) = 0) as message,
               bool_or(coalesce(e.kind, 0) = 0) as is_hoped
        from unnest(p_senders, offsets, p_kinds) as e (sender, place, kind)
        group by 1 having bool_or(e.place = 0)
      ) y
      where bases[y.place] is not null
      order by y.place
    ) x
    where c.id = p_conversations[x.place];
  end if;

  if p_has_feed then
    insert into feed (conversations, first_seqs, last_seqs)
    select array_agg(p_conversations[x.place] order by x.place), array_agg(bases[x.place] + 1 order by x.place),
           array_agg(bases[x.place] + x.count order by x.place)
    from (
      select p_places[e.sender] as place, max(e.place) as count
      from unnest(p_senders, offsets) as e (sender, place)
      where e.place > 0 group by 1
    ) x
    having count(*) > 0;
  end if;

  if refused is not null or rejected is not null then
    -- Of conversations that there are: nobody can join the others.
    insert into refusals (conversation, sender, client_msg_id, code)
    select p_conversations[p_places[p_senders[x.n]]], p_members[p_senders[x.n]], p_client_msg_ids[x.n], x.code
    from (
      select n, 'NOT_A_MEMBER' as code from unnest(refused) n
      union all
      select * from unnest(rejected, codes)
    ) x
    where bases[p_places[p_senders[x.n]]] is not null;
  end if;
  rejected := rejected || barred;
  codes := codes || barred_codes;
  return next;
end
$$;

-- Finds the first entry with after < seq <= until at or after a time; 0: there is none. Times ascend with seqs.
create function gochat_first_at(p_conversation bigint, p_after bigint, p_until bigint, p_ms bigint) returns bigint
language plpgsql stable
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  low bigint := p_after + 1;
  high bigint := p_until + 1;
  middle bigint;
begin
  while low < high loop
    middle := (low + high) / 2;
    if (select m.at_ms from messages m where m.conversation = p_conversation and m.seq = middle) >= p_ms then
      high := middle;
    else
      low := middle + 1;
    end if;
  end loop;
  return case when low > p_until then 0 else low end;
end
$$;

-- Returns the number of messages up to a seq that is not below the floor, from extras.skipped.
create function gochat_message_count(p_conversation bigint, p_seq bigint) returns bigint
language plpgsql stable
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
begin
  return p_seq - coalesce(
    (select x.skipped from extras x where x.conversation = p_conversation and x.seq <= p_seq order by x.seq desc limit 1),
    (select c.floor_skipped from conversations c where c.id = p_conversation)
  );
end
$$;

-- Finds the first entry with after < seq <= until up to which there are so many messages; 0: there is none. A million edits
-- cost as much as one.
create function gochat_message_at(p_conversation bigint, p_after bigint, p_until bigint, p_count bigint) returns bigint
language plpgsql stable
as $$
declare
  low bigint := p_after + 1;
  high bigint := p_until + 1;
  middle bigint;
begin
  while low < high loop
    middle := (low + high) / 2;
    if gochat_message_count(p_conversation, middle) >= p_count then high := middle; else low := middle + 1; end if;
  end loop;
  return case when low > p_until then 0 else low end;
end
$$;

-- Finds the first message with after < seq <= until; 0: there is none.
create function gochat_first_message(p_conversation bigint, p_after bigint, p_until bigint) returns bigint
language plpgsql stable
as $$
begin
  return gochat_message_at(p_conversation, p_after, p_until, gochat_message_count(p_conversation, p_after) + 1);
end
$$;

-- Finds the last message with floor < seq <= until; 0: there is none.
create function gochat_last_message(p_conversation bigint, p_until bigint) returns bigint
language plpgsql stable
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  sunk bigint := (select c.floor_seq from conversations c where c.id = p_conversation);
  count bigint := gochat_message_count(p_conversation, p_until);
begin
  if (select m.kind from messages m where m.conversation = p_conversation and m.seq = p_until and m.seq > sunk) = 0 then
    return p_until;
  end if;
  return case when count > gochat_message_count(p_conversation, sunk)
    then gochat_message_at(p_conversation, sunk, p_until, count) else 0 end;
end
$$;
