-- Entries that were refused for good. A copy of one that comes later gets the same answer, also if its sender may send it by
-- then. Rows are forgotten after REFUSAL_MS (state/store/store.ts).
create table refusals (
  conversation  integer not null,
  sender        integer not null,
  client_msg_id text not null,
  code          text not null,
  at_ms         integer not null default (unixepoch() * 1000),
  primary key (conversation, sender, client_msg_id)
) strict, without rowid;

create index refusals_age on refusals (at_ms);
