-- What a user says: stored before a model is asked.


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
    values (turn_chat, turn_user, turn_character, chat.title(first_text))
        on conflict (id) do nothing;

    select * into strict c from chat.chat where id = turn_chat for update;

    if c.user_id <> turn_user then
        raise sqlstate 'PT404' using message = 'there is no such chat',
            detail = 'chat_not_found';
    end if;

    if c.character_id <> turn_character then
        raise sqlstate 'PT409'
            using message = 'the chat is with another character',
            detail = 'chat_of_another_character';
    end if;

    return c;
end
$$;


create or replace function chat.title(first_text text) returns text
language sql immutable parallel safe
set search_path = ''
as $$
    select left(regexp_replace(first_text, '\s+', ' ', 'g'), 80)
$$;


-- What a question of this record follows: the message it names, none for
-- "root", else what was current when it was asked.  That is the chat's leaf,
-- unless this record comes from the spool, behind others that are newer.

create or replace function chat.parent_of(c chat.chat, turn jsonb,
    asked_at timestamptz)
returns chat.message
language plpgsql stable
set search_path = ''
as $$
declare
    m     chat.message;
    name  text := nullif(turn ->> 'parent_id', '');
begin
    m := chat.named_message(c, name);

    if name is null and m.created_at > asked_at then
        select (b.m).* into m
          from chat.branch(c.id, m.id, 100) as b
         where (b.m).role = 'assistant' and (b.m).created_at <= asked_at
         order by b.n
         limit 1;
    end if;

    return m;
end
$$;


-- The question of a turn: its id is "question_id", or the turn's, so that it
-- is stored once, whoever comes first: the step before the call, the spool,
-- the turn itself.  Where "parent_id" names a question, that one is answered
-- again, and so is one that got no answer and is asked anew in the same words:
-- what failed is sent again by SDKs, and with the results of tools.

create or replace function chat.store_question(turn jsonb)
returns chat.message
language plpgsql
set search_path = ''
as $$
declare
    asked_at   timestamptz;
    c          chat.chat;
    own_id     uuid := coalesce(nullif(turn ->> 'question_id', ''),
                                turn ->> 'id')::uuid;
    parent     chat.message;
    q          chat.message;
    text_said  text := turn ->> 'user_text';
begin
    c := chat.open_chat((turn ->> 'user_id')::uuid,
                        (turn ->> 'character_id')::uuid,
                        nullif(turn ->> 'chat_id', '')::uuid, text_said);

    select m.* into q
      from chat.message as m
     where m.chat_id = c.id
       and m.id in (own_id,
                    (select r.parent_id from chat.message as r
                      where r.id = chat.reply_id((turn ->> 'id')::uuid)));

    if q.id is not null then
        return q;
    end if;

    asked_at := coalesce(to_timestamp((turn ->> 'at')::double precision
                    - coalesce((turn ->> 'total_ms')::bigint, 0) / 1000.0),
                    now());

    parent := chat.parent_of(c, turn, asked_at);

    if parent.role = 'user' then
        return parent;
    end if;

    q := chat.unanswered(c.id, parent.id, text_said);

    if q.id is not null then
        return q;
    end if;

    insert into chat.message (chat_id, seq, id, parent_id, placed, user_id,
        character_id, role, content, turn_id, tsv, created_at)
    values (c.id, c.last_seq + 1, own_id, parent.id,
        nullif(turn ->> 'parent_id', '') is not null, c.user_id,
        c.character_id, 'user', text_said, (turn ->> 'id')::uuid,
        chat.tsv(right(coalesce(parent.content, ''), 2000) || E'\n'
                 || text_said), asked_at)
    returning * into q;

    update chat.chat
       set last_seq = c.last_seq + 1,
           last_message_at = greatest(last_message_at, asked_at),
           updated_at = now(),
           title = case when title = '' and not is_default
                   then chat.title(text_said) else title end
     where id = c.id;

    return q;
end
$$;


create or replace function chat.unanswered(in_chat uuid, parent uuid,
    text_said text)
returns chat.message
language sql stable
set search_path = ''
as $$
    select m.*
      from chat.message as m
     where m.chat_id = in_chat and m.role = 'user' and m.content = text_said
       and (m.parent_id = parent or (m.parent_id is null and parent is null))
       and not exists (select from chat.message as r
                        where r.parent_id = m.id)
     order by m.seq desc
     limit 1
$$;


-- Before the call, beside the step that loads the character: nothing is
-- stored for one that the user may not see.

create or replace function chat.ask(turn jsonb)
returns table (question_id uuid, chat_id uuid, parent_id uuid)
language plpgsql
set search_path = ''
as $$
declare
    q  chat.message;
begin
    perform from chat.character as c
      where c.id = (turn ->> 'character_id')::uuid and c.deleted_at is null
        and (c.is_public or c.owner_id = (turn ->> 'user_id')::uuid);

    if not found then
        raise sqlstate 'PT404' using message = 'the character does not exist',
            detail = 'character_not_found';
    end if;

    q := chat.store_question(turn);

    return query select q.id, q.chat_id, q.parent_id;
end
$$;


grant execute on function chat.title(text)
    to sallyport_user, sallyport_gateway;
grant execute on function chat.open_chat(uuid, uuid, uuid, text),
    chat.parent_of(chat.chat, jsonb, timestamptz),
    chat.unanswered(uuid, uuid, text), chat.store_question(jsonb),
    chat.ask(jsonb)
    to sallyport_gateway;
