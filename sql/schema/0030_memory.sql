-- Long-term memory: what a character knows of a user.
--
-- A scope is one (user, character).  Raw turns are chat.message rows with a
-- place (scope_seq) in it; memories are what was extracted from them or
-- written by the user.  Sets are small and scanned exactly: there is no
-- approximate index (it loses rows under a filter).

create table mem.scope (
    id              bigint generated always as identity primary key,
    tenant          text not null default 'main',
    user_id         uuid not null references auth.users on delete cascade,
    character_id    uuid not null references chat.character
                    on delete cascade,

    -- false: paused by the user, neither read nor written
    enabled         boolean not null default true,

    -- raised by a wipe; a job of an older epoch may not write
    epoch           int not null default 0,
    msg_seq         bigint not null default 0,
    enqueued_upto   bigint not null default 0,
    extracted_upto  bigint not null default 0,

    -- turns up to here are no longer recalled or extracted
    forgotten_upto  bigint not null default 0,
    profile         text not null default '',
    profile_rev     int not null default 0,
    settings        jsonb not null default '{}',
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),
    unique (tenant, user_id, character_id)
);

create index on mem.scope (user_id, character_id);


-- "embedding halfvec" is added by mem.vector_setup().

create table mem.memory (
    id              uuid primary key default gen_random_uuid(),
    scope_id        bigint not null references mem.scope on delete cascade,
    user_id         uuid not null,
    character_id    uuid not null,
    kind            text not null default 'event'
                    check (kind in ('profile', 'preference', 'relationship',
                                    'event', 'promise')),
    subject         text not null default '' check (length(subject) <= 100),
    content         text not null check (length(content) between 1 and 300),
    hash            bytea not null,
    tsv             tsvector not null,
    embed_model     text,
    importance      int not null default 5 check (importance between 1 and 10),
    event_on        date,
    valid_from      timestamptz not null default now(),
    invalid_at      timestamptz,
    superseded_by   uuid,
    src_from        bigint,
    src_to          bigint,
    pinned          boolean not null default false,
    user_edited     boolean not null default false,

    -- "do not mention": kept, never injected
    hidden          boolean not null default false,
    confirmations   int not null default 0,

    -- age counts from the user's last confirmation, not from retrieval
    confirmed_at    timestamptz not null default now(),
    expires_at      timestamptz,
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now()
);

create unique index on mem.memory (scope_id, hash) where invalid_at is null;
create index on mem.memory (user_id, scope_id) where invalid_at is null;
create index on mem.memory (invalid_at) where invalid_at is not null;
create index on mem.memory (user_id, created_at desc, id desc)
    where invalid_at is null;


-- What was deleted is not extracted again.  Only the hash is kept.

create table mem.tombstone (
    scope_id    bigint not null references mem.scope on delete cascade,
    user_id     uuid not null,
    hash        bytea not null,
    deleted_at  timestamptz not null default now(),
    primary key (scope_id, hash)
);


create table mem.audit (
    id           bigint generated always as identity primary key,
    scope_id     bigint not null references mem.scope on delete cascade,
    user_id      uuid not null,
    memory_id    uuid,
    op           text not null,
    actor        text not null check (actor in ('user', 'extraction',
                                                'gateway')),
    before_hash  bytea,
    after_hash   bytea,
    at           timestamptz not null default now()
);

create index on mem.audit (user_id, id);
create index on mem.audit (at);


do $$
declare
    t  text;
begin
    foreach t in array array['scope', 'memory', 'tombstone', 'audit']
    loop
        execute format('alter table mem.%I enable row level security', t);
        execute format('alter table mem.%I force row level security', t);
        execute format('create policy own on mem.%I to sallyport_user '
                       'using (user_id = (select auth.uid())) '
                       'with check (user_id = (select auth.uid()))', t);
        execute format('create policy gateway on mem.%I '
                       'to sallyport_gateway using (true) with check (true)',
                       t);
        execute format('grant select, insert, update, delete on mem.%I '
                       'to sallyport_gateway', t);
    end loop;
end
$$;

grant select, insert, update on mem.scope to sallyport_user;
grant select, insert, update, delete on mem.memory to sallyport_user;
grant select, insert on mem.tombstone, mem.audit to sallyport_user;


-- Memories of a scope with their score.  l: lexical rank, v: cosine
-- similarity (0 where there is no embedding of this model).

create type mem.candidate as (
    id          uuid,
    content     text,
    day         date,
    kind        text,
    importance  int,
    pinned      boolean,
    since       timestamptz,
    l           real,
    v           real
);


-- Vectors for memories that have none: written or edited by their owner, or
-- extracted while the embedder was away.  embed_model says it: NULL is still
-- to be done, '' is a text that the embedder refuses.

create index on mem.memory (created_at)
    where embed_model is null and invalid_at is null;


-- Wakes the first worker of each gateway, which makes the job: a user may
-- not.

create function mem.embed_wanted() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    perform pg_notify('memory_embed', '');
    return null;
end
$$;

create trigger embed_wanted after insert or update of embed_model
    on mem.memory for each row when (new.embed_model is null)
    execute function mem.embed_wanted();


insert into gateway.retention (name, relation, since, keep, condition) values
    -- replaced by a newer one: no one reads them
    ('memories replaced', 'mem.memory', 'invalid_at', '30 days', 'true'),
    ('memory audit', 'mem.audit', 'at', '1 year', 'true');
