-- Members of bodies and parts of paths, checked.


-- A member of the body: "was" when it is missing.

create or replace function api.text_field(body jsonb, key text, was text,
    at_least int, at_most int)
returns text
language plpgsql immutable
set search_path = ''
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


create or replace function api.bool_field(body jsonb, key text, was boolean)
returns boolean
language plpgsql immutable
set search_path = ''
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


create or replace function api.int_field(body jsonb, key text, was int,
    at_least int, at_most int)
returns int
language plpgsql immutable
set search_path = ''
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


create or replace function api.only_fields(body jsonb, known text[])
returns void
language plpgsql immutable
set search_path = ''
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


create or replace function api.uuid_value(value text, name text) returns uuid
language plpgsql immutable
set search_path = ''
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

create or replace function api.path_id(ids text[], n int) returns uuid
language plpgsql immutable
set search_path = ''
as $$
begin
    return ids[n]::uuid;
exception
    when invalid_text_representation then
        perform api.fail(404, 'not_found', 'there is no such thing');
end
$$;


grant execute on function api.text_field(jsonb, text, text, int, int),
    api.bool_field(jsonb, text, boolean),
    api.int_field(jsonb, text, int, int, int), api.only_fields(jsonb, text[]),
    api.uuid_value(text, text)
    to sallyport_user;
grant execute on function api.path_id(text[], int)
    to sallyport_anon, sallyport_user;
