-- The lane of a relay key: nonces, attempts, states.


-- SQLSTATE SP001: another runner has the lane.  The lock keeps it ours until
-- the commit.

create or replace function mint.fence(p_lane text, p_job bigint,
    p_epoch bigint)
returns void
language plpgsql
set search_path = ''
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

create or replace function mint.lane_init(p_lane text, p_job bigint,
    p_epoch bigint, p_nonce bigint)
returns void
language plpgsql
set search_path = ''
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
-- lane has no nonce yet), or the state of the job in the row.  wait_ms is NULL
-- with "none" and "init".  Who names no lane, job or epoch holds none.

create or replace function mint.lane_next(p_lane text, p_job bigint,
    p_epoch bigint, p_in_flight int)
returns table (work text, wait_ms bigint, id uuid, contract text,
    wallet text, uri text, deadline bigint, salt text, signature text,
    digest text, nonce bigint, gas bigint, tip numeric, cap numeric,
    tx_hash text, raw bytea, looks int, sent_ms bigint, acknowledged boolean,
    block_number bigint, block_hash text, succeeded boolean)
language plpgsql
set search_path = ''
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
    if p_in_flight is null then
        raise null_value_not_allowed using
            message = 'mint.lane_next() needs the most mints in flight';
    end if;

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
        work := 'none';

        if wake_at is not null then
            work := 'wait';
            wait_ms := greatest(extract(epoch from wake_at - at) * 1000, 1);
        end if;

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

create or replace function mint.assign(p_lane text, p_job bigint,
    p_epoch bigint, p_id uuid, p_gas bigint)
returns bigint
language plpgsql
set search_path = ''
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

create or replace function mint.sign(p_lane text, p_job bigint, p_epoch bigint,
    p_id uuid, p_hash text, p_raw bytea, p_tip numeric, p_cap numeric)
returns void
language plpgsql
set search_path = ''
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

create or replace function mint.sent(p_lane text, p_job bigint, p_epoch bigint,
    p_id uuid, p_state text, p_acknowledged boolean, p_delay_ms bigint)
returns void
language plpgsql
set search_path = ''
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

create or replace function mint.move(p_lane text, p_job bigint, p_epoch bigint,
    p_id uuid, p_from text, p_to text, p_facts jsonb, p_delay_ms bigint)
returns void
language plpgsql
set search_path = ''
as $$
begin
    perform mint.fence(p_lane, p_job, p_epoch);
    perform mint.set_state(p_lane, p_id, p_from, p_to, p_facts, p_delay_ms);
end
$$;


-- The one place that changes a state.  SQLSTATE SP002: the job is not in the
-- state it is moved from; what the runner knows is old, it looks again.

create or replace function mint.set_state(p_lane text, p_id uuid, p_from text,
    p_to text, p_facts jsonb, p_delay_ms bigint)
returns void
language plpgsql
set search_path = ''
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


grant execute on function mint.fence(text, bigint, bigint),
    mint.lane_init(text, bigint, bigint, bigint),
    mint.lane_next(text, bigint, bigint, int),
    mint.assign(text, bigint, bigint, uuid, bigint),
    mint.sign(text, bigint, bigint, uuid, text, bytea, numeric, numeric),
    mint.sent(text, bigint, bigint, uuid, text, boolean, bigint),
    mint.move(text, bigint, bigint, uuid, text, text, jsonb, bigint),
    mint.set_state(text, uuid, text, text, jsonb, bigint)
    to sallyport_gateway;
