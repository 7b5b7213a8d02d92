-- Schemas, roles, privileges and users: what every other file stands on.
--
-- Three roles do the work; the gateway chooses one per transaction by
-- set_config('role', ..., true).  None of them owns anything, none bypasses
-- row-level security.
--
--   sallyport_anon      nobody: public rows, and only through api.*
--   sallyport_user      a signed-in person: rows of the verified "sub"
--   sallyport_gateway   the gateway itself: jobs, finished turns, sign-in
--
-- "sallyport" is the role the gateway logs in as: a member of the three that
-- inherits nothing, so a transaction that forgot to choose can read nothing.
-- Roles belong to the cluster, hence "if missing".

do $$
declare
    r record;
begin
    for r in
        select * from (values
            ('sallyport_anon', 'nologin noinherit'),
            ('sallyport_user', 'nologin noinherit'),
            ('sallyport_gateway', 'nologin noinherit'),
            ('sallyport', 'login noinherit')) as v (name, options)
    loop
        begin
            if not exists (select from pg_roles where rolname = r.name) then
                execute format('create role %I %s', r.name, r.options);
            end if;
        exception
            -- another database of the cluster is being set up beside us
            when duplicate_object or unique_violation then null;
        end;
    end loop;

    for r in
        select m.name
          from unnest(array['sallyport_anon', 'sallyport_user',
                            'sallyport_gateway']) as m (name)
         where not exists (
               select from pg_auth_members a
                where a.roleid = m.name::regrole
                  and a.member = 'sallyport'::regrole)
    loop
        begin
            execute format('grant %I to sallyport', r.name);
        exception
            when unique_violation then null;
        end;
    end loop;
end
$$;


create schema if not exists gateway;
create schema auth;
create schema chat;
create schema mem;
create schema mint;
create schema api;


-- Extensions live in a schema of their own.  pgvector is optional here and
-- looked for again by every run of sql/apply (mem.vector_setup); it is made
-- before the default privileges below, which would close its functions too.

create schema if not exists ext;

do $$
begin
    if exists (select from pg_available_extensions where name = 'vector') then
        create extension if not exists vector with schema ext;
    end if;
exception
    when insufficient_privilege then
        raise warning 'the role may not create the extension "vector": '
                      'recall stays lexical';
end
$$;


-- Nothing is callable or readable unless a file says so.

alter default privileges revoke execute on functions from public;
revoke all on schema public from public;

do $$
begin
    execute format('revoke temporary on database %I from public',
                   current_database());
end
$$;

grant usage on schema gateway to sallyport_gateway;
grant usage on schema auth to sallyport_anon, sallyport_user,
    sallyport_gateway;
grant usage on schema chat to sallyport_anon, sallyport_user,
    sallyport_gateway;
grant usage on schema mem to sallyport_user, sallyport_gateway;
grant usage on schema mint to sallyport_user, sallyport_gateway;
grant usage on schema api to sallyport_anon, sallyport_user,
    sallyport_gateway;
grant usage on schema ext to sallyport_anon, sallyport_user,
    sallyport_gateway;

grant select on gateway.schema_migration to sallyport_gateway;


-- The verified subject of this transaction; NULL: nobody, and no policy that
-- compares with NULL lets a row through.  A subject that is not a UUID is
-- nobody too.  Policies call it as (select auth.uid()): once per statement.

create function auth.uid() returns uuid
language sql stable parallel safe
set search_path = ''
as $$
    select case
           when c.sub ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'
           then c.sub::uuid
           end
      from (select nullif(current_setting('request.jwt.claims', true),
                          '')::jsonb ->> 'sub' as sub) as c
$$;

grant execute on function auth.uid()
    to sallyport_anon, sallyport_user, sallyport_gateway;


-- Users.  Wallets and sessions refer to them (0010_auth).

create table auth.users (
    id          uuid primary key default gen_random_uuid(),
    tier        text not null default 'free'
                check (tier ~ '^[a-z0-9_]{1,32}$'),
    role        text not null default 'user'
                check (role ~ '^[a-z0-9_]{1,32}$'),
    status      text not null default 'active'
                check (status in ('active', 'suspended', 'deleted')),
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now()
);

alter table auth.users enable row level security;
alter table auth.users force row level security;

create policy own on auth.users for select to sallyport_user
    using (id = (select auth.uid()));
create policy gateway on auth.users to sallyport_gateway
    using (true) with check (true);

grant select on auth.users to sallyport_user;
grant select, insert, update on auth.users to sallyport_gateway;
