-- /api/v1/receipts


create or replace function api.receipt_get(ids text[], query jsonb,
    body jsonb)
returns api.reply
language plpgsql stable
set search_path = ''
as $$
declare
    found_receipt  jsonb;
begin
    if not query ? 'request_id' then
        perform api.fail(400, 'request_id_required',
                         'the query needs a request_id',
                         'it is the X-Request-Id of the answer');
    end if;

    select l.receipt into found_receipt
      from gateway.ledger as l
     where l.user_id = (select auth.uid())
       and l.request_id = query ->> 'request_id' and l.request_id <> ''
       and l.receipt is not null
     limit 1;

    if found_receipt is null then
        perform api.fail(404, 'receipt_not_found',
            'there is no receipt of this request',
            'it is there some moments after the end of a request that had '
            'the header "X-Receipt: 1"');
    end if;

    return (200, found_receipt, null)::api.reply;
end
$$;


grant execute on function api.receipt_get(text[], jsonb, jsonb)
    to sallyport_user;


select api.add_route('GET', '/api/v1/receipts', 'receipt_get',
                     '{request_id}')
\g /dev/null
