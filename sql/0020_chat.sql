-- Characters, chats and messages.

create table chat.character (
    id             uuid primary key default gen_random_uuid(),

    -- NULL: one of the platform's own
    owner_id       uuid references auth.users on delete set null,
    name           text not null check (length(name) between 1 and 100),
    description    text not null default '' check (length(description) <= 4000),
    personality    text not null default '' check (length(personality) <= 4000),
    scenario       text not null default '' check (length(scenario) <= 4000),
    greeting       text not null default '' check (length(greeting) <= 4000),
    system_prompt  text not null default ''
                   check (length(system_prompt) <= 8000),
    model          text check (length(model) between 1 and 100),
    avatar_url     text not null default '' check (length(avatar_url) <= 2000),
    token_uri      text not null default '' check (length(token_uri) <= 2000),
    is_public      boolean not null default false,

    -- filled when the mint is confirmed; uint256
    token_id       numeric(78, 0),
    created_at     timestamptz not null default now(),
    updated_at     timestamptz not null default now(),

    -- chats of others refer to it: never removed, only hidden
    deleted_at     timestamptz
);

create index on chat.character (created_at desc, id desc)
    where is_public and deleted_at is null;
create index on chat.character (owner_id, created_at desc, id desc)
    where deleted_at is null;


create table chat.chat (
    id               uuid primary key default gen_random_uuid(),
    user_id          uuid not null references auth.users on delete cascade,
    character_id     uuid not null references chat.character,
    title            text not null default '' check (length(title) <= 200),

    -- where turns go whose request named no chat: one per character
    is_default       boolean not null default false,
    last_seq         bigint not null default 0,
    last_message_at  timestamptz not null default now(),
    created_at       timestamptz not null default now(),
    updated_at       timestamptz not null default now()
);

create index on chat.chat (user_id, last_message_at desc, id desc);
create index on chat.chat (user_id, character_id);
create unique index on chat.chat (user_id, character_id) where is_default;


-- user_id and character_id are repeated from the chat: policies and recall
-- compare them without a join.

create table chat.message (
    chat_id       uuid not null references chat.chat on delete cascade,
    seq           bigint not null,
    id            uuid not null unique default gen_random_uuid(),
    user_id       uuid not null,
    character_id  uuid not null,
    role          text not null check (role in ('user', 'assistant')),
    content       text not null,

    -- the ledger row it came with; partial: the reader left before its end
    turn_id       uuid not null,
    partial       boolean not null default false,
    model         text not null default '',
    tokens        bigint not null default 0,

    -- place in the memory of (user, character); NULL: not to be remembered
    scope_seq     bigint,

    -- of the message before it and itself (better recall than itself alone)
    tsv           tsvector,
    created_at    timestamptz not null,
    primary key (chat_id, seq)
);

create unique index on chat.message (user_id, character_id, scope_seq)
    where scope_seq is not null;


alter table chat.character enable row level security;
alter table chat.character force row level security;
alter table chat.chat enable row level security;
alter table chat.chat force row level security;
alter table chat.message enable row level security;
alter table chat.message force row level security;

create policy public on chat.character for select
    to sallyport_anon, sallyport_user
    using (is_public and deleted_at is null);
create policy own on chat.character to sallyport_user
    using (owner_id = (select auth.uid()))
    with check (owner_id = (select auth.uid()));
create policy gateway on chat.character to sallyport_gateway
    using (true) with check (true);

create policy own on chat.chat to sallyport_user
    using (user_id = (select auth.uid()))
    with check (user_id = (select auth.uid()));
create policy gateway on chat.chat to sallyport_gateway
    using (true) with check (true);

create policy own on chat.message to sallyport_user
    using (user_id = (select auth.uid()))
    with check (user_id = (select auth.uid()));
create policy gateway on chat.message to sallyport_gateway
    using (true) with check (true);

grant select on chat.character to sallyport_anon;
grant select, insert, update on chat.character to sallyport_user;
grant select, insert, update, delete on chat.chat to sallyport_user;
grant select, delete, update (scope_seq) on chat.message to sallyport_user;
grant select, insert, update on chat.character to sallyport_gateway;
grant select, insert, update, delete on chat.chat, chat.message
    to sallyport_gateway;


-- The text search configuration of recall: stems and stop words of English;
-- words of other languages pass through as they are.  The text is cut where
-- a tsvector would overflow.

create function chat.tsv(text) returns tsvector
language sql immutable parallel safe
as $$
    select to_tsvector('pg_catalog.english', left($1, 50000))
$$;

grant execute on function chat.tsv(text) to sallyport_user,
    sallyport_gateway;


-- What a character brings to the prompt: no row when there is none that the
-- caller may see (public, or the caller's own).  The platform's rules come
-- from the gateway's configuration, before this text.

create function chat.character_prompt(character_id uuid)
returns table (name text, prompt text, model text, is_public boolean)
language sql stable
as $$
    select c.name,
           replace(concat_ws(E'\n\n',
               coalesce(nullif(c.system_prompt, ''),
                        'You are {{char}}. Stay in character.'),
               'Description: ' || nullif(c.description, ''),
               'Personality: ' || nullif(c.personality, ''),
               'Scenario: ' || nullif(c.scenario, '')),
               '{{char}}', c.name),
           coalesce(c.model, ''),
           c.is_public
      from chat.character as c
     where c.id = $1 and c.deleted_at is null
$$;

grant execute on function chat.character_prompt(uuid)
    to sallyport_anon, sallyport_user;


-- The chat a turn belongs to, locked until the transaction ends.  A chat id
-- that is not known yet opens the chat: clients may choose it.

create function chat.open_chat(turn_user uuid, turn_character uuid,
    turn_chat uuid, first_text text)
returns chat.chat
language plpgsql
as $$
declare
    c  chat.chat;
begin
    if turn_chat is null then
        insert into chat.chat (user_id, character_id, is_default)
        values (turn_user, turn_character, true)
            on conflict (user_id, character_id) where is_default do nothing;

        select * into strict c
          from chat.chat
         where user_id = turn_user and character_id = turn_character
           and is_default
           for update;

        return c;
    end if;

    insert into chat.chat (id, user_id, character_id, title)
    values (turn_chat, turn_user, turn_character,
            left(regexp_replace(first_text, '\s+', ' ', 'g'), 80))
        on conflict (id) do nothing;

    select * into strict c from chat.chat where id = turn_chat for update;

    if c.user_id <> turn_user then
        raise sqlstate '42501' using message = 'the chat is another user''s';
    end if;

    if c.character_id <> turn_character then
        raise sqlstate '22023'
            using message = 'the chat is with another character';
    end if;

    return c;
end
$$;


-- Called by gateway.store_turns for each new record: its two messages, their
-- place in memory, the counter, and the extraction job when it is due.

create function chat.store_turn(turn jsonb) returns void
language plpgsql
as $$
declare
    c            chat.chat;
    answer       text := coalesce(turn ->> 'assistant_text', '');
    before_text  text;
    place        bigint;
    question     text := coalesce(turn ->> 'user_text', '');
    said_at      timestamptz;
    turn_user    uuid := nullif(turn ->> 'user_id', '')::uuid;
    turn_char    uuid := nullif(turn ->> 'character_id', '')::uuid;
begin
    if not coalesce((turn ->> 'store')::boolean, false)
       or turn_user is null or turn_char is null
       or turn ->> 'finish' = 'failed'
       or question = '' or answer = ''
    then
        return;
    end if;

    said_at := coalesce(to_timestamp((turn ->> 'at')::double precision),
                        now());

    -- first of all the scope: its lock is the order in which everything of
    -- one user and character happens
    place := mem.take_places(turn_user, turn_char,
        case when (turn ->> 'memory')::boolean then 2 else 0 end);
    c := chat.open_chat(turn_user, turn_char,
                        nullif(turn ->> 'chat_id', '')::uuid, question);

    select m.content into before_text
      from chat.message as m
     where m.chat_id = c.id and m.seq = c.last_seq;

    insert into chat.message (chat_id, seq, user_id, character_id, role,
        content, turn_id, partial, model, tokens, scope_seq, tsv, created_at)
    values
        (c.id, c.last_seq + 1, turn_user, turn_char, 'user', question,
         (turn ->> 'id')::uuid, false, '', 0, place,
         chat.tsv(right(coalesce(before_text, ''), 2000) || E'\n'
                  || question), said_at),
        (c.id, c.last_seq + 2, turn_user, turn_char, 'assistant', answer,
         (turn ->> 'id')::uuid, turn ->> 'finish' = 'partial',
         coalesce(turn ->> 'model', ''),
         coalesce((turn ->> 'completion_tokens')::bigint, 0), place + 1,
         chat.tsv(right(question, 2000) || E'\n' || answer), said_at);

    update chat.chat
       set last_seq = c.last_seq + 2,
           last_message_at = greatest(last_message_at, said_at),
           updated_at = now(),
           title = case when title = '' and not is_default
                   then left(regexp_replace(question, '\s+', ' ', 'g'), 80)
                   else title end
     where id = c.id;

    update gateway.ledger
       set stored = true, chat_id = c.id
     where id = (turn ->> 'id')::uuid;

    if place is not null then
        perform mem.enqueue_due(turn_user, turn_char);
    end if;
end
$$;

grant execute on function chat.open_chat(uuid, uuid, uuid, text)
    to sallyport_gateway;
grant execute on function chat.store_turn(jsonb) to sallyport_gateway;
