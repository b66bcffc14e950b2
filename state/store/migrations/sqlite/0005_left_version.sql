-- Who has come and gone since a member version: the room's member version as of each leave, as joined_version is of each
-- join. 0: left before this column.

alter table former_members add column left_version integer not null default 0;

create index members_by_version on members (conversation, joined_version);
create index former_members_by_version on former_members (conversation, left_version);
