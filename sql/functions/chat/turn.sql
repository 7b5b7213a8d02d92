-- Messages of finished turns.


-- The text search configuration of recall: stems and stop words of English;
-- words of other languages pass through as they are.  The text is cut where
-- a tsvector would overflow.

create or replace function chat.tsv(text) returns tsvector
language sql immutable parallel safe
set search_path = ''
as $$
    select to_tsvector('pg_catalog.english', left($1, 50000))
$$;


-- The id of a turn's reply: that of the turn, as a UUID of version 8
-- (RFC 9562, 5.8), so that all who know the turn know it.

create or replace function chat.reply_id(turn_id uuid) returns uuid
language sql immutable parallel safe
set search_path = ''
as $$
    select overlay(turn_id::text placing '8' from 15)::uuid
$$;


-- How a reply ended, in the words of chat.message.  A provider's word is
-- kept by the ledger as it was.

create or replace function chat.finish(turn jsonb) returns text
language sql immutable parallel safe
set search_path = ''
as $$
    select case
           when turn ->> 'outcome' not in ('complete', 'cached')
           then turn ->> 'outcome'
           when lower(turn ->> 'finish_reason')
                in ('length', 'max_tokens', 'max_output_tokens',
                    'model_context_window_exceeded') then 'length'
           when lower(turn ->> 'finish_reason') = 'refusal' then 'refused'
           when lower(turn ->> 'finish_reason')
                in ('content_filter', 'safety', 'recitation', 'blocklist',
                    'prohibited_content', 'spii') then 'content_filter'
           else 'complete' end
$$;


-- Called by gateway.store_turns for each new record: its question, where
-- that is not there yet, its reply, their places in memory, the counter, and
-- the extraction job when it is due.  What failed half-way is kept, and not
-- remembered.

create or replace function chat.store_turn(turn jsonb) returns void
language plpgsql
set search_path = ''
as $$
declare
    answer       text := coalesce(turn ->> 'assistant_text', '');
    place        bigint;
    q            chat.message;
    remembered   boolean;
    turn_user    uuid := nullif(turn ->> 'user_id', '')::uuid;
    turn_char    uuid := nullif(turn ->> 'character_id', '')::uuid;
begin
    if not coalesce((turn ->> 'store')::boolean, false)
       or turn_user is null or turn_char is null
       or turn ->> 'outcome' not in ('complete', 'partial', 'failed', 'cached')
       or coalesce(turn ->> 'user_text', '') = '' or answer = ''
    then
        return;
    end if;

    -- first of all the scope: its lock is the order in which everything of
    -- one user and character happens
    perform mem.take_places(turn_user, turn_char, 0);

    q := chat.store_question(turn);

    remembered := (turn ->> 'memory')::boolean
                  and turn ->> 'outcome' <> 'failed';

    if remembered then
        place := mem.take_places(turn_user, turn_char,
                                 case when q.scope_seq is null
                                 then 2 else 1 end);
    end if;

    if place is not null and q.scope_seq is null then
        update chat.message set scope_seq = place where id = q.id;
        place := place + 1;

    elsif place is not null then
        -- what was answered again is remembered by its last answer
        update chat.message set scope_seq = null
         where parent_id = q.id and scope_seq is not null;
    end if;

    perform chat.store_reply(turn, q, answer, place);

    update gateway.ledger
       set stored = true, chat_id = q.chat_id
     where id = (turn ->> 'id')::uuid;

    if place is not null then
        perform mem.enqueue_due(turn_user, turn_char);
    end if;
end
$$;


create or replace function chat.store_reply(turn jsonb, q chat.message,
    answer text, place bigint)
returns void
language plpgsql
set search_path = ''
as $$
declare
    late     chat.message;
    lates    uuid[] := '{}';
    reply    uuid := chat.reply_id((turn ->> 'id')::uuid);
    said_at  timestamptz;
    seat     bigint;
begin
    said_at := coalesce(to_timestamp((turn ->> 'at')::double precision),
                        now());

    -- a question that failed is not where the chat goes on
    update chat.chat
       set last_seq = last_seq + 1,
           last_message_at = greatest(last_message_at, said_at),
           leaf_id = case when turn ->> 'outcome' <> 'failed'
                               and leaf_at <= said_at
                     then reply else leaf_id end,
           leaf_at = case when turn ->> 'outcome' <> 'failed'
                     then greatest(leaf_at, said_at) else leaf_at end,
           updated_at = now()
     where id = q.chat_id
    returning last_seq into seat;

    if turn ->> 'outcome' <> 'failed' then
        for late in select * from chat.late_questions(q, said_at) loop
            update chat.message set seq = seat where id = late.id;
            lates := lates || late.id;
            seat := late.seq;
        end loop;
    end if;

    insert into chat.message (chat_id, seq, id, parent_id, placed, user_id,
        character_id, role, content, turn_id, finish, model, tokens,
        scope_seq, tsv, created_at)
    values (q.chat_id, seat, reply, q.id, true, q.user_id, q.character_id,
        'assistant', answer, (turn ->> 'id')::uuid, chat.finish(turn),
        coalesce(turn ->> 'model', ''),
        coalesce((turn ->> 'estimated_completion_tokens')::bigint,
                 (turn ->> 'completion_tokens')::bigint, 0), place,
        chat.tsv(right(q.content, 2000) || E'\n' || answer), said_at);

    if lates <> '{}' then
        update chat.message set parent_id = reply where id = any (lates);
    end if;
end
$$;


-- Replies come through the spool, and may be later here than the question
-- that followed them.  A question that was asked after this reply, and is
-- beside its question because the reply was not there, belongs below it.

create or replace function chat.late_questions(q chat.message,
    said_at timestamptz)
returns setof chat.message
language sql stable
set search_path = ''
as $$
    select *
      from chat.message as m
     where m.chat_id = q.chat_id and m.role = 'user' and not m.placed
       and m.id <> q.id and m.created_at >= said_at
       and (m.parent_id = q.parent_id
            or (m.parent_id is null and q.parent_id is null))
     order by m.seq desc
$$;


grant execute on function chat.tsv(text)
    to sallyport_user, sallyport_gateway;
grant execute on function chat.reply_id(uuid), chat.finish(jsonb),
    chat.store_turn(jsonb),
    chat.store_reply(jsonb, chat.message, text, bigint),
    chat.late_questions(chat.message, timestamptz)
    to sallyport_gateway;
