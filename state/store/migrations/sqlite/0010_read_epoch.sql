-- Read cursors that may go back: the greater of two pairs (read_epoch, read_seq) counts.

alter table members add column read_epoch integer not null default 0;
alter table former_members add column read_epoch integer not null default 0;
