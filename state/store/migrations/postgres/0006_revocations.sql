-- Access tokens that are revoked, for as long as they could be good and a day more: a wall clock may be wrong by that.
-- The orders themselves travel by the hot state, which may lose them.

create table revocations (
  user_id       bigint not null,
  -- The order's time, see HotState.
  at_us         bigint not null,
  scope         text collate "C" not null check (scope in ('token', 'tokens')),
  token         bigint not null,
  code          text not null,
  reason        text not null,
  expires_at_ms bigint not null,
  primary key (user_id, at_us)
);

create index revocations_expiry on revocations (expires_at_ms);
