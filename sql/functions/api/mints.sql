-- /api/v1/mints, as mint_relay reads them.


-- Reading one's mints, by the data API's rules.

create or replace function api.mints_list(ids text[], query jsonb, body jsonb)
returns api.reply
language plpgsql stable
set search_path = ''
as $$
declare
    after    api.place := api.page_after(query);
    at_most  int := api.page_limit(query);
begin
    return api.page(array(
        select (j.created_at, j.id, mint.view(j))::api.item
          from (select *
                  from mint.job
                 where (created_at, id) < (after.at, after.id)
                 order by created_at desc, id desc
                 limit at_most + 1) as j), at_most);
end
$$;


create or replace function api.mint_get(ids text[], query jsonb, body jsonb)
returns api.reply
language plpgsql stable
set search_path = ''
as $$
declare
    j  mint.job;
begin
    select * into j from mint.job where id = api.path_id(ids, 1);

    if not found then
        perform api.fail(404, 'mint_not_found',
                         'you have no mint of this id');
    end if;

    return (200, mint.view(j), null)::api.reply;
end
$$;


grant execute on function api.mints_list(text[], jsonb, jsonb),
    api.mint_get(text[], jsonb, jsonb)
    to sallyport_user;


select api.add_route('GET', '/v1/mints', 'mints_list', '{limit,cursor}')
\g /dev/null
select api.add_route('GET', '/v1/mints/{id}', 'mint_get', '{}')
\g /dev/null
