-- Entries that gochat_append has refused for good. A copy of one that a slow network brings later, to whichever node, gets the
-- same answer, also if its sender may send it by then. Rows are forgotten after REFUSAL_MS (state/store/store.ts).
create table refusals (
  conversation  bigint not null,
  sender        bigint not null,
  client_msg_id text collate "C" not null,
  code          text collate "C" not null,
  -- By this server's clock, by which rows are forgotten: those of the nodes may be a day wrong.
  at_ms         bigint not null default extract(epoch from now()) * 1000,
  primary key (conversation, sender, client_msg_id)
);

create index refusals_age on refusals (at_ms);
