-- What has been over for long, and would grow for ever.  What stays: the
-- ledger, chats, memories that hold, tombstones, mints.

create index on gateway.job (updated_at) where state = 'dead';
create index on auth.sessions (expires_at);
create index on mem.memory (invalid_at) where invalid_at is not null;
create index on mem.audit (at);


-- Deletes up to "max" rows of each sort.  True: there may be more.  When two
-- gateways call it at once, one does the work.

create function gateway.housekeeping(max int) returns boolean
language plpgsql
as $$
declare
    more  boolean;
    n     int;
begin
    if not pg_try_advisory_xact_lock(
        hashtextextended('gateway.housekeeping', 20))
    then
        return false;
    end if;

    more := gateway.job_prune('30 days', max) >= max;

    -- a dead job waits for an operator for a while longer
    delete from gateway.job
     where id in (select j.id
                    from gateway.job as j
                   where j.state = 'dead'
                     and j.updated_at < now() - interval '90 days'
                   order by j.updated_at
                   limit max
                     for update skip locked);
    get diagnostics n = row_count;
    more := more or n >= max;

    -- nobody can refresh them any more
    delete from auth.sessions
     where id in (select s.id
                    from auth.sessions as s
                   where s.expires_at < now() - interval '30 days'
                   order by s.expires_at
                   limit max
                     for update skip locked);
    get diagnostics n = row_count;
    more := more or n >= max;

    -- replaced by a newer one: no one reads them
    delete from mem.memory
     where id in (select m.id
                    from mem.memory as m
                   where m.invalid_at < now() - interval '30 days'
                   order by m.invalid_at
                   limit max
                     for update skip locked);
    get diagnostics n = row_count;
    more := more or n >= max;

    delete from mem.audit
     where id in (select a.id
                    from mem.audit as a
                   where a.at < now() - interval '1 year'
                   order by a.at
                   limit max
                     for update skip locked);
    get diagnostics n = row_count;

    return more or n >= max;
end
$$;

grant execute on function gateway.housekeeping(int) to sallyport_gateway;
