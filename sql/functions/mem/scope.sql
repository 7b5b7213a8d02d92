-- Places in a scope, and when extraction is due.


-- Places for n messages in a scope, made on first use; locks the scope.
-- NULL: none wanted, or the user has paused this scope.

create or replace function mem.take_places(for_user uuid, for_character uuid,
    n int)
returns bigint
language plpgsql
set search_path = ''
as $$
declare
    s  mem.scope;
begin
    insert into mem.scope (user_id, character_id)
    values (for_user, for_character)
        on conflict (tenant, user_id, character_id) do nothing;

    select * into strict s
      from mem.scope
     where tenant = 'main' and user_id = for_user
       and character_id = for_character
       for update;

    if coalesce(n, 0) = 0 or not s.enabled then
        return null;
    end if;

    update mem.scope
       set msg_seq = s.msg_seq + n, updated_at = now()
     where id = s.id;

    return s.msg_seq + 1;
end
$$;


-- One extraction job for all messages that have none yet.

create or replace function mem.enqueue(s mem.scope) returns void
language plpgsql
set search_path = ''
as $$
begin
    perform gateway.job_enqueue('memory_extract',
        jsonb_build_object('scope_id', s.id::text, 'epoch', s.epoch,
                           'from', s.enqueued_upto + 1, 'to', s.msg_seq),
        'scope:' || s.id,
        s.id || ':' || s.epoch || ':' || (s.enqueued_upto + 1));

    update mem.scope
       set enqueued_upto = s.msg_seq, updated_at = now()
     where id = s.id;
end
$$;


-- Due at 20 messages; called in the transaction that stored them.

create or replace function mem.enqueue_due(for_user uuid, for_character uuid)
returns void
language plpgsql
set search_path = ''
as $$
declare
    s  mem.scope;
begin
    select * into s
      from mem.scope
     where tenant = 'main' and user_id = for_user
       and character_id = for_character
       for update;

    if s.msg_seq - s.enqueued_upto >= 20 then
        perform mem.enqueue(s);
    end if;
end
$$;


grant execute on function mem.take_places(uuid, uuid, int),
    mem.enqueue(mem.scope), mem.enqueue_due(uuid, uuid)
    to sallyport_gateway;
