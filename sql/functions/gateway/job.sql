-- Background jobs: enqueue, claim, renew, end.


-- The id of the job; with a key, that of the one that has it already.

create or replace function gateway.job_enqueue(kind text, payload jsonb,
    lane text default null, key text default null)
returns bigint
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
declare
    job_id  bigint;
begin
    insert into gateway.job as j (kind, payload, lane, key)
    values (job_enqueue.kind, coalesce(job_enqueue.payload, '{}'),
            job_enqueue.lane, job_enqueue.key)
        on conflict (kind, key) do nothing
        returning j.id into job_id;

    if job_id is not null then
        perform pg_notify('gateway_job', job_enqueue.kind);
        return job_id;
    end if;

    select j.id into job_id
      from gateway.job as j
     where j.kind = job_enqueue.kind and j.key = job_enqueue.key;

    return job_id;
end
$$;


-- Up to "max" jobs whose time has come, or whose lease is over.  The lock of
-- a lane is held until the end of this transaction: two claims at once never
-- take two jobs of one lane.

create or replace function gateway.job_claim(kinds text[], owner text,
    lease interval, max int)
returns setof gateway.job
language plpgsql
set search_path = ''
as $$
declare
    c      record;
    n      int := 0;
    taken  gateway.job;
begin
    -- a lease without an end is one that nobody takes over
    if kinds is null or owner is null or lease is null or max is null then
        raise null_value_not_allowed using
            message = 'gateway.job_claim() needs all of its arguments';
    end if;

    for c in
        select j.id, j.kind, j.lane
          from gateway.job as j
         where j.kind = any (kinds)
           and (j.state = 'running' and j.lease_until <= clock_timestamp()
                or j.state = 'ready' and j.not_before <= clock_timestamp()
                   and (j.lane is null or not exists (
                        select from gateway.job as e
                         where e.kind = j.kind and e.lane = j.lane
                           and e.state in ('ready', 'running')
                           and (e.id < j.id or e.state = 'running'))))
         order by j.id
         limit greatest(2 * max, 16)
           for update skip locked
    loop
        exit when n >= max;

        if c.lane is not null then
            continue when not pg_try_advisory_xact_lock(
                hashtextextended(c.kind || ' ' || c.lane, 20));

            -- a new snapshot: whoever had the lock before has committed
            continue when exists (
                select from gateway.job as e
                 where e.kind = c.kind and e.lane = c.lane
                   and e.state = 'running' and e.id <> c.id);
        end if;

        update gateway.job as j
           set state = 'running',
               attempt = j.attempt + 1,
               epoch = j.epoch + 1,
               lease_owner = owner,
               lease_until = clock_timestamp() + lease,
               updated_at = now()
         where j.id = c.id
         returning * into taken;

        n := n + 1;
        return next taken;
    end loop;
end
$$;


-- Milliseconds until a job of this kind may have to be claimed; NULL: none is
-- there.  A job that waits for its lane is not counted: the one before it
-- wakes whoever ran it.

create or replace function gateway.job_due(kind text) returns double precision
language plpgsql
set search_path = ''
as $$
begin
    if kind is null then
        raise null_value_not_allowed using
            message = 'gateway.job_due() needs a kind';
    end if;

    return (
        select extract(epoch from min(t.at) - clock_timestamp()) * 1000
          from (select min(j.lease_until) as at
                  from gateway.job as j
                 where j.kind = job_due.kind and j.state = 'running'
                union all
                select min(j.not_before)
                  from gateway.job as j
                 where j.kind = job_due.kind and j.state = 'ready'
                   and (j.lane is null or not exists (
                        select from gateway.job as e
                         where e.kind = j.kind and e.lane = j.lane
                           and e.state in ('ready', 'running')
                           and (e.id < j.id or e.state = 'running')))) as t);
end
$$;


-- The calls of a runner.  False: the lease was lost, nothing was changed.

create or replace function gateway.job_renew(id bigint, owner text,
    epoch bigint, lease interval)
returns boolean
language plpgsql
set search_path = ''
as $$
begin
    if lease is null then
        raise null_value_not_allowed using
            message = 'gateway.job_renew() needs a lease';
    end if;

    update gateway.job as j
       set lease_until = clock_timestamp() + lease, updated_at = now()
     where j.id = job_renew.id and j.lease_owner = owner
       and j.epoch = job_renew.epoch and j.state = 'running';

    return found;
end
$$;


create or replace function gateway.job_save(id bigint, owner text,
    epoch bigint, result jsonb)
returns boolean
language plpgsql
set search_path = ''
as $$
begin
    update gateway.job as j
       set result = job_save.result, updated_at = now()
     where j.id = job_save.id and j.lease_owner = owner
       and j.epoch = job_save.epoch and j.state = 'running';

    return found;
end
$$;


-- The lease ends: the job is in another state, from now on or after a delay.

create or replace function gateway.job_leave(id bigint, owner text,
    epoch bigint, state text, delay interval, reason text)
returns boolean
language plpgsql
set search_path = ''
as $$
begin
    update gateway.job as j
       set state = job_leave.state, lease_owner = null, lease_until = null,
           not_before = coalesce(clock_timestamp() + delay, j.not_before),
           error = left(reason, 500), updated_at = now()
     where j.id = job_leave.id and j.lease_owner = owner
       and j.epoch = job_leave.epoch and j.state = 'running';

    return found;
end
$$;


create or replace function gateway.job_finish(id bigint, owner text,
    epoch bigint)
returns boolean
language sql
set search_path = ''
as $$
    select gateway.job_leave(id, owner, epoch, 'done', null, null)
$$;


create or replace function gateway.job_retry(id bigint, owner text,
    epoch bigint, delay interval, reason text)
returns boolean
language sql
set search_path = ''
as $$
    select gateway.job_leave(id, owner, epoch, 'ready', delay, reason)
$$;


create or replace function gateway.job_fail(id bigint, owner text,
    epoch bigint, reason text)
returns boolean
language sql
set search_path = ''
as $$
    select gateway.job_leave(id, owner, epoch, 'dead', null, reason)
$$;


-- The worker exits: somebody else takes it at once, and the attempt does not
-- count.

create or replace function gateway.job_release(id bigint, owner text,
    epoch bigint)
returns boolean
language plpgsql
set search_path = ''
as $$
declare
    released  text;
begin
    update gateway.job as j
       set state = 'ready', lease_owner = null, lease_until = null,
           not_before = clock_timestamp(),
           attempt = greatest(j.attempt - 1, 0), updated_at = now()
     where j.id = job_release.id and j.lease_owner = owner
       and j.epoch = job_release.epoch and j.state = 'running'
     returning j.kind into released;

    if not found then
        return false;
    end if;

    perform pg_notify('gateway_job', released);
    return true;
end
$$;


grant execute on function gateway.job_enqueue(text, jsonb, text, text),
    gateway.job_claim(text[], text, interval, int), gateway.job_due(text),
    gateway.job_renew(bigint, text, bigint, interval),
    gateway.job_save(bigint, text, bigint, jsonb),
    gateway.job_leave(bigint, text, bigint, text, interval, text),
    gateway.job_finish(bigint, text, bigint),
    gateway.job_retry(bigint, text, bigint, interval, text),
    gateway.job_fail(bigint, text, bigint, text),
    gateway.job_release(bigint, text, bigint)
    to sallyport_gateway;
