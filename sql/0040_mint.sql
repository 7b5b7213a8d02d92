-- Mints: accepted once, minted once.
--
-- mint.job      what a wallet has signed, one row per authorization
-- mint.lane     a signer on a chain; next_nonce is the authority, never lowered
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


-- What clients see of a mint.

create function mint.view(j mint.job) returns jsonb
language sql stable
as $$
    select jsonb_build_object(
        'id', j.id,
        'state', j.state,
        'final', j.state in ('confirmed', 'reverted', 'failed'),
        'reason', j.reason,
        'chain', j.chain,
        'chain_id', j.chain_id,
        'contract', j.contract,
        'to', j.wallet,
        'uri', j.uri,
        'deadline', j.deadline,
        'tx_hash', j.tx_hash,
        'block_number', j.block_number,
        'token_id', j.token_id::text,
        'created_at', j.created_at,
        'updated_at', j.updated_at)
$$;


-- Intake: the authorization has been verified.  One commit.
--
--   created       a new job
--   same          the same key and request as before: that job
--   key_conflict  the key was used for another request
--   used          the authorization was accepted before; the job when it is
--                 the caller's own

create function mint.accept(p_user uuid, p_lane text, p_chain text,
    p_chain_id bigint, p_signer text, p_contract text, p_wallet text,
    p_uri text, p_deadline bigint, p_salt text, p_signature text,
    p_digest text, p_idem_key text, p_sha256 text)
returns table (outcome text, job text)
language plpgsql
as $$
declare
    j  mint.job;
begin
    insert into mint.lane (id, chain_id, signer)
    values (p_lane, p_chain_id, p_signer)
    on conflict do nothing;

    insert into mint.job (user_id, lane, chain, chain_id, contract, wallet,
                          uri, deadline, salt, signature, digest, idem_key,
                          request_sha256)
    values (p_user, p_lane, p_chain, p_chain_id, p_contract, p_wallet,
            p_uri, p_deadline, p_salt, p_signature, p_digest, p_idem_key,
            p_sha256)
    on conflict do nothing
    returning * into j;

    if found then
        insert into mint.event (job_id, state) values (j.id, j.state);
        perform mint.wake(p_lane);
        outcome := 'created';
        job := mint.view(j);
        return next;
        return;
    end if;

    select * into j
      from mint.job as m
     where m.user_id = p_user and m.idem_key = p_idem_key;

    if found then
        if j.request_sha256 = p_sha256 then
            outcome := 'same';
            job := mint.view(j);
        else
            outcome := 'key_conflict';
        end if;

        return next;
        return;
    end if;

    select * into strict j
      from mint.job as m
     where m.chain_id = p_chain_id and m.contract = p_contract
       and m.digest = p_digest;

    outcome := 'used';
    job := case when j.user_id = p_user then mint.view(j) end;
    return next;
end
$$;


-- Sees to it that a runner looks at the lane after this commit.  A waiting
-- row that we hold locked cannot be taken before, so it serves us too; a
-- running one may have looked already, so it does not.

create function mint.wake(p_lane text) returns void
language plpgsql
as $$
begin
    perform
       from gateway.job
      where kind = 'mint' and lane = p_lane and state = 'ready'
      limit 1
        for share skip locked;

    if found then
        perform pg_notify('gateway_job', 'mint');
    else
        perform gateway.job_enqueue('mint', '{}', p_lane, null);
    end if;

    perform pg_notify('mint_lane', p_lane);
end
$$;


-- SQLSTATE SP001: another runner has the lane.  The lock keeps it ours until
-- the commit.

create function mint.fence(p_lane text, p_job bigint, p_epoch bigint)
returns void
language plpgsql
as $$
begin
    perform
       from gateway.job
      where id = p_job and kind = 'mint' and lane = p_lane
        and epoch = p_epoch and state = 'running'
        for share;

    if not found then
        raise exception using errcode = 'SP001',
            message = 'the lane is not held any more';
    end if;
end
$$;


-- The first nonce comes from the chain, once.

create function mint.lane_init(p_lane text, p_job bigint, p_epoch bigint,
    p_nonce bigint)
returns void
language plpgsql
as $$
begin
    perform mint.fence(p_lane, p_job, p_epoch);

    update mint.lane
       set next_nonce = p_nonce, updated_at = now()
     where id = p_lane and next_nonce is null;
end
$$;


-- The next thing to do in a lane.  What holds a nonce goes first, the lowest
-- first; new ones only while fewer than p_in_flight wait for a block, and
-- never past one that is not sent yet: its nonce would hold them up.
--
-- work: "none" (nothing is left), "wait" (nothing for wait_ms), "init" (the
-- lane has no nonce yet), or the state of the job in the row.

create function mint.lane_next(p_lane text, p_job bigint, p_epoch bigint,
    p_in_flight int)
returns table (work text, wait_ms bigint, id uuid, contract text,
    wallet text, uri text, deadline bigint, salt text, signature text,
    digest text, nonce bigint, gas bigint, tip numeric, cap numeric,
    tx_hash text, raw bytea, looks int, sent_ms bigint, acknowledged boolean,
    block_number bigint, block_hash text, succeeded boolean)
language plpgsql
as $$
declare
    at       timestamptz := clock_timestamp();
    busy     bigint;
    first    bigint;
    j        mint.job;
    l        mint.lane;
    unsent   boolean;
    wake_at  timestamptz;
begin
    perform mint.fence(p_lane, p_job, p_epoch);

    select * into l from mint.lane as m where m.id = p_lane;

    if not found then
        work := 'none';
        return next;
        return;
    end if;

    if l.next_nonce is null then
        work := 'init';
        return next;
        return;
    end if;

    select m.* into j
      from mint.job as m
     where m.lane = p_lane
       and m.state in ('assigned', 'signed', 'sent', 'reconcile', 'mined')
       and m.next_look <= at
     order by m.nonce
     limit 1;

    if not found then
        select count(*) filter (where m.state <> 'mined'),
               coalesce(bool_or(m.state in ('assigned', 'signed')), false),
               min(m.next_look)
          into busy, unsent, wake_at
          from mint.job as m
         where m.lane = p_lane
           and m.state in ('assigned', 'signed', 'sent', 'reconcile',
                           'mined');

        if busy < p_in_flight and not unsent then
            select m.* into j
              from mint.job as m
             where m.lane = p_lane and m.state = 'ready'
               and m.next_look <= at
             order by m.created_at
             limit 1;

            if not found then
                select least(wake_at, min(m.next_look)) into wake_at
                  from mint.job as m
                 where m.lane = p_lane and m.state = 'ready';
            end if;
        end if;
    end if;

    if j.id is null then
        work := case when wake_at is null then 'none' else 'wait' end;
        wait_ms := greatest(extract(epoch from wake_at - at) * 1000, 1);
        return next;
        return;
    end if;

    return query
        select j.state, 0::bigint, j.id, j.contract, j.wallet, j.uri,
               j.deadline, j.salt, j.signature, j.digest, j.nonce, s.gas,
               a.tip, a.cap, j.tx_hash, a.raw, j.looks,
               (extract(epoch from at - a.sent_at) * 1000)::bigint,
               a.acknowledged, j.block_number, j.block_hash, j.succeeded
          from (select) as one
          left join mint.slot as s on s.job_id = j.id
          left join lateral (
               select *
                 from mint.attempt as t
                where t.lane = s.lane and t.nonce = s.nonce
                order by t.seq desc
                limit 1) as a on true;
end
$$;


-- ready -> assigned: the slot and the nonce in one commit.

create function mint.assign(p_lane text, p_job bigint, p_epoch bigint,
    p_id uuid, p_gas bigint)
returns bigint
language plpgsql
as $$
declare
    n  bigint;
begin
    perform mint.fence(p_lane, p_job, p_epoch);

    update mint.lane
       set next_nonce = next_nonce + 1, updated_at = now()
     where id = p_lane
    returning next_nonce - 1 into strict n;

    perform mint.set_state(p_lane, p_id, 'ready', 'assigned',
                           jsonb_build_object('nonce', n), 0);

    insert into mint.slot (lane, nonce, job_id, gas)
    values (p_lane, n, p_id, p_gas);

    return n;
end
$$;


-- assigned -> signed: the bytes are here before a node sees them.

create function mint.sign(p_lane text, p_job bigint, p_epoch bigint,
    p_id uuid, p_hash text, p_raw bytea, p_tip numeric, p_cap numeric)
returns void
language plpgsql
as $$
begin
    perform mint.fence(p_lane, p_job, p_epoch);

    perform mint.set_state(p_lane, p_id, 'assigned', 'signed',
                           jsonb_build_object('tx_hash', p_hash), 0);

    insert into mint.attempt (lane, nonce, tx_hash, raw, tip, cap)
    select s.lane, s.nonce, p_hash, p_raw, p_tip, p_cap
      from mint.slot as s
     where s.job_id = p_id;
end
$$;


-- signed, sent -> sent: the bytes went out; whether a node took them is known
-- or not.

create function mint.sent(p_lane text, p_job bigint, p_epoch bigint,
    p_id uuid, p_state text, p_acknowledged boolean, p_delay_ms bigint)
returns void
language plpgsql
as $$
begin
    perform mint.fence(p_lane, p_job, p_epoch);

    update mint.attempt as a
       set sends = sends + 1, sent_at = clock_timestamp(),
           acknowledged = acknowledged or p_acknowledged
      from mint.job as j
     where j.id = p_id and a.tx_hash = j.tx_hash;

    perform mint.set_state(p_lane, p_id, p_state, 'sent', '{}', p_delay_ms);
end
$$;


-- Any other step of the runner.

create function mint.move(p_lane text, p_job bigint, p_epoch bigint,
    p_id uuid, p_from text, p_to text, p_facts jsonb, p_delay_ms bigint)
returns void
language plpgsql
as $$
begin
    perform mint.fence(p_lane, p_job, p_epoch);
    perform mint.set_state(p_lane, p_id, p_from, p_to, p_facts, p_delay_ms);
end
$$;


-- The one place that changes a state.  SQLSTATE SP002: the job is not in the
-- state it is moved from; what the runner knows is old, it looks again.

create function mint.set_state(p_lane text, p_id uuid, p_from text,
    p_to text, p_facts jsonb, p_delay_ms bigint)
returns void
language plpgsql
as $$
declare
    known  constant text[] := array[
        'ready ready', 'ready assigned', 'ready failed',
        'assigned assigned', 'assigned signed',
        'signed signed', 'signed sent', 'signed reconcile',
        'sent sent', 'sent mined', 'sent reconcile',
        'reconcile reconcile', 'reconcile sent', 'reconcile mined',
        'reconcile failed',
        'mined mined', 'mined sent', 'mined confirmed', 'mined reverted'];
begin
    if p_from || ' ' || p_to <> all (known) then
        raise exception 'a mint cannot go from "%" to "%"', p_from, p_to;
    end if;

    update mint.job as j
       set state = p_to,
           reason = case when p_facts ? 'reason'
                    then left(p_facts ->> 'reason', 500) else j.reason end,
           nonce = coalesce((p_facts ->> 'nonce')::bigint, j.nonce),
           tx_hash = coalesce(p_facts ->> 'tx_hash', j.tx_hash),
           block_number = case when p_facts ? 'block_number'
               then (p_facts ->> 'block_number')::bigint
               else j.block_number end,
           block_hash = case when p_facts ? 'block_hash'
               then p_facts ->> 'block_hash' else j.block_hash end,
           succeeded = case when p_facts ? 'succeeded'
               then (p_facts ->> 'succeeded')::boolean
               else j.succeeded end,
           token_id = case when p_facts ? 'token_id'
               then (p_facts ->> 'token_id')::numeric
               else j.token_id end,
           gas_used = coalesce((p_facts ->> 'gas_used')::bigint,
                               j.gas_used),
           gas_price = coalesce((p_facts ->> 'gas_price')::numeric,
                                j.gas_price),
           looks = case when p_from = p_to
               then coalesce((p_facts ->> 'looks')::int, j.looks)
               else 0 end,
           next_look = clock_timestamp()
                       + p_delay_ms * interval '1 millisecond',
           updated_at = case when p_from = p_to then j.updated_at
                        else now() end
     where j.id = p_id and j.lane = p_lane and j.state = p_from;

    if not found then
        raise exception using errcode = 'SP002',
            message = format('the mint is not "%s" any more', p_from);
    end if;

    if p_from <> p_to then
        insert into mint.event (job_id, state, reason)
        values (p_id, p_to, p_facts ->> 'reason');
    end if;
end
$$;


grant execute on function mint.view(mint.job)
    to sallyport_user, sallyport_gateway;

grant execute on function
    mint.accept(uuid, text, text, bigint, text, text, text, text, bigint,
                text, text, text, text, text),
    mint.wake(text),
    mint.fence(text, bigint, bigint),
    mint.lane_init(text, bigint, bigint, bigint),
    mint.lane_next(text, bigint, bigint, int),
    mint.assign(text, bigint, bigint, uuid, bigint),
    mint.sign(text, bigint, bigint, uuid, text, bytea, numeric, numeric),
    mint.sent(text, bigint, bigint, uuid, text, boolean, bigint),
    mint.move(text, bigint, bigint, uuid, text, text, jsonb, bigint),
    mint.set_state(text, uuid, text, text, jsonb, bigint)
    to sallyport_gateway;
