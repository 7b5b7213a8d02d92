-- Pages by keyset.


-- Pages: keyset, newest first.  The cursor is opaque to clients: base64url
-- of [timestamp, id] of the last row.

create or replace function api.page_limit(query jsonb) returns int
language plpgsql immutable
set search_path = ''
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


create or replace function api.page_after(query jsonb) returns api.place
language plpgsql stable
set search_path = ''
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


-- next: the cursor of the next page, NULL: this is the last

create or replace function api.list_reply(items jsonb[], next text,
    at_most int)
returns api.reply
language sql immutable
set search_path = ''
as $$
    select (200, jsonb_build_object(
        'data', to_jsonb(items),
        'page', jsonb_build_object('next', next, 'limit', at_most)), null)
        ::api.reply
$$;


-- items: in order, and one more than the limit where there is a next page

create or replace function api.page(items api.item[], at_most int)
returns api.reply
language sql stable
set search_path = ''
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


grant execute on function api.page_limit(jsonb), api.page_after(jsonb),
    api.list_reply(jsonb[], text, int), api.page(api.item[], int)
    to sallyport_anon, sallyport_user;
