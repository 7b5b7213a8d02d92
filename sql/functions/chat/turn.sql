-- Chats and messages of finished turns.


-- The text search configuration of recall: stems and stop words of English;
-- words of other languages pass through as they are.  The text is cut where
-- a tsvector would overflow.

create or replace function chat.tsv(text) returns tsvector
language sql immutable parallel safe
set search_path = ''
as $$
    select to_tsvector('pg_catalog.english', left($1, 50000))
$$;


-- The chat a turn belongs to, locked until the transaction ends.  A chat id
-- that is not known yet opens the chat: clients may choose it.

create or replace function chat.open_chat(turn_user uuid, turn_character uuid,
    turn_chat uuid, first_text text)
returns chat.chat
language plpgsql
set search_path = ''
as $$
declare
    c  chat.chat;
begin
    if turn_chat is null then
        insert into chat.chat (user_id, character_id, is_default)
        values (turn_user, turn_character, true)
            on conflict (user_id, character_id) where is_default do nothing;

        select * into strict c
          from chat.chat
         where user_id = turn_user and character_id = turn_character
           and is_default
           for update;

        return c;
    end if;

    insert into chat.chat (id, user_id, character_id, title)
    values (turn_chat, turn_user, turn_character,
            left(regexp_replace(first_text, '\s+', ' ', 'g'), 80))
        on conflict (id) do nothing;

    select * into strict c from chat.chat where id = turn_chat for update;

    if c.user_id <> turn_user then
        raise sqlstate '42501' using message = 'the chat is another user''s';
    end if;

    if c.character_id <> turn_character then
        raise sqlstate '22023'
            using message = 'the chat is with another character';
    end if;

    return c;
end
$$;


-- Called by gateway.store_turns for each new record: its two messages, their
-- place in memory, the counter, and the extraction job when it is due.

create or replace function chat.store_turn(turn jsonb) returns void
language plpgsql
set search_path = ''
as $$
declare
    c            chat.chat;
    answer       text := coalesce(turn ->> 'assistant_text', '');
    before_text  text;
    place        bigint;
    question     text := coalesce(turn ->> 'user_text', '');
    said_at      timestamptz;
    turn_user    uuid := nullif(turn ->> 'user_id', '')::uuid;
    turn_char    uuid := nullif(turn ->> 'character_id', '')::uuid;
begin
    if not coalesce((turn ->> 'store')::boolean, false)
       or turn_user is null or turn_char is null
       or turn ->> 'outcome' not in ('complete', 'partial', 'cached')
       or question = '' or answer = ''
    then
        return;
    end if;

    said_at := coalesce(to_timestamp((turn ->> 'at')::double precision),
                        now());

    -- first of all the scope: its lock is the order in which everything of
    -- one user and character happens
    place := mem.take_places(turn_user, turn_char,
        case when (turn ->> 'memory')::boolean then 2 else 0 end);
    c := chat.open_chat(turn_user, turn_char,
                        nullif(turn ->> 'chat_id', '')::uuid, question);

    select m.content into before_text
      from chat.message as m
     where m.chat_id = c.id and m.seq = c.last_seq;

    insert into chat.message (chat_id, seq, user_id, character_id, role,
        content, turn_id, partial, model, tokens, scope_seq, tsv, created_at)
    values
        (c.id, c.last_seq + 1, turn_user, turn_char, 'user', question,
         (turn ->> 'id')::uuid, false, '', 0, place,
         chat.tsv(right(coalesce(before_text, ''), 2000) || E'\n'
                  || question), said_at),
        (c.id, c.last_seq + 2, turn_user, turn_char, 'assistant', answer,
         (turn ->> 'id')::uuid, turn ->> 'outcome' = 'partial',
         coalesce(turn ->> 'model', ''),
         coalesce((turn ->> 'estimated_completion_tokens')::bigint,
                  (turn ->> 'completion_tokens')::bigint, 0), place + 1,
         chat.tsv(right(question, 2000) || E'\n' || answer), said_at);

    update chat.chat
       set last_seq = c.last_seq + 2,
           last_message_at = greatest(last_message_at, said_at),
           updated_at = now(),
           title = case when title = '' and not is_default
                   then left(regexp_replace(question, '\s+', ' ', 'g'), 80)
                   else title end
     where id = c.id;

    update gateway.ledger
       set stored = true, chat_id = c.id
     where id = (turn ->> 'id')::uuid;

    if place is not null then
        perform mem.enqueue_due(turn_user, turn_char);
    end if;
end
$$;


grant execute on function chat.tsv(text)
    to sallyport_user, sallyport_gateway;
grant execute on function chat.open_chat(uuid, uuid, uuid, text),
    chat.store_turn(jsonb)
    to sallyport_gateway;
