-- What the gateway loads of a chat that it keeps: whom it is with, and what a
-- model is to read before the next message.  Runs as the user.


-- What is continued: the message that is named, none for "root", else the
-- leaf.  "again": the question that is to be answered once more, which is the
-- last one without an answer at the leaf, else that of the leaf.

create or replace function chat.context_end(c chat.chat, parent text,
    again boolean)
returns chat.message
language plpgsql stable
set search_path = ''
as $$
declare
    m  chat.message;
begin
    m := chat.named_message(c, parent);

    if not again and m.role = 'user' then
        raise sqlstate 'PT409'
            using message = 'a message follows a reply',
            detail = 'parent_not_a_reply';
    end if;

    if not again or m.role = 'user' then
        return m;
    end if;

    select x.* into m
      from chat.message as x
     where x.chat_id = c.id and x.role = 'user'
       and (x.id = m.parent_id
            or (parent is null
                and (x.parent_id = m.id
                     or (x.parent_id is null and m.id is null))
                and not exists (select from chat.message as r
                                 where r.parent_id = x.id
                                   and r.finish <> 'failed')))
     order by x.parent_id is not distinct from m.id desc, x.seq desc
     limit 1;

    if m.id is null or m.role <> 'user' then
        raise sqlstate 'PT409'
            using message = 'the chat has no message to be answered again',
            detail = 'nothing_to_answer';
    end if;

    return m;
end
$$;


-- parent_id: as chat.ask() takes it; NULL: the leaf.  messages: oldest first,
-- {role, content}, at most so many and of so many bytes, what is answered
-- again in any case; never a reply without its question.

create or replace function chat.context(in_chat uuid, parent text,
    again boolean, at_most int, bytes bigint)
returns table (character_id uuid, parent_id text, messages jsonb)
language plpgsql stable
set search_path = ''
as $$
declare
    c  chat.chat;
    m  chat.message;
begin
    select * into c
      from chat.chat as x
     where x.id = in_chat and x.user_id = (select auth.uid());

    if c.id is null then
        raise sqlstate 'PT404' using message = 'there is no such chat',
            detail = 'chat_not_found';
    end if;

    m := chat.context_end(c, parent, again);

    return query
    select c.character_id, case when again then m.id::text else parent end,
           coalesce(jsonb_agg(jsonb_build_object('role', t.role,
                                                 'content', t.content)
                              order by t.n desc), '[]')
      from (select s.*, lead(s.total) over (order by s.n) as before
              from (select b.n, (b.m).role, (b.m).content,
                           (b.m).parent_id as follows,
                           sum(octet_length((b.m).content))
                               over (order by b.n) as total
                      from chat.branch(c.id, m.id, at_most) as b) as s) as t
     where (t.n = 1 or t.total <= bytes)
       and (t.role = 'user' or t.follows is null or t.before <= bytes);
end
$$;


grant execute on function chat.context_end(chat.chat, text, boolean),
    chat.context(uuid, text, boolean, int, bigint)
    to sallyport_user;
