-- What was stored is forgotten elsewhere: a turn leaves the spool, a signed
-- transaction is sent.  A database that commits asynchronously could lose the
-- row in a crash, so these transactions wait for the disk, whatever the
-- server's synchronous_commit says.

create function gateway.durable() returns trigger
language plpgsql
as $$
begin
    if current_setting('synchronous_commit') = 'off' then
        perform set_config('synchronous_commit', 'on', true);
    end if;

    return null;
end
$$;

create trigger durable before insert or update on gateway.ledger
    for each statement execute function gateway.durable();

create trigger durable before insert or update on gateway.job
    for each statement execute function gateway.durable();
