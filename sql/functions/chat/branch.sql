-- Branches: a message, what it follows, and so on up to a beginning.


-- n counts from 1, the message that is named.  No row: the chat has it not.

create or replace function chat.branch(in_chat uuid, leaf uuid, at_most int)
returns table (n int, m chat.message)
language sql stable
set search_path = ''
as $$
    with recursive up (n, m) as (
        select 1, x
          from chat.message as x
         where x.id = leaf and x.chat_id = in_chat
        union all
        select up.n + 1, x
          from up
          join chat.message as x on x.id = (up.m).parent_id
         where up.n < at_most
    )
    select up.n, up.m from up
$$;


grant execute on function chat.branch(uuid, uuid, int)
    to sallyport_user, sallyport_gateway;
