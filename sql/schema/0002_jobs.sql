-- Background jobs: rows that any worker of any gateway may claim with a lease.
--
--     ready --claim--> running --finish--> done
--       ^                |  |
--       +--- retry ------+  +--- fail ---> dead
--
-- The lease is by the clock of the database.  A claim raises the epoch; every
-- later call names owner and epoch, so that a worker whose lease was taken
-- over changes nothing.  Jobs of one (kind, lane) run one at a time, in the
-- order of their ids; one that waits for its next attempt holds its lane.

create table gateway.job (
    id           bigserial primary key,
    kind         text not null,
    lane         text,
    key          text,
    payload      jsonb not null default '{}',
    result       jsonb,
    state        text not null default 'ready'
                 check (state in ('ready', 'running', 'done', 'dead')),
    attempt      int not null default 0,
    lease_owner  text,
    lease_until  timestamptz,
    epoch        bigint not null default 0,
    not_before   timestamptz not null default now(),
    error        text,
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now(),

    unique (kind, key)
);

create index on gateway.job (kind, not_before) where state = 'ready';
create index on gateway.job (kind, lease_until) where state = 'running';
create index on gateway.job (kind, lane, id)
    where state in ('ready', 'running');
create index on gateway.job (updated_at) where state = 'done';
create index on gateway.job (updated_at) where state = 'dead';

-- what the claim sees to, made certain
create unique index on gateway.job (kind, lane) where state = 'running';

alter table gateway.job enable row level security;
alter table gateway.job force row level security;

create policy gateway on gateway.job to sallyport_gateway
    using (true) with check (true);

grant select, insert, update, delete on gateway.job to sallyport_gateway;
grant usage on sequence gateway.job_id_seq to sallyport_gateway;


-- What was stored is forgotten elsewhere: a turn leaves the spool, a signed
-- transaction is sent.  A database that commits asynchronously could lose the
-- row in a crash, so these transactions wait for the disk, whatever the
-- server's synchronous_commit says.

create function gateway.durable() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if current_setting('synchronous_commit') = 'off' then
        perform set_config('synchronous_commit', 'on', true);
    end if;

    return null;
end
$$;

create trigger durable before insert or update on gateway.job
    for each statement execute function gateway.durable();


-- What is deleted when it has been over for long, by gateway.housekeeping():
-- rows of "relation" whose column "since" is older than "keep", and for which
-- "condition" holds (SQL; the row is "r"), at most "batch" of them in a run.
-- A domain adds its rows where it makes its tables; an operator may change
-- "keep" and "batch".  Only the owner of the schema may write here:
-- "condition" is run as it stands.

create table gateway.retention (
    name        text primary key,
    relation    regclass not null,
    since       name not null,
    keep        interval not null check (keep >= interval '0'),
    condition   text not null default 'true',
    batch       int not null default 1000 check (batch between 1 and 100000)
);

grant select on gateway.retention to sallyport_gateway;

insert into gateway.retention (name, relation, since, keep, condition) values
    -- their keys refuse for a while what was done already
    ('jobs done', 'gateway.job', 'updated_at', '30 days',
     'r.state = ''done'''),
    -- a dead job waits for an operator for a while longer
    ('jobs dead', 'gateway.job', 'updated_at', '90 days',
     'r.state = ''dead''');
