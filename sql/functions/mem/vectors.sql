-- Vectors where pgvector is there; hashes.


-- Sameness of two memories: case, spaces and closing marks do not count.

create or replace function mem.hash(text) returns bytea
language sql immutable parallel safe
set search_path = ''
as $$
    select sha256(convert_to(
        btrim(regexp_replace(lower($1), '\s+', ' ', 'g'), ' .!?'), 'UTF8'))
$$;


create or replace function mem.has_vectors() returns boolean
language sql stable parallel safe
set search_path = ''
as $$
    select exists (select from pg_attribute
                    where attrelid = 'mem.memory'::regclass
                      and attname = 'embedding' and not attisdropped)
$$;


-- Switches the vector arm on as soon as the extension is there; called by
-- every run of sql/apply.  Returns whether there are vectors.

create or replace function mem.vector_setup() returns boolean
language plpgsql
set search_path = ''
as $$
begin
    if not exists (select from pg_extension where extname = 'vector') then
        if not exists (select from pg_available_extensions
                        where name = 'vector')
        then
            return false;
        end if;

        begin
            create extension vector with schema ext;
        exception
            when insufficient_privilege then return false;
        end;
    end if;

    if (select n.nspname
          from pg_extension as e
          join pg_namespace as n on n.oid = e.extnamespace
         where e.extname = 'vector') <> 'ext'
    then
        alter extension vector set schema ext;
    end if;

    grant execute on all functions in schema ext
        to sallyport_user, sallyport_gateway;

    -- a row must fit its page: up to about 3,900 dimensions
    if not mem.has_vectors() then
        alter table mem.memory add column embedding ext.halfvec;
        alter table mem.memory alter column embedding set storage plain;
    end if;

    return true;
end
$$;


grant execute on function mem.hash(text), mem.has_vectors()
    to sallyport_user, sallyport_gateway;
