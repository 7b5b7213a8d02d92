-- Sign-in by wallet.


-- The user of a wallet, made at her first sign-in.  Two first sign-ins at
-- once make one user.

create or replace function auth.wallet_user(p_address text) returns uuid
language plpgsql
set search_path = ''
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

create or replace function auth.wallet_sign_in(p_address text,
    p_chain_id bigint, p_idle interval, p_life interval)
returns table (user_id uuid, tier text, role text, session_id uuid,
               generation int)
language plpgsql
set search_path = ''
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


grant execute on function auth.wallet_user(text),
    auth.wallet_sign_in(text, bigint, interval, interval)
    to sallyport_gateway;
