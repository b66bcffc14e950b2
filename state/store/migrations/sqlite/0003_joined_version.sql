-- A room passes to who has been in it longest, by the order of joining and not by clocks: the room's member version as
-- of each join. 0: joined before this column, and so before all others.

alter table members add column joined_version integer not null default 0;
