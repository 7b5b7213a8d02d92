-- The dispatcher, and how a handler refuses.


create or replace function api.fail(status int, code text, message text,
    hint text default '')
returns void
language plpgsql
set search_path = ''
as $$
begin
    raise exception using errcode = 'PT' || status, message = message,
        detail = code, hint = hint;
end
$$;


-- The path with {id} in place of its ids; a brace of its own fits nothing.

create or replace function api.pattern(path text) returns text
language sql immutable parallel safe
set search_path = ''
as $$
    select regexp_replace(replace(path, '{', '%'),
        '/([0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9]{1,18})'
        '(?=/|$)', '/{id}', 'g')
$$;


create or replace function api.ids(path text) returns text[]
language sql immutable parallel safe
set search_path = ''
as $$
    select array(
        select m[1]
          from regexp_matches(path,
               '/([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}'
               '|[0-9]{1,18})(?=/|$)', 'g') as m)
$$;


-- The dispatcher.  "allow" is set with status 405.

create or replace function api.call(method text, path text, query jsonb,
    body jsonb)
returns table (status int, reply text, location text, allow text)
language plpgsql
set search_path = ''
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


-- An endpoint, where its handler is; for the files of handlers.

create or replace function api.add_route(method text, pattern text,
    handler text, query text[], anonymous boolean default false)
returns void
language sql
set search_path = ''
as $$
    insert into api.route (method, pattern, handler, query, anonymous)
    values (method, pattern,
            ('api.' || handler || '(text[],jsonb,jsonb)')::regprocedure,
            query, anonymous)
    on conflict on constraint route_pkey do update
       set handler = excluded.handler, query = excluded.query,
           anonymous = excluded.anonymous
$$;


grant execute on function api.fail(int, text, text, text), api.pattern(text),
    api.ids(text), api.call(text, text, jsonb, jsonb)
    to sallyport_anon, sallyport_user;
