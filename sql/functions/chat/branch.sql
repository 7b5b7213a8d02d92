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


-- The message that is named, none for "root"; without a name the chat's leaf.

create or replace function chat.named_message(c chat.chat, name text)
returns chat.message
language plpgsql stable
set search_path = ''
as $$
declare
    m  chat.message;
begin
    if name is distinct from 'root' then
        select * into m
          from chat.message
         where id = coalesce(name::uuid, c.leaf_id) and chat_id = c.id;
    end if;

    if m.id is null and name <> 'root' then
        raise sqlstate 'PT404'
            using message = 'the chat has no message "parent_id"',
            detail = 'parent_not_found';
    end if;

    return m;
end
$$;


grant execute on function chat.branch(uuid, uuid, int),
    chat.named_message(chat.chat, text)
    to sallyport_user, sallyport_gateway;
