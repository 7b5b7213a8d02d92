-- Finished turns: the ledger, and the one call that stores a batch of them.

-- One row per chat request that reached a model, whatever became of it.
-- No foreign keys: it is the account of what was spent, and outlives users,
-- characters and chats.

create table gateway.ledger (
    id                 uuid primary key,
    user_id            uuid,
    character_id       uuid,
    chat_id            uuid,
    provider           text not null default '',
    model              text not null default '',
    finish             text not null
                       check (finish in ('complete', 'partial', 'failed')),
    finish_reason      text not null default '',
    status             int not null default 0,

    -- targets of the model that were asked, one after the other
    attempts           int not null default 1,
    prompt_tokens      bigint not null default 0,
    completion_tokens  bigint not null default 0,
    cached_tokens      bigint not null default 0,
    reported           boolean not null default false,
    stream             boolean not null default false,
    first_byte_ms      bigint not null default 0,
    total_ms           bigint not null default 0,
    at                 timestamptz not null,

    -- the messages of the turn are in chat.message
    stored             boolean not null default false,

    -- why not, for a record that could not be stored as it was
    error              text,
    record             jsonb,
    created_at         timestamptz not null default now()
);

create index on gateway.ledger (user_id, at);
create index on gateway.ledger (created_at) where error is not null;

alter table gateway.ledger enable row level security;
alter table gateway.ledger force row level security;

create policy gateway on gateway.ledger to sallyport_gateway
    using (true) with check (true);

grant select, insert, update on gateway.ledger to sallyport_gateway;

create trigger durable before insert or update on gateway.ledger
    for each statement execute function gateway.durable();
