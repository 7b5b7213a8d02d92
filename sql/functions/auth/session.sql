-- Sessions: rotation of refresh tokens, logging out.


-- One use of a refresh token.  outcome:
--   rotated    the successor is "generation"
--   repeated   the same successor once more: its answer may have been lost
--   reused     an old token: somebody else has it; the session is over
--   refused    no such session, ended, logged out, or the user may not

create or replace function auth.session_refresh(p_session uuid,
    p_generation int, p_idle interval, p_grace interval)
returns table (outcome text, user_id uuid, tier text, role text,
               wallet text, generation int, idle_seconds int)
language plpgsql
set search_path = ''
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

create or replace function auth.session_revoke(p_session uuid, p_all boolean)
returns int
language plpgsql
set search_path = ''
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


grant execute on function auth.session_refresh(uuid, int, interval, interval),
    auth.session_revoke(uuid, boolean)
    to sallyport_gateway;
