-- Housekeeping: what gateway.retention says is deleted, in batches.


-- Deletes up to "batch" rows for each row of gateway.retention.  True: there
-- may be more.  When two gateways call it at once, one does the work.  A rule
-- that fails is a warning in the server's log, and holds up no other.

create or replace function gateway.housekeeping() returns boolean
language plpgsql
set search_path = ''
as $$
declare
    more  boolean := false;
    rule  gateway.retention%rowtype;
    n     int;
begin
    if not pg_try_advisory_xact_lock(
        hashtextextended('gateway.housekeeping', 20))
    then
        return false;
    end if;

    for rule in select * from gateway.retention order by name loop
        begin
            execute format(
                'delete from %1$s where ctid = any (array('
                'select r.ctid from %1$s as r '
                'where r.%2$I < now() - $1 and (%3$s) '
                'order by r.%2$I limit $2 for update skip locked))',
                rule.relation, rule.since, rule.condition)
            using rule.keep, rule.batch;

            get diagnostics n = row_count;
            more := more or n >= rule.batch;

        exception
            when others then
                raise warning 'gateway.retention "%": %', rule.name, sqlerrm;
        end;
    end loop;

    return more;
end
$$;


grant execute on function gateway.housekeeping() to sallyport_gateway;
