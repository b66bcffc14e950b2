-- Accounts: login sessions with refresh tokens, keys that rotate, bots, suspension, closing, OpenID Connect.

-- state: 0 active, 1 suspended, 2 closed (ACCOUNT_STATES in state/store/store.ts). admin: of the server. owner: of a bot,
-- the user who made it. password_hash is empty where there is no password.
alter table accounts
  add column state smallint not null default 0 check (state between 0 and 2),
  add column admin boolean not null default false,
  add column owner bigint references accounts (id);

create index accounts_of_owner on accounts (owner) where owner is not null;

-- A login and its refresh token, of which only SHA-256 hashes are kept: of the part that all tokens of the session share, of
-- the rest of the current one, and of the rest of the one before it, from which and `salt` its successor can be made again
-- (state/identity/refresh-tokens.ts). rotates: false for the token of a bot, which stays the same.
-- The id is that of the session's access tokens.
create table login_sessions (
  id            bigint primary key,
  user_id       bigint not null references accounts (id),
  rotates       boolean not null,
  family_hash   text not null,
  token_hash    text not null,
  parent_hash   text not null,
  salt          text not null,
  rotated_at_ms bigint not null,
  client        text not null,
  address       text not null,
  created_at_ms bigint not null,
  used_at_ms    bigint not null,
  expires_at_ms bigint not null
) with (fillfactor = 50);

create index login_sessions_of_user on login_sessions (user_id);
create index login_sessions_expiry on login_sessions (expires_at_ms);

-- From this Unix time on the key signs, until that of the next one. private_jwk is JSON, or a JWE of it (jwt_secret).
alter table signing_keys add column signs_from_ms bigint not null default 0;

-- Users of OpenID Connect providers.
create table identities (
  issuer  text not null,
  subject text not null,
  user_id bigint not null references accounts (id),
  primary key (issuer, subject)
);

create index identities_of_user on identities (user_id);

-- Accounts that were closed, whose users have still to leave rooms and, if `retracts`, whose messages have still to be
-- retracted. Written in the commit that closes the account.
create table closings (
  user_id      bigint primary key references accounts (id),
  retracts     boolean not null,
  closed_at_ms bigint not null
);
