-- Entries: edits, retractions, replies, pins and what the server records stand in the log as messages do.
--
-- A plain message has a row in messages alone. Folding (repositories/entries.ts) joins the other tables.

-- 0 message, 1 edit, 2 retract, 3 pin, 4 unpin, 5 system (ENTRY_KINDS in state/store/store.ts); 8 reply in a thread.
alter table messages add column kind integer not null default 0;
-- Seq of the last entry that has changed the message, an edit or the retraction; null: none has. Who retracted and why
-- stands in that entry.
alter table messages add column version integer;
alter table messages add column retracted integer not null default 0;

-- What an entry has beyond a plain message. skipped: how many entries up to this one, itself included, do not count as
-- unread. target: seq of the message that it concerns or quotes; 0: none. meta: JSON, see state/store/entry-meta.ts. thread and
-- thread_number: of a reply in a thread, the root's seq, and its number in the thread.
create table extras (
  conversation  integer not null,
  seq           integer not null,
  skipped       integer not null,
  target        integer not null,
  thread        integer,
  thread_number integer,
  meta          text,
  primary key (conversation, seq)
) strict, without rowid;

-- Earlier texts of edited messages; version: seq of the entry that brought the text. messages.body has the newest.
create table revisions (
  conversation integer not null,
  seq          integer not null,
  version      integer not null,
  body         text not null,
  primary key (conversation, seq, version)
) strict, without rowid;

-- entry_seq: the PIN.
create table pins (
  conversation integer not null,
  seq          integer not null,
  entry_seq    integer not null,
  primary key (conversation, seq)
) strict, without rowid;

-- What is hidden already and waits to be erased: the messages of one sender that a RETRACT of a range concerns, or, with
-- entry_seq and sender 0, everything up to the floor. from_seq moves on as they are erased.
-- evidence_until_ms: expiry of the evidence to be kept; null: none is.
create table erasures (
  conversation      integer not null,
  entry_seq         integer not null,
  sender            integer not null,
  from_seq          integer not null,
  to_seq            integer not null,
  evidence_until_ms integer,
  primary key (conversation, entry_seq)
) strict, without rowid;

-- What moderators have retracted; it outlives the messages and their conversation. texts: JSON array of all of them, the
-- oldest first. The columns from entry_seq on are of the RETRACT.
create table evidence (
  conversation  integer not null,
  seq           integer not null,
  sender        integer not null,
  at_ms         integer not null,
  texts         text not null,
  entry_seq     integer not null,
  by_user       integer not null,
  by_at_ms      integer not null,
  reason        text not null,
  expires_at_ms integer not null,
  primary key (conversation, seq)
) strict, without rowid;

create index evidence_expiry on evidence (expires_at_ms);

-- Hints for consumers: what a commit has appended, as JSON [[conversation, first seq, last seq], …]. Off.
create table feed (
  id     integer primary key,
  ranges text not null
) strict;

create table consumers (
  name        text not null,
  slot        integer not null,
  position    integer not null,
  moved_at_ms integer not null,
  primary key (name, slot)
) strict, without rowid;

-- last_at_ms: time of the last entry, before which the next cannot be. skipped: as in extras, as of the last entry.
-- floor_seq: entries up to it are no longer kept; floor_skipped: as in extras, as of that one.
-- pins_version: the last entry that changed the pins.
alter table conversations add column last_at_ms integer not null default 0;
alter table conversations add column last_message_seq integer not null default 0;
alter table conversations add column skipped integer not null default 0;
alter table conversations add column floor_seq integer not null default 0;
alter table conversations add column floor_skipped integer not null default 0;
alter table conversations add column pins_version integer not null default 0;

update conversations set last_at_ms = active_at_ms, last_message_seq = last_seq where last_seq > 0;

-- Empty: the name is shown.
alter table accounts add column display_name text not null default '';
-- Unix time of the last change of the display name.
alter table accounts add column renamed_at_ms integer not null default 0;

create index accounts_renamed on accounts (renamed_at_ms) where renamed_at_ms > 0;

-- Who joins again goes on with it.
alter table former_members add column read_seq integer not null default 0;
