-- Mints: accepted once, minted once.
--
-- mint.job      what a wallet has signed, one row per authorization
-- mint.lane     a signer on a chain; next_nonce rules, and is never lowered
-- mint.slot     a nonce of a lane, given to one job for good
-- mint.attempt  signed bytes of a slot, stored before they are sent
-- mint.event    every change of state, in order
--
-- A lane is worked on by one runner at a time: the running row of gateway.job
-- with kind "mint" and this lane.  Everything the runner writes is fenced by
-- that row's epoch, in the same commit.  The rule above all others: a job
-- keeps its nonce, and what is sent twice is the same bytes.

create table mint.lane (
    -- "<chain id>:<signer>", as in gateway.job.lane
    id          text primary key,
    chain_id    bigint not null check (chain_id > 0),
    signer      text not null check (signer ~ '^0x[0-9a-fA-F]{40}$'),

    -- NULL: the chain has not been asked yet
    next_nonce  bigint check (next_nonce >= 0),
    updated_at  timestamptz not null default now(),
    unique (chain_id, signer)
);

create table mint.job (
    id              uuid primary key default gen_random_uuid(),
    user_id         uuid not null references auth.users (id),
    lane            text not null references mint.lane (id),
    chain           text not null,
    chain_id        bigint not null,

    -- addresses in EIP-55 form, hashes in lower case
    contract        text not null check (contract ~ '^0x[0-9a-fA-F]{40}$'),
    wallet          text not null check (wallet ~ '^0x[0-9a-fA-F]{40}$'),
    uri             text not null check (length(uri) between 1 and 2048),
    deadline        bigint not null,
    salt            text not null check (salt ~ '^0x[0-9a-f]{64}$'),
    signature       text not null check (signature ~ '^0x([0-9a-f]{2})+$'
                    and length(signature) <= 8194),
    digest          text not null check (digest ~ '^0x[0-9a-f]{64}$'),

    idem_key        text check (length(idem_key) between 1 and 255),
    request_sha256  text not null check (request_sha256 ~ '^[0-9a-f]{64}$'),

    state           text not null default 'ready'
                    check (state in ('ready', 'assigned', 'signed', 'sent',
                                     'reconcile', 'mined', 'confirmed',
                                     'reverted', 'failed')),
    reason          text,
    nonce           bigint,
    tx_hash         text,
    block_number    bigint,
    block_hash      text,
    succeeded       boolean,
    token_id        numeric(78),
    gas_used        bigint,
    gas_price       numeric(78),

    -- consecutive looks that came to the same verdict
    looks           int not null default 0,
    next_look       timestamptz not null default now(),
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),

    -- one authorization is one job
    unique (chain_id, contract, digest),

    -- "a <= b" is: a implies b
    check ((state = 'ready') <= (nonce is null)),
    check ((state in ('assigned', 'signed', 'sent', 'reconcile', 'mined',
                      'confirmed', 'reverted')) <= (nonce is not null)),
    check ((state in ('mined', 'confirmed', 'reverted'))
           <= (block_hash is not null and succeeded is not null)),
    check ((state = 'confirmed') <= (token_id is not null))
);

create unique index job_idem_key on mint.job (user_id, idem_key)
    where idem_key is not null;
create index job_own on mint.job (user_id, created_at desc, id desc);
create index job_ready on mint.job (lane, created_at)
    where state = 'ready';
create index job_nonce on mint.job (lane, nonce)
    where state in ('assigned', 'signed', 'sent', 'reconcile', 'mined');

create table mint.slot (
    lane        text not null references mint.lane (id),
    nonce       bigint not null,
    job_id      uuid not null unique references mint.job (id),
    kind        text not null default 'mint' check (kind in ('mint', 'noop')),
    gas         bigint not null check (gas > 0),
    created_at  timestamptz not null default now(),
    primary key (lane, nonce)
);

create table mint.attempt (
    lane          text not null,
    nonce         bigint not null,
    seq           int not null default 1,
    tx_hash       text not null unique check (tx_hash ~ '^0x[0-9a-f]{64}$'),
    raw           bytea not null,
    tip           numeric(78) not null,
    cap           numeric(78) not null,
    sends         int not null default 0,

    -- a node said that it has it
    acknowledged  boolean not null default false,
    sent_at       timestamptz,
    created_at    timestamptz not null default now(),
    primary key (lane, nonce, seq),
    foreign key (lane, nonce) references mint.slot (lane, nonce)
);

create table mint.event (
    job_id  uuid not null references mint.job (id) on delete cascade,
    seq     bigint generated always as identity,
    state   text not null,
    reason  text,
    at      timestamptz not null default clock_timestamp(),
    primary key (job_id, seq)
);


alter table mint.lane enable row level security;
alter table mint.lane force row level security;
alter table mint.job enable row level security;
alter table mint.job force row level security;
alter table mint.slot enable row level security;
alter table mint.slot force row level security;
alter table mint.attempt enable row level security;
alter table mint.attempt force row level security;
alter table mint.event enable row level security;
alter table mint.event force row level security;

create policy gateway on mint.lane to sallyport_gateway
    using (true) with check (true);
create policy gateway on mint.job to sallyport_gateway
    using (true) with check (true);
create policy gateway on mint.slot to sallyport_gateway
    using (true) with check (true);
create policy gateway on mint.attempt to sallyport_gateway
    using (true) with check (true);
create policy gateway on mint.event to sallyport_gateway
    using (true) with check (true);
create policy own on mint.job for select to sallyport_user
    using (user_id = (select auth.uid()));

grant select, insert, update on mint.lane, mint.job, mint.slot, mint.attempt
    to sallyport_gateway;
grant select, insert on mint.event to sallyport_gateway;
grant select on mint.job to sallyport_user;
