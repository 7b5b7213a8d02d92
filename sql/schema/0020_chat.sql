-- Characters, chats and messages.

create table chat.character (
    id             uuid primary key default gen_random_uuid(),

    -- NULL: one of the platform's own
    owner_id       uuid references auth.users on delete set null,
    name           text not null check (length(name) between 1 and 100),
    description    text not null default ''
                   check (length(description) <= 4000),
    personality    text not null default ''
                   check (length(personality) <= 4000),
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
    deleted_at     timestamptz,

    -- what strangers read has a shape; the platform's own are its matter
    constraint public_shape check (
        not is_public or owner_id is null
        or (length(name) <= 50
            and length(description) between 10 and 500
            and length(personality) between 10 and 1000))
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
