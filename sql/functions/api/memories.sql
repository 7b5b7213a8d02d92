-- /api/v1/memories


-- Memories ------------------------------------------------------------------

create or replace function api.memory_json(m mem.memory) returns jsonb
language sql stable
set search_path = ''
as $$
    select jsonb_build_object(
        'id', m.id, 'character_id', m.character_id, 'kind', m.kind,
        'subject', m.subject, 'content', m.content,
        'importance', m.importance, 'event_on', m.event_on,
        'pinned', m.pinned, 'hidden', m.hidden,
        'user_edited', m.user_edited, 'confirmed_at', m.confirmed_at,
        'created_at', m.created_at, 'updated_at', m.updated_at)
$$;


create or replace function api.memories_list(ids text[], query jsonb,
    body jsonb)
returns api.reply
language plpgsql stable
set search_path = ''
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

create or replace function api.one_memory(memory_id uuid, change boolean)
returns mem.memory
language plpgsql
set search_path = ''
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


create or replace function api.memory_get(ids text[], query jsonb, body jsonb)
returns api.reply
language plpgsql
set search_path = ''
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


create or replace function api.memory_kind(body jsonb, was text) returns text
language plpgsql immutable
set search_path = ''
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


create or replace function api.memory_create(ids text[], query jsonb,
    body jsonb)
returns api.reply
language plpgsql
set search_path = ''
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


create or replace function api.memory_update(ids text[], query jsonb,
    body jsonb)
returns api.reply
language plpgsql
set search_path = ''
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

create or replace function api.memory_delete(ids text[], query jsonb,
    body jsonb)
returns api.reply
language plpgsql
set search_path = ''
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

create or replace function api.memories_wipe(ids text[], query jsonb,
    body jsonb)
returns api.reply
language plpgsql
set search_path = ''
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


grant execute on function api.memory_json(mem.memory),
    api.memories_list(text[], jsonb, jsonb), api.one_memory(uuid, boolean),
    api.memory_get(text[], jsonb, jsonb), api.memory_kind(jsonb, text),
    api.memory_create(text[], jsonb, jsonb),
    api.memory_update(text[], jsonb, jsonb),
    api.memory_delete(text[], jsonb, jsonb),
    api.memories_wipe(text[], jsonb, jsonb)
    to sallyport_user;


select api.add_route('GET', '/api/v1/memories', 'memories_list',
                     '{character_id,kind,q,limit,cursor}')
\g /dev/null
select api.add_route('POST', '/api/v1/memories', 'memory_create', '{}')
\g /dev/null
select api.add_route('DELETE', '/api/v1/memories', 'memories_wipe',
                     '{character_id}')
\g /dev/null
select api.add_route('GET', '/api/v1/memories/{id}', 'memory_get', '{}')
\g /dev/null
select api.add_route('PATCH', '/api/v1/memories/{id}', 'memory_update', '{}')
\g /dev/null
select api.add_route('DELETE', '/api/v1/memories/{id}', 'memory_delete', '{}')
\g /dev/null
