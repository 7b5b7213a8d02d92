-- Finished turns: the batch of the spool, the ledger.


-- The id of a record; one that has none gets one made of its text, so that
-- the same record sent again is still the same.

create or replace function gateway.turn_id(turn jsonb) returns uuid
language plpgsql immutable
set search_path = ''
as $$
begin
    return (turn ->> 'id')::uuid;
exception
    when invalid_text_representation then
        return md5(turn::text)::uuid;
end
$$;


-- A record that cannot be stored leaves this behind.

create or replace function gateway.store_bad_turn(turn jsonb, reason text)
returns void
language plpgsql
set search_path = ''
as $$
declare
    turn_user  uuid;
begin
    begin
        turn_user := nullif(turn ->> 'user_id', '')::uuid;
    exception
        when invalid_text_representation then null;
    end;

    insert into gateway.ledger (id, user_id, outcome, at, error, record)
    values (coalesce(gateway.turn_id(turn), md5(turn::text)::uuid),
            turn_user, 'failed', now(), left(reason, 500), turn)
        on conflict (id) do nothing;
end
$$;


-- The ledger row of a record.  False: it was there before.

create or replace function gateway.store_ledger(turn jsonb) returns boolean
language plpgsql
set search_path = ''
as $$
begin
    insert into gateway.ledger (id, user_id, character_id, chat_id, kind,
        provider, model, alias, outcome, error_type, finish_reason, status,
        attempts, prompt_tokens, completion_tokens, cached_tokens,
        cache_write_tokens, reasoning_tokens, estimated_prompt_tokens,
        estimated_completion_tokens, units, cost, currency, request_id,
        trace_id, receipt, stream, first_byte_ms, total_ms, at)
    values ((turn ->> 'id')::uuid,
        nullif(turn ->> 'user_id', '')::uuid,
        nullif(turn ->> 'character_id', '')::uuid,
        nullif(turn ->> 'chat_id', '')::uuid,
        coalesce(turn ->> 'kind', 'chat'),
        coalesce(turn ->> 'provider', ''),
        coalesce(turn ->> 'model', ''),
        coalesce(turn ->> 'alias', ''),
        turn ->> 'outcome',
        coalesce(turn ->> 'error_type', ''),
        coalesce(turn ->> 'finish_reason', ''),
        coalesce((turn ->> 'status')::int, 0),
        coalesce(turn -> 'attempts', '[]'),
        (turn ->> 'prompt_tokens')::bigint,
        (turn ->> 'completion_tokens')::bigint,
        (turn ->> 'cached_tokens')::bigint,
        (turn ->> 'cache_write_tokens')::bigint,
        (turn ->> 'reasoning_tokens')::bigint,
        (turn ->> 'estimated_prompt_tokens')::bigint,
        (turn ->> 'estimated_completion_tokens')::bigint,
        (turn ->> 'units')::bigint,
        (turn ->> 'cost')::numeric,
        coalesce(turn ->> 'currency', ''),
        coalesce(turn ->> 'request_id', ''),
        nullif(turn ->> 'trace_id', ''),
        turn -> 'receipt',
        coalesce((turn ->> 'stream')::boolean, false),
        coalesce((turn ->> 'first_byte_ms')::bigint, 0),
        coalesce((turn ->> 'total_ms')::bigint, 0),
        coalesce(to_timestamp((turn ->> 'at')::double precision), now()))
        on conflict (id) do nothing;

    return found;
end
$$;


-- Stores a batch of turns, and of questions that could not be stored before
-- their call, and returns how many of its records it has.  Idempotent by id:
-- a batch that was sent twice, or whose answer was lost, is stored once.  A
-- record that cannot be stored keeps a ledger row with its error and does not
-- block the others; what is the database's own trouble (deadlock, shutdown,
-- disk full) fails the batch, which is then sent again.

create or replace function gateway.is_trouble(sqlstate text) returns boolean
language sql immutable
set search_path = ''
as $$
    select left(sqlstate, 2) in ('08', '40', '53', '55', '57', '58', 'XX')
$$;


create or replace function gateway.store_turns(turns jsonb) returns int
language plpgsql
set search_path = ''
as $$
declare
    fresh  jsonb[] := '{}';
    n      int := 0;
    turn   jsonb;
begin
    if jsonb_typeof(turns) is distinct from 'array' then
        raise sqlstate '22023' using message = 'turns must be an array';
    end if;

    -- Two batches may hold the same turns and touch the same chats: ledger
    -- rows first, by id, then messages, by scope, so that no batch waits for
    -- one that waits for it.

    for turn in
        select t.value
          from jsonb_array_elements(turns) as t
         order by t.value ->> 'id'
    loop
        begin
            -- a question that waits for its turn is no account
            if turn ->> 'kind' = 'question'
               or gateway.store_ledger(turn)
            then
                fresh := fresh || turn;
            end if;

        exception
            when others then
                if gateway.is_trouble(sqlstate) then
                    raise;
                end if;

                perform gateway.store_bad_turn(turn,
                                               sqlstate || ': ' || sqlerrm);
        end;

        n := n + 1;
    end loop;

    for turn in
        select t
          from unnest(fresh) as t
         order by t ->> 'user_id', t ->> 'character_id', t ->> 'at',
                  t ->> 'id'
    loop
        perform gateway.store_messages(turn);
    end loop;

    return n;
end
$$;


-- The messages of a turn whose ledger row is written; that row stays, with
-- the reason, when they cannot be stored (the chat is another user's, the
-- character is gone).  A question has no row of its own: its turn's, which
-- comes after it, tells the same.

create or replace function gateway.store_messages(turn jsonb) returns void
language plpgsql
set search_path = ''
as $$
begin
    if turn ->> 'kind' = 'question' then
        perform chat.ask(turn);
    else
        perform chat.store_turn(turn);
    end if;

exception
    when others then
        if gateway.is_trouble(sqlstate) then
            raise;
        end if;

        update gateway.ledger
           set error = left(sqlstate || ': ' || sqlerrm, 500), record = turn
         where id = (turn ->> 'id')::uuid;
end
$$;


grant execute on function gateway.turn_id(jsonb),
    gateway.store_bad_turn(jsonb, text), gateway.store_ledger(jsonb),
    gateway.is_trouble(text), gateway.store_turns(jsonb),
    gateway.store_messages(jsonb)
    to sallyport_gateway;
