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


-- The user of a wallet, made at her first sign-in.  Two first sign-ins at
-- once make one user.

create function auth.wallet_user(p_address text) returns uuid
language plpgsql
as $$
declare
    v_user  uuid;
    v_other uuid;
begin
    update auth.wallets set used_at = now()
     where lower(address) = lower(p_address)
    returning user_id into v_user;

    if v_user is not null then
        return v_user;
    end if;

    insert into auth.users default values returning id into v_user;

    insert into auth.wallets (address, user_id) values (p_address, v_user)
        on conflict (lower(address)) do nothing;

    if found then
        return v_user;
    end if;

    delete from auth.users where id = v_user;

    select user_id into strict v_other
      from auth.wallets where lower(address) = lower(p_address);

    return v_other;
end
$$;


-- One sign-in: user, wallet and a new session.  No row: the user may not
-- sign in (suspended, deleted).

create function auth.wallet_sign_in(p_address text, p_chain_id bigint,
    p_idle interval, p_life interval)
returns table (user_id uuid, tier text, role text, session_id uuid,
               generation int)
language plpgsql
as $$
#variable_conflict use_column
declare
    v_id   uuid := auth.wallet_user(p_address);
    v_user auth.users%rowtype;
begin
    select u.* into strict v_user from auth.users u where u.id = v_id;

    if v_user.status <> 'active' then
        return;
    end if;

    -- what has ended long ago is of no use to anybody
    delete from auth.sessions s
     where s.user_id = v_user.id
       and s.expires_at < now() - interval '30 days';

    return query
        insert into auth.sessions as s (user_id, address, chain_id,
                                        idle_until, expires_at)
        select v_user.id, w.address, p_chain_id, now() + p_idle,
               now() + p_life
          from auth.wallets w where lower(w.address) = lower(p_address)
        returning s.user_id, v_user.tier, v_user.role, s.id, s.generation;
end
$$;


-- One use of a refresh token.  outcome:
--   rotated    the successor is "generation"
--   repeated   the same successor once more: its answer may have been lost
--   reused     an old token: somebody else has it; the session is over
--   refused    no such session, ended, logged out, or the user may not

create function auth.session_refresh(p_session uuid, p_generation int,
    p_idle interval, p_grace interval)
returns table (outcome text, user_id uuid, tier text, role text,
               wallet text, generation int, idle_seconds int)
language plpgsql
as $$
#variable_conflict use_column
declare
    v auth.sessions%rowtype;
    u auth.users%rowtype;
    t timestamptz;
begin
    -- of parallel refreshes the first rotates, the others wait here
    select s.* into v from auth.sessions s where s.id = p_session for update;

    t := clock_timestamp();

    if not found or v.revoked_at is not null or v.idle_until <= t
       or v.expires_at <= t or p_generation > v.generation
    then
        return query select 'refused', null::uuid, null, null, null, 0, 0;
        return;
    end if;

    if p_generation < v.generation - 1
       or (p_generation = v.generation - 1 and v.rotated_at + p_grace < t)
    then
        update auth.sessions s set revoked_at = t, revoked_for = 'reuse'
         where s.id = v.id;

        return query select 'reused', null::uuid, null, null, null, 0, 0;
        return;
    end if;

    select x.* into strict u from auth.users x where x.id = v.user_id;

    if u.status <> 'active' then
        update auth.sessions s set revoked_at = t, revoked_for = 'suspended'
         where s.id = v.id;

        return query select 'refused', null::uuid, null, null, null, 0, 0;
        return;
    end if;

    if p_generation = v.generation then
        update auth.sessions s
           set generation = v.generation + 1,
               rotated_at = t,
               idle_until = least(t + p_idle, v.expires_at)
         where s.id = v.id
        returning s.* into v;
    end if;

    return query
        select case when p_generation = v.generation - 1
                         and v.rotated_at = t
                    then 'rotated' else 'repeated' end,
               u.id, u.tier, u.role, v.address, v.generation,
               greatest(0, extract(epoch from v.idle_until - t)::int);
end
$$;


-- Logging out: this session, or all of its user.  Returns how many ended.

create function auth.session_revoke(p_session uuid, p_all boolean)
returns int
language plpgsql
as $$
declare
    n int;
begin
    update auth.sessions s
       set revoked_at = clock_timestamp(), revoked_for = 'logout'
     where s.revoked_at is null
       and (s.id = p_session
            or (p_all and s.user_id = (select x.user_id from auth.sessions x
                                        where x.id = p_session)));

    get diagnostics n = row_count;

    return n;
end
$$;


grant execute on function auth.wallet_user(text) to sallyport_gateway;
grant execute on function auth.wallet_sign_in(text, bigint, interval,
    interval) to sallyport_gateway;
grant execute on function auth.session_refresh(uuid, int, interval,
    interval) to sallyport_gateway;
grant execute on function auth.session_revoke(uuid, boolean)
    to sallyport_gateway;
