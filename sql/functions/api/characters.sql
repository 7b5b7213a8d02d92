-- /api/v1/characters


-- Characters ----------------------------------------------------------------

create or replace function api.character_json(c chat.character) returns jsonb
language sql stable
set search_path = ''
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


create or replace function api.characters_list(ids text[], query jsonb,
    body jsonb)
returns api.reply
language plpgsql stable
set search_path = ''
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


create or replace function api.one_character(character_id uuid, owned boolean)
returns chat.character
language plpgsql
set search_path = ''
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


create or replace function api.character_get(ids text[], query jsonb,
    body jsonb)
returns api.reply
language sql
set search_path = ''
as $$
    select (200, api.character_json(
        api.one_character(api.path_id(ids, 1), false)), null)::api.reply
$$;


-- What strangers read is neither empty nor endless: the constraint
-- public_shape of chat.character, told by the field.

create or replace function api.public_length(field text, value text,
    at_least int, at_most int)
returns void
language plpgsql
set search_path = ''
as $$
begin
    if length(value) not between at_least and at_most then
        perform api.fail(422, 'invalid_field',
                         format('"%s" of a public character must have %s to '
                                '%s characters', field, at_least, at_most));
    end if;
end
$$;


create or replace function api.character_fields(c chat.character, body jsonb)
returns chat.character
language plpgsql stable
set search_path = ''
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

    if c.is_public then
        perform api.public_length('name', c.name, 1, 50),
                api.public_length('description', c.description, 10, 500),
                api.public_length('personality', c.personality, 10, 1000);
    end if;

    if c.avatar_url !~ '^$|^(https://|ipfs://|/)[^[:space:]<>"]*$' then
        perform api.fail(422, 'invalid_field', '"avatar_url" must begin '
                         'with https://, ipfs:// or /');
    end if;

    return c;
end
$$;


create or replace function api.character_create(ids text[], query jsonb,
    body jsonb)
returns api.reply
language plpgsql
set search_path = ''
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


create or replace function api.character_update(ids text[], query jsonb,
    body jsonb)
returns api.reply
language plpgsql
set search_path = ''
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


create or replace function api.character_delete(ids text[], query jsonb,
    body jsonb)
returns api.reply
language plpgsql
set search_path = ''
as $$
declare
    c  chat.character := api.one_character(api.path_id(ids, 1), true);
begin
    update chat.character set deleted_at = now() where id = c.id;
    return (204, null, null)::api.reply;
end
$$;


grant execute on function api.public_length(text, text, int, int)
    to sallyport_user;
grant execute on function api.character_json(chat.character),
    api.characters_list(text[], jsonb, jsonb),
    api.one_character(uuid, boolean), api.character_get(text[], jsonb, jsonb)
    to sallyport_anon, sallyport_user;
grant execute on function api.character_fields(chat.character, jsonb),
    api.character_create(text[], jsonb, jsonb),
    api.character_update(text[], jsonb, jsonb),
    api.character_delete(text[], jsonb, jsonb)
    to sallyport_user;


select api.add_route('GET', '/api/v1/characters', 'characters_list',
                     '{scope,q,limit,cursor}', true)
\g /dev/null
select api.add_route('POST', '/api/v1/characters', 'character_create', '{}')
\g /dev/null
select api.add_route('GET', '/api/v1/characters/{id}', 'character_get',
                     '{}', true)
\g /dev/null
select api.add_route('PATCH', '/api/v1/characters/{id}', 'character_update',
                     '{}')
\g /dev/null
select api.add_route('DELETE', '/api/v1/characters/{id}', 'character_delete',
                     '{}')
\g /dev/null
