-- /api/v1/chats


-- Chats and messages --------------------------------------------------------

create or replace function api.chat_json(c chat.chat) returns jsonb
language sql stable
set search_path = ''
as $$
    select jsonb_build_object(
        'id', c.id, 'character_id', c.character_id,
        'title', c.title, 'is_default', c.is_default,
        'messages', c.last_seq, 'leaf_id', c.leaf_id,
        'last_message_at', c.last_message_at,
        'created_at', c.created_at, 'updated_at', c.updated_at)
$$;


create or replace function api.chats_list(ids text[], query jsonb, body jsonb)
returns api.reply
language plpgsql stable
set search_path = ''
as $$
declare
    after   api.place := api.page_after(query);
    at_most int := api.page_limit(query);
    about   uuid := api.uuid_value(query ->> 'character_id',
                                   'character_id');
begin
    return api.page(array(
        select (c.last_message_at, c.id, api.chat_json(c.*))::api.item
          from (select x.*
                  from chat.chat as x
                 where x.user_id = (select auth.uid())
                   and (about is null or x.character_id = about)
                   and (x.last_message_at, x.id) < (after.at, after.id)
                 order by x.last_message_at desc, x.id desc
                 limit at_most + 1) as c), at_most);
end
$$;


create or replace function api.one_chat(chat_id uuid) returns chat.chat
language plpgsql
set search_path = ''
as $$
declare
    c  chat.chat;
begin
    select * into c from chat.chat as x where x.id = chat_id;

    if c.id is null then
        perform api.fail(404, 'chat_not_found', 'there is no such chat');
    end if;

    return c;
end
$$;


create or replace function api.chat_get(ids text[], query jsonb, body jsonb)
returns api.reply
language sql
set search_path = ''
as $$
    select (200, api.chat_json(api.one_chat(api.path_id(ids, 1))), null)
           ::api.reply
$$;


create or replace function api.chat_create(ids text[], query jsonb, body jsonb)
returns api.reply
language plpgsql
set search_path = ''
as $$
declare
    c     chat.chat;
    who   chat.character;
begin
    perform api.only_fields(body, array['character_id', 'title']);

    if not body ? 'character_id' then
        perform api.fail(422, 'missing_field',
                         '"character_id" is required');
    end if;

    who := api.one_character(
        api.uuid_value(body ->> 'character_id', 'character_id'), false);

    insert into chat.chat (user_id, character_id, title)
    values (auth.uid(), who.id, api.text_field(body, 'title', '', 0, 200))
    returning * into c;

    return (201, api.chat_json(c), '/api/v1/chats/' || c.id)::api.reply;
end
$$;


create or replace function api.chat_update(ids text[], query jsonb, body jsonb)
returns api.reply
language plpgsql
set search_path = ''
as $$
declare
    c     chat.chat := api.one_chat(api.path_id(ids, 1));
    leaf  uuid := c.leaf_id;
begin
    perform api.only_fields(body, array['title', 'leaf_id']);

    if body ? 'leaf_id' then
        leaf := api.uuid_value(body ->> 'leaf_id', 'leaf_id');

        perform from chat.message as m
          where m.id = leaf and m.chat_id = c.id and m.role = 'assistant';

        if not found then
            perform api.fail(422, 'invalid_field',
                             '"leaf_id" must be a reply of this chat');
        end if;
    end if;

    update chat.chat as x
       set title = api.text_field(body, 'title', c.title, 0, 200),
           leaf_id = leaf,
           updated_at = now()
     where x.id = c.id
    returning * into c;

    return (200, api.chat_json(c), null)::api.reply;
end
$$;


create or replace function api.chat_delete(ids text[], query jsonb, body jsonb)
returns api.reply
language plpgsql
set search_path = ''
as $$
declare
    c  chat.chat := api.one_chat(api.path_id(ids, 1));
begin
    delete from chat.chat where id = c.id;
    return (204, null, null)::api.reply;
end
$$;


create or replace function api.message_json(m chat.message) returns jsonb
language sql stable
set search_path = ''
as $$
    select jsonb_build_object(
        'id', m.id, 'chat_id', m.chat_id, 'parent_id', m.parent_id,
        'seq', m.seq, 'role', m.role, 'content', m.content,
        'finish', m.finish, 'model', m.model, 'tokens', m.tokens,
        'created_at', m.created_at)
$$;


-- Newest first.  seq is the place: the cursor is the number itself.

create or replace function api.messages_list(ids text[], query jsonb,
    body jsonb)
returns api.reply
language plpgsql
set search_path = ''
as $$
declare
    at_most int := api.page_limit(query);
    before  bigint;
    c       chat.chat := api.one_chat(api.path_id(ids, 1));
    items   jsonb[];
    next    bigint;
begin
    if query ? 'branch' then
        return api.branch_list(c, query, at_most);
    end if;

    if query ? 'cursor' and query ->> 'cursor' !~ '^[0-9]{1,18}$' then
        perform api.fail(400, 'invalid_cursor',
            '"cursor" is not one that a page returned');
    end if;

    before := coalesce((query ->> 'cursor')::bigint, c.last_seq + 1);

    select array_agg(api.message_json(m.*) order by m.seq desc), min(m.seq)
      into items, next
      from (select x.*
              from chat.message as x
             where x.chat_id = c.id and x.seq < before
             order by x.seq desc
             limit at_most) as m;

    return api.list_reply(coalesce(items, '{}'),
                          case when next > 1 then next::text end, at_most);
end
$$;


-- One branch, from its last message up: "current", or the message that is
-- named.  The cursor is the message that comes next.

create or replace function api.branch_list(c chat.chat, query jsonb,
    at_most int)
returns api.reply
language plpgsql
set search_path = ''
as $$
declare
    items  jsonb[];
    last   uuid;
begin
    if query ->> 'branch' = 'current' then
        last := c.leaf_id;
    else
        last := api.uuid_value(query ->> 'branch', 'branch');
    end if;

    if query ? 'cursor' then
        last := api.uuid_value(query ->> 'cursor', 'cursor');
    end if;

    select array_agg(api.message_json(b.m) order by b.n),
           (array_agg((b.m).parent_id order by b.n desc))[1]
      into items, last
      from chat.branch(c.id, last, at_most) as b;

    return api.list_reply(coalesce(items, '{}'), last::text, at_most);
end
$$;


grant execute on function api.chat_json(chat.chat),
    api.chats_list(text[], jsonb, jsonb), api.one_chat(uuid),
    api.chat_get(text[], jsonb, jsonb), api.chat_create(text[], jsonb, jsonb),
    api.chat_update(text[], jsonb, jsonb),
    api.chat_delete(text[], jsonb, jsonb), api.message_json(chat.message),
    api.branch_list(chat.chat, jsonb, int),
    api.messages_list(text[], jsonb, jsonb)
    to sallyport_user;


select api.add_route('GET', '/api/v1/chats', 'chats_list',
                     '{character_id,limit,cursor}')
\g /dev/null
select api.add_route('POST', '/api/v1/chats', 'chat_create', '{}')
\g /dev/null
select api.add_route('GET', '/api/v1/chats/{id}', 'chat_get', '{}')
\g /dev/null
select api.add_route('PATCH', '/api/v1/chats/{id}', 'chat_update', '{}')
\g /dev/null
select api.add_route('DELETE', '/api/v1/chats/{id}', 'chat_delete', '{}')
\g /dev/null
select api.add_route('GET', '/api/v1/chats/{id}/messages', 'messages_list',
                     '{branch,limit,cursor}')
\g /dev/null
