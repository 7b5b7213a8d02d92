-- Guests: users without a wallet, where the gateway is configured to make
-- them.  The role tells policies and rules who is one.

create or replace function auth.guest_sign_in(p_idle interval, p_life interval)
returns table (user_id uuid, tier text, role text, session_id uuid)
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
declare
    v_user auth.users%rowtype;
begin
    insert into auth.users (role) values ('guest') returning * into v_user;

    return query
        insert into auth.sessions as s (user_id, idle_until, expires_at)
        values (v_user.id, now() + p_idle, now() + p_life)
        returning s.user_id, v_user.tier, v_user.role, s.id;
end
$$;


grant execute on function auth.guest_sign_in(interval, interval)
    to sallyport_gateway;
