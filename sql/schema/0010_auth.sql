-- Sign-in: wallets, sessions, rotation of refresh tokens.  Called by the
-- gateway as sallyport_gateway; a person sees only what is her own.


-- A wallet belongs to one user, for ever; an address is one wallet however it
-- is spelled.

create table auth.wallets (
    address     text primary key check (address ~ '^0x[0-9a-fA-F]{40}$'),
    user_id     uuid not null references auth.users on delete cascade,
    created_at  timestamptz not null default now(),
    used_at     timestamptz not null default now()
);

create unique index on auth.wallets (lower(address));
create index on auth.wallets (user_id);


-- A session is a family of refresh tokens.  A token is the id of its session
-- and a generation under the gateway's HMAC: only the number is kept here, so
-- that this table holds no secret, and the successor of a token can be handed
-- out twice when its answer was lost.

create table auth.sessions (
    id          uuid primary key default gen_random_uuid(),
    user_id     uuid not null references auth.users on delete cascade,
    address     text references auth.wallets on delete cascade,
    chain_id    bigint,
    generation  int not null default 0,
    created_at  timestamptz not null default now(),
    rotated_at  timestamptz not null default now(),
    idle_until  timestamptz not null,
    expires_at  timestamptz not null,
    revoked_at  timestamptz,
    revoked_for text check (revoked_for in ('logout', 'reuse', 'suspended')),
    check ((revoked_at is null) = (revoked_for is null))
);

create index on auth.sessions (user_id, expires_at);
create index on auth.sessions (expires_at);

alter table auth.wallets enable row level security;
alter table auth.wallets force row level security;
alter table auth.sessions enable row level security;
alter table auth.sessions force row level security;

create policy own on auth.wallets for select to sallyport_user
    using (user_id = (select auth.uid()));
create policy gateway on auth.wallets to sallyport_gateway
    using (true) with check (true);
create policy own on auth.sessions for select to sallyport_user
    using (user_id = (select auth.uid()));
create policy gateway on auth.sessions to sallyport_gateway
    using (true) with check (true);

grant select on auth.wallets, auth.sessions to sallyport_user;
grant select, insert, update on auth.wallets to sallyport_gateway;
grant select, insert, update, delete on auth.sessions to sallyport_gateway;
grant delete on auth.users to sallyport_gateway;

create index on auth.users (created_at) where role = 'guest';

insert into gateway.retention (name, relation, since, keep, condition, batch)
values
    -- nobody can refresh them any more
    ('sessions ended', 'auth.sessions', 'expires_at', '30 days', 'true', 1000),
    -- with all that they left behind, hence few at a time: nobody can come
    -- back to it
    ('guests gone', 'auth.users', 'created_at', '30 days',
     'r.role = ''guest'' and not exists (select from auth.sessions as s '
     'where s.user_id = r.id)', 100);
