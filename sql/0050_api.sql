-- The data API: what "pg_call SERVER api;" calls.
--
-- A request is looked up in api.route; what is not there does not exist.  A
-- file that brings endpoints of its own adds rows and functions.  A handler
-- is
--     function(ids text[], query jsonb, body jsonb) returns api.reply
-- ids are the id segments of the path in order; query holds only parameters
-- that the route allows, as strings; body is NULL or any JSON value.  It runs
-- as the caller's role with its verified claims, read-only for GET.
--
-- A refusal is raised with SQLSTATE PTnnn (nnn: the HTTP status), the error
-- code as DETAIL: see api.fail().

create type api.reply as (
    status    int,
    body      jsonb,
    location  text
);

create table api.route (
    method     text not null
               check (method in ('GET', 'POST', 'PUT', 'PATCH', 'DELETE')),

    -- of the whole path; an id (UUID or decimal) is written {id}
    pattern    text not null check (pattern ~ '^(/([a-z0-9_-]+|\{id\}))+$'),
    handler    regprocedure not null,
    query      text[] not null default '{}',

    -- may be called by nobody in particular
    anonymous  boolean not null default false,
    primary key (pattern, method)
);

grant select on api.route to sallyport_anon, sallyport_user;


create function api.fail(status int, code text, message text,
    hint text default '')
returns void
language plpgsql
as $$
begin
    raise exception using errcode = 'PT' || status, message = message,
        detail = code, hint = hint;
end
$$;


-- The path with {id} in place of its ids; a brace of its own fits nothing.

create function api.pattern(path text) returns text
language sql immutable parallel safe
as $$
    select regexp_replace(replace(path, '{', '%'),
        '/([0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9]{1,18})'
        '(?=/|$)', '/{id}', 'g')
$$;

create function api.ids(path text) returns text[]
language sql immutable parallel safe
as $$
    select array(
        select m[1]
          from regexp_matches(path,
               '/([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}'
               '|[0-9]{1,18})(?=/|$)', 'g') as m)
$$;


-- The dispatcher.  "allow" is set with status 405.

create function api.call(method text, path text, query jsonb, body jsonb)
returns table (status int, reply text, location text, allow text)
language plpgsql
as $$
declare
    answer  api.reply;
    extra   text;
    known   text := api.pattern(path);
    found   api.route;
begin
    select r.* into found
      from api.route as r
     where r.pattern = known and r.method = call.method;

    if found.handler is null then
        select string_agg(r.method || case r.method when 'GET' then ', HEAD'
                                      else '' end, ', ' order by r.method)
          into allow
          from api.route as r
         where r.pattern = known;

        if allow is null then
            perform api.fail(404, 'not_found', 'there is no such endpoint');
        end if;

        status := 405;
        return next;
        return;
    end if;

    if not found.anonymous and auth.uid() is null then
        perform api.fail(401, 'authentication_required',
                         'sign in to use this endpoint');
    end if;

    select k into extra
      from jsonb_object_keys(query) as k
     where k <> all (found.query)
     limit 1;

    if extra is not null then
        perform api.fail(400, 'unknown_parameter',
            format('unknown query parameter "%s"', left(extra, 64)),
            'known here: ' || coalesce(nullif(array_to_string(
                found.query, ', '), ''), 'none'));
    end if;

    if call.body is not null and jsonb_typeof(call.body) <> 'object' then
        perform api.fail(400, 'invalid_body',
                         'the body must be a JSON object');
    end if;

    -- the name comes from api.route, as a regprocedure; never from input
    execute format('select * from %s($1, $2, $3)',
                   found.handler::oid::regproc)
       into answer
      using api.ids(path), query, coalesce(call.body, '{}');

    status := answer.status;
    reply := answer.body::text;
    location := answer.location;
    return next;
end
$$;


-- Arguments -----------------------------------------------------------------

-- A member of the body: "was" when it is missing.

create function api.text_field(body jsonb, key text, was text, at_least int,
    at_most int)
returns text
language plpgsql immutable
as $$
declare
    v  text := body ->> key;
begin
    if not body ? key then
        return was;
    end if;

    if jsonb_typeof(body -> key) <> 'string' then
        perform api.fail(422, 'invalid_field',
                         format('"%s" must be a string', key));
    end if;

    if length(v) not between at_least and at_most then
        perform api.fail(422, 'invalid_field',
            format('"%s" must be %s to %s characters', key, at_least,
                   at_most));
    end if;

    return v;
end
$$;

create function api.bool_field(body jsonb, key text, was boolean)
returns boolean
language plpgsql immutable
as $$
begin
    if not body ? key then
        return was;
    end if;

    if jsonb_typeof(body -> key) <> 'boolean' then
        perform api.fail(422, 'invalid_field',
                         format('"%s" must be true or false', key));
    end if;

    return (body ->> key)::boolean;
end
$$;

create function api.int_field(body jsonb, key text, was int, at_least int,
    at_most int)
returns int
language plpgsql immutable
as $$
begin
    if not body ? key then
        return was;
    end if;

    if jsonb_typeof(body -> key) <> 'number'
       or (body ->> key)::numeric not between at_least and at_most
       or (body ->> key)::numeric <> trunc((body ->> key)::numeric)
    then
        perform api.fail(422, 'invalid_field',
            format('"%s" must be a whole number from %s to %s', key,
                   at_least, at_most));
    end if;

    return (body ->> key)::numeric::int;
end
$$;

create function api.only_fields(body jsonb, known text[]) returns void
language plpgsql immutable
as $$
declare
    extra  text;
begin
    select k into extra
      from jsonb_object_keys(body) as k
     where k <> all (known)
     limit 1;

    if extra is not null then
        perform api.fail(422, 'unknown_field',
            format('unknown field "%s"', left(extra, 64)),
            'known here: ' || array_to_string(known, ', '));
    end if;
end
$$;

create function api.uuid_value(value text, name text) returns uuid
language plpgsql immutable
as $$
begin
    return value::uuid;
exception
    when invalid_text_representation then
        perform api.fail(422, 'invalid_id',
                         format('"%s" must be a UUID', name));
end
$$;

-- An id of the path; a decimal one names nothing here.

create function api.path_id(ids text[], n int) returns uuid
language plpgsql immutable
as $$
begin
    return ids[n]::uuid;
exception
    when invalid_text_representation then
        perform api.fail(404, 'not_found', 'there is no such thing');
end
$$;


-- Pages: keyset, newest first.  The cursor is opaque to clients: base64url
-- of [timestamp, id] of the last row.

create function api.page_limit(query jsonb) returns int
language plpgsql immutable
as $$
begin
    if not query ? 'limit' then
        return 20;
    end if;

    if query ->> 'limit' !~ '^[0-9]{1,3}$'
       or (query ->> 'limit')::int not between 1 and 100
    then
        perform api.fail(400, 'invalid_limit',
                         '"limit" must be a number from 1 to 100');
    end if;

    return (query ->> 'limit')::int;
end
$$;

create type api.place as (
    at  timestamptz,
    id  uuid
);

create function api.page_after(query jsonb) returns api.place
language plpgsql stable
as $$
declare
    place  api.place;
    v      jsonb;
begin
    if not query ? 'cursor' then
        return ('infinity',
                'ffffffff-ffff-ffff-ffff-ffffffffffff')::api.place;
    end if;

    v := convert_from(decode(translate(query ->> 'cursor', '-_', '+/')
                             || repeat('=', -length(query ->> 'cursor') & 3),
                             'base64'), 'UTF8')::jsonb;
    place.at := v ->> 0;
    place.id := v ->> 1;

    if place.at is null or place.id is null then
        raise sqlstate '22023';
    end if;

    return place;
exception
    when data_exception then
        perform api.fail(400, 'invalid_cursor',
            '"cursor" is not one that a page returned');
end
$$;

create type api.item as (
    at    timestamptz,
    id    uuid,
    body  jsonb
);

-- next: the cursor of the next page, NULL: this is the last

create function api.list_reply(items jsonb[], next text, at_most int)
returns api.reply
language sql immutable
as $$
    select (200, jsonb_build_object(
        'data', to_jsonb(items),
        'page', jsonb_build_object('next', next, 'limit', at_most)), null)
        ::api.reply
$$;

-- items: in order, and one more than the limit where there is a next page

create function api.page(items api.item[], at_most int) returns api.reply
language sql stable
as $$
    select api.list_reply(
        array(select i.body from unnest(items[1:at_most]) as i),
        case when cardinality(items) > at_most then
            translate(encode(convert_to(jsonb_build_array(
                items[at_most].at, items[at_most].id)::text, 'UTF8'),
                'base64'), E'+/=\n', '-_')
            end,
        at_most)
$$;


-- Characters ----------------------------------------------------------------

create function api.character_json(c chat.character) returns jsonb
language sql stable
as $$
    select jsonb_build_object(
        'id', c.id, 'name', c.name, 'description', c.description,
        'personality', c.personality, 'scenario', c.scenario,
        'greeting', c.greeting, 'avatar_url', c.avatar_url,
        'token_uri', c.token_uri, 'token_id', c.token_id::text,
        'is_public', c.is_public, 'model', c.model,
        'mine', c.owner_id is not null and c.owner_id = (select auth.uid()),
        'created_at', c.created_at, 'updated_at', c.updated_at)
        || case when c.owner_id = (select auth.uid())
           then jsonb_build_object('system_prompt', c.system_prompt)
           else '{}' end
$$;

create function api.characters_list(ids text[], query jsonb, body jsonb)
returns api.reply
language plpgsql stable
as $$
declare
    after   api.place := api.page_after(query);
    at_most int := api.page_limit(query);
    which   text := coalesce(query ->> 'scope', 'all');
    words   text := query ->> 'q';
begin
    if which not in ('all', 'public', 'mine') then
        perform api.fail(400, 'invalid_scope',
                         '"scope" must be all, public or mine');
    end if;

    return api.page(array(
        select (c.created_at, c.id, api.character_json(c.*))::api.item
          from (select x.*
                  from chat.character as x
                 where x.deleted_at is null
                   and (x.created_at, x.id) < (after.at, after.id)
                   and case which
                       when 'public' then x.is_public
                       when 'mine' then x.owner_id = (select auth.uid())
                       else true end
                   and (words is null
                        or strpos(lower(x.name || ' ' || x.description),
                                  lower(words)) > 0)
                 order by x.created_at desc, x.id desc
                 limit at_most + 1) as c), at_most);
end
$$;

create function api.one_character(character_id uuid, owned boolean)
returns chat.character
language plpgsql
as $$
declare
    c  chat.character;
begin
    select * into c
      from chat.character as x
     where x.id = character_id and x.deleted_at is null;

    if c.id is null then
        perform api.fail(404, 'character_not_found',
                         'there is no such character, or it is private');
    end if;

    if owned and c.owner_id is distinct from auth.uid() then
        perform api.fail(403, 'not_owner',
                         'only its owner may change a character');
    end if;

    return c;
end
$$;

create function api.character_get(ids text[], query jsonb, body jsonb)
returns api.reply
language sql
as $$
    select (200, api.character_json(
        api.one_character(api.path_id(ids, 1), false)), null)::api.reply
$$;

create function api.character_fields(c chat.character, body jsonb)
returns chat.character
language plpgsql stable
as $$
begin
    perform api.only_fields(body, array['name', 'description', 'personality',
        'scenario', 'greeting', 'system_prompt', 'avatar_url', 'token_uri',
        'is_public']);

    c.name := api.text_field(body, 'name', c.name, 1, 100);
    c.description := api.text_field(body, 'description', c.description,
                                    0, 4000);
    c.personality := api.text_field(body, 'personality', c.personality,
                                    0, 4000);
    c.scenario := api.text_field(body, 'scenario', c.scenario, 0, 4000);
    c.greeting := api.text_field(body, 'greeting', c.greeting, 0, 4000);
    c.system_prompt := api.text_field(body, 'system_prompt',
                                      c.system_prompt, 0, 8000);
    c.avatar_url := api.text_field(body, 'avatar_url', c.avatar_url,
                                   0, 2000);
    c.token_uri := api.text_field(body, 'token_uri', c.token_uri, 0, 2000);
    c.is_public := api.bool_field(body, 'is_public', c.is_public);

    if c.name is null then
        perform api.fail(422, 'missing_field', '"name" is required');
    end if;

    if c.avatar_url !~ '^$|^(https://|ipfs://|/)[^[:space:]<>"]*$' then
        perform api.fail(422, 'invalid_field', '"avatar_url" must begin '
                         'with https://, ipfs:// or /');
    end if;

    return c;
end
$$;

create function api.character_create(ids text[], query jsonb, body jsonb)
returns api.reply
language plpgsql
as $$
declare
    c  chat.character;
begin
    c.id := gen_random_uuid();
    c.owner_id := auth.uid();
    c.description := '';
    c.personality := '';
    c.scenario := '';
    c.greeting := '';
    c.system_prompt := '';
    c.avatar_url := '';
    c.token_uri := '';
    c.is_public := false;
    c.created_at := now();
    c.updated_at := now();
    c := api.character_fields(c, body);

    insert into chat.character values (c.*);

    return (201, api.character_json(c), '/api/v1/characters/' || c.id)
           ::api.reply;
end
$$;

create function api.character_update(ids text[], query jsonb, body jsonb)
returns api.reply
language plpgsql
as $$
declare
    c  chat.character;
begin
    c := api.character_fields(
             api.one_character(api.path_id(ids, 1), true), body);

    update chat.character as x
       set name = c.name, description = c.description,
           personality = c.personality, scenario = c.scenario,
           greeting = c.greeting, system_prompt = c.system_prompt,
           avatar_url = c.avatar_url, token_uri = c.token_uri,
           is_public = c.is_public, updated_at = now()
     where x.id = c.id
    returning * into c;

    return (200, api.character_json(c), null)::api.reply;
end
$$;

create function api.character_delete(ids text[], query jsonb, body jsonb)
returns api.reply
language plpgsql
as $$
declare
    c  chat.character := api.one_character(api.path_id(ids, 1), true);
begin
    update chat.character set deleted_at = now() where id = c.id;
    return (204, null, null)::api.reply;
end
$$;


-- Chats and messages --------------------------------------------------------

create function api.chat_json(c chat.chat) returns jsonb
language sql stable
as $$
    select jsonb_build_object(
        'id', c.id, 'character_id', c.character_id,
        'title', c.title, 'is_default', c.is_default,
        'messages', c.last_seq, 'last_message_at', c.last_message_at,
        'created_at', c.created_at, 'updated_at', c.updated_at)
$$;

create function api.chats_list(ids text[], query jsonb, body jsonb)
returns api.reply
language plpgsql stable
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

create function api.one_chat(chat_id uuid) returns chat.chat
language plpgsql
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

create function api.chat_get(ids text[], query jsonb, body jsonb)
returns api.reply
language sql
as $$
    select (200, api.chat_json(api.one_chat(api.path_id(ids, 1))), null)
           ::api.reply
$$;

create function api.chat_create(ids text[], query jsonb, body jsonb)
returns api.reply
language plpgsql
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

create function api.chat_update(ids text[], query jsonb, body jsonb)
returns api.reply
language plpgsql
as $$
declare
    c  chat.chat := api.one_chat(api.path_id(ids, 1));
begin
    perform api.only_fields(body, array['title']);

    update chat.chat as x
       set title = api.text_field(body, 'title', c.title, 0, 200),
           updated_at = now()
     where x.id = c.id
    returning * into c;

    return (200, api.chat_json(c), null)::api.reply;
end
$$;

create function api.chat_delete(ids text[], query jsonb, body jsonb)
returns api.reply
language plpgsql
as $$
declare
    c  chat.chat := api.one_chat(api.path_id(ids, 1));
begin
    delete from chat.chat where id = c.id;
    return (204, null, null)::api.reply;
end
$$;

-- Newest first.  seq is the place: the cursor is the number itself.

create function api.messages_list(ids text[], query jsonb, body jsonb)
returns api.reply
language plpgsql
as $$
declare
    at_most int := api.page_limit(query);
    before  bigint;
    c       chat.chat := api.one_chat(api.path_id(ids, 1));
    items   jsonb[];
    next    bigint;
begin
    if query ? 'cursor' and query ->> 'cursor' !~ '^[0-9]{1,18}$' then
        perform api.fail(400, 'invalid_cursor',
            '"cursor" is not one that a page returned');
    end if;

    before := coalesce((query ->> 'cursor')::bigint, c.last_seq + 1);

    select array_agg(jsonb_build_object(
               'id', m.id, 'chat_id', m.chat_id, 'seq', m.seq,
               'role', m.role, 'content', m.content, 'partial', m.partial,
               'model', m.model, 'tokens', m.tokens,
               'created_at', m.created_at) order by m.seq desc),
           min(m.seq)
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


-- Memories ------------------------------------------------------------------

create function api.memory_json(m mem.memory) returns jsonb
language sql stable
as $$
    select jsonb_build_object(
        'id', m.id, 'character_id', m.character_id, 'kind', m.kind,
        'subject', m.subject, 'content', m.content,
        'importance', m.importance, 'event_on', m.event_on,
        'pinned', m.pinned, 'hidden', m.hidden,
        'user_edited', m.user_edited, 'confirmed_at', m.confirmed_at,
        'created_at', m.created_at, 'updated_at', m.updated_at)
$$;

create function api.memories_list(ids text[], query jsonb, body jsonb)
returns api.reply
language plpgsql stable
as $$
declare
    after   api.place := api.page_after(query);
    at_most int := api.page_limit(query);
    about   uuid := api.uuid_value(query ->> 'character_id',
                                   'character_id');
    words   tsquery := mem.or_query(query ->> 'q');
begin
    return api.page(array(
        select (m.created_at, m.id, api.memory_json(m.*))::api.item
          from (select x.*
                  from mem.memory as x
                 where x.user_id = (select auth.uid())
                   and x.invalid_at is null
                   and (about is null or x.character_id = about)
                   and (not query ? 'kind' or x.kind = query ->> 'kind')
                   and (not query ? 'q' or x.tsv @@ words)
                   and (x.created_at, x.id) < (after.at, after.id)
                 order by x.created_at desc, x.id desc
                 limit at_most + 1) as m), at_most);
end
$$;

-- Its scope is locked before the memory: in that order everywhere.

create function api.one_memory(memory_id uuid, change boolean)
returns mem.memory
language plpgsql
as $$
declare
    m  mem.memory;
begin
    if change then
        perform from mem.scope as s
          where s.id = (select x.scope_id from mem.memory as x
                         where x.id = memory_id)
            for update;
    end if;

    select * into m
      from mem.memory as x
     where x.id = memory_id and x.invalid_at is null;

    if m.id is null then
        perform api.fail(404, 'memory_not_found',
                         'there is no such memory');
    end if;

    return m;
end
$$;

create function api.memory_get(ids text[], query jsonb, body jsonb)
returns api.reply
language plpgsql
as $$
declare
    m  mem.memory := api.one_memory(api.path_id(ids, 1), false);
begin
    return (200, api.memory_json(m) || jsonb_build_object('sources',
        coalesce((select jsonb_agg(jsonb_build_object(
                             'id', t.id, 'chat_id', t.chat_id,
                             'role', t.role, 'content', t.content,
                             'created_at', t.created_at)
                         order by t.scope_seq)
                    from chat.message as t
                   where t.user_id = m.user_id
                     and t.character_id = m.character_id
                     and t.scope_seq between m.src_from and m.src_to),
                 '[]')), null)::api.reply;
end
$$;

create function api.memory_kind(body jsonb, was text) returns text
language plpgsql immutable
as $$
declare
    kind  text := api.text_field(body, 'kind', was, 1, 20);
begin
    if kind not in ('profile', 'preference', 'relationship', 'event',
                    'promise')
    then
        perform api.fail(422, 'invalid_field', '"kind" must be profile, '
                         'preference, relationship, event or promise');
    end if;

    return kind;
end
$$;

create function api.memory_create(ids text[], query jsonb, body jsonb)
returns api.reply
language plpgsql
as $$
declare
    m     mem.memory;
    s     mem.scope;
    said  text := btrim(api.text_field(body, 'content', '', 1, 300));
    who   uuid;
begin
    perform api.only_fields(body, array['character_id', 'content', 'kind',
        'subject', 'importance', 'pinned']);

    if not body ? 'character_id' or said = '' then
        perform api.fail(422, 'missing_field',
                         '"character_id" and "content" are required');
    end if;

    who := (api.one_character(api.uuid_value(body ->> 'character_id',
                                             'character_id'), false)).id;

    insert into mem.scope (user_id, character_id)
    values (auth.uid(), who)
        on conflict (tenant, user_id, character_id) do nothing;

    select * into strict s
      from mem.scope as x
     where x.tenant = 'main' and x.user_id = auth.uid()
       and x.character_id = who
       for update;

    if exists (select from mem.memory as x
                where x.scope_id = s.id and x.hash = mem.hash(said)
                  and x.invalid_at is null)
    then
        perform api.fail(409, 'memory_exists',
                         'this is already remembered');
    end if;

    if (select count(*) from mem.memory as x
         where x.scope_id = s.id and x.invalid_at is null) >= 1000
    then
        perform api.fail(409, 'memory_full', 'at most 1,000 memories with '
                         'a character', 'delete some first');
    end if;

    m.id := mem.insert_memory(s, said, api.memory_kind(body, 'profile'),
        api.text_field(body, 'subject', '', 0, 100),
        api.int_field(body, 'importance', 7, 1, 10), null, null, null, null,
        'user');

    update mem.memory as x
       set pinned = api.bool_field(body, 'pinned', false)
     where x.id = m.id
    returning * into m;

    return (201, api.memory_json(m), '/api/v1/memories/' || m.id)::api.reply;
end
$$;

create function api.memory_update(ids text[], query jsonb, body jsonb)
returns api.reply
language plpgsql
as $$
declare
    m     mem.memory := api.one_memory(api.path_id(ids, 1), true);
    said  text := btrim(api.text_field(body, 'content', m.content, 1, 300));
begin
    perform api.only_fields(body, array['content', 'kind', 'subject',
        'importance', 'pinned', 'hidden']);

    if said = '' then
        perform api.fail(422, 'invalid_field',
                         '"content" must not be empty');
    end if;

    insert into mem.audit (scope_id, user_id, memory_id, op, actor,
        before_hash, after_hash)
    values (m.scope_id, m.user_id, m.id, 'edit', 'user', m.hash,
        mem.hash(said));

    -- a changed text loses its vector; a job makes a new one
    if said <> m.content and mem.has_vectors() then
        update mem.memory
           set embedding = null, embed_model = null
         where id = m.id;
    end if;

    update mem.memory as x
       set content = said, hash = mem.hash(said),
           subject = api.text_field(body, 'subject', m.subject, 0, 100),
           tsv = chat.tsv(api.text_field(body, 'subject', m.subject, 0, 100)
                          || ' ' || said),
           kind = api.memory_kind(body, m.kind),
           importance = api.int_field(body, 'importance', m.importance,
                                      1, 10),
           pinned = api.bool_field(body, 'pinned', m.pinned),
           hidden = api.bool_field(body, 'hidden', m.hidden),
           user_edited = x.user_edited or said <> m.content,
           updated_at = now()
     where x.id = m.id
    returning * into m;

    return (200, api.memory_json(m), null)::api.reply;

exception
    when unique_violation then
        perform api.fail(409, 'memory_exists',
                         'this is already remembered');
end
$$;

-- Forgets the memory, keeps its hash so that it is not extracted again, and
-- takes the turns it came from out of recall: the chat itself stays.

create function api.memory_delete(ids text[], query jsonb, body jsonb)
returns api.reply
language plpgsql
as $$
declare
    m  mem.memory := api.one_memory(api.path_id(ids, 1), true);
begin
    insert into mem.tombstone (scope_id, user_id, hash)
    values (m.scope_id, m.user_id, m.hash)
        on conflict do nothing;

    insert into mem.audit (scope_id, user_id, memory_id, op, actor,
        before_hash)
    values (m.scope_id, m.user_id, m.id, 'delete', 'user', m.hash);

    update chat.message as t
       set scope_seq = null
     where t.user_id = m.user_id and t.character_id = m.character_id
       and t.scope_seq between m.src_from and m.src_to + 1;

    delete from mem.memory where id = m.id;

    return (204, null, null)::api.reply;
end
$$;

-- Forgets everything with a character: memories, the recall of earlier turns
-- and what running jobs would still write (the epoch).

create function api.memories_wipe(ids text[], query jsonb, body jsonb)
returns api.reply
language plpgsql
as $$
declare
    s  mem.scope;
begin
    if not query ? 'character_id' then
        perform api.fail(400, 'missing_parameter',
                         '"character_id" is required');
    end if;

    select * into s
      from mem.scope as x
     where x.user_id = auth.uid() and x.tenant = 'main'
       and x.character_id = api.uuid_value(query ->> 'character_id',
                                           'character_id')
       for update;

    if s.id is not null then
        delete from mem.memory where scope_id = s.id;

        update mem.scope
           set epoch = epoch + 1, forgotten_upto = msg_seq,
               enqueued_upto = msg_seq, extracted_upto = msg_seq,
               profile = '', profile_rev = profile_rev + 1,
               updated_at = now()
         where id = s.id;

        insert into mem.audit (scope_id, user_id, op, actor)
        values (s.id, s.user_id, 'wipe', 'user');
    end if;

    return (204, null, null)::api.reply;
end
$$;


insert into api.route (method, pattern, handler, query, anonymous)
select v.method, v.pattern,
       to_regprocedure('api.' || v.name || '(text[],jsonb,jsonb)'),
       v.query, v.anonymous
  from (values
    ('GET', '/api/v1/characters', 'characters_list',
     '{scope,q,limit,cursor}'::text[], true),
    ('POST', '/api/v1/characters', 'character_create', '{}', false),
    ('GET', '/api/v1/characters/{id}', 'character_get', '{}', true),
    ('PATCH', '/api/v1/characters/{id}', 'character_update', '{}', false),
    ('DELETE', '/api/v1/characters/{id}', 'character_delete', '{}', false),
    ('GET', '/api/v1/chats', 'chats_list', '{character_id,limit,cursor}', false),
    ('POST', '/api/v1/chats', 'chat_create', '{}', false),
    ('GET', '/api/v1/chats/{id}', 'chat_get', '{}', false),
    ('PATCH', '/api/v1/chats/{id}', 'chat_update', '{}', false),
    ('DELETE', '/api/v1/chats/{id}', 'chat_delete', '{}', false),
    ('GET', '/api/v1/chats/{id}/messages', 'messages_list', '{limit,cursor}',
     false),
    ('GET', '/api/v1/memories', 'memories_list',
     '{character_id,kind,q,limit,cursor}', false),
    ('POST', '/api/v1/memories', 'memory_create', '{}', false),
    ('DELETE', '/api/v1/memories', 'memories_wipe', '{character_id}', false),
    ('GET', '/api/v1/memories/{id}', 'memory_get', '{}', false),
    ('PATCH', '/api/v1/memories/{id}', 'memory_update', '{}', false),
    ('DELETE', '/api/v1/memories/{id}', 'memory_delete', '{}', false)
  ) as v (method, pattern, name, query, anonymous);


grant execute on all functions in schema api to sallyport_user;
grant execute on function api.fail(int, text, text, text),
    api.pattern(text), api.ids(text),
    api.call(text, text, jsonb, jsonb), api.path_id(text[], int),
    api.page_limit(jsonb), api.page_after(jsonb),
    api.list_reply(jsonb[], text, int), api.page(api.item[], int),
    api.character_json(chat.character),
    api.one_character(uuid, boolean),
    api.characters_list(text[], jsonb, jsonb),
    api.character_get(text[], jsonb, jsonb)
    to sallyport_anon;
