-- Access tokens that are revoked, for as long as they could be good and a day more: a wall clock may be wrong by that.
-- The orders themselves travel by the hot state, which may lose them.

create table revocations (
  user_id       integer not null,
  -- The order's time, see HotState.
  at_us         integer not null,
  scope         text not null check (scope in ('token', 'tokens')),
  token         integer not null,
  code          text not null,
  reason        text not null,
  expires_at_ms integer not null,
  primary key (user_id, at_us)
) strict, without rowid;

create index revocations_expiry on revocations (expires_at_ms);
