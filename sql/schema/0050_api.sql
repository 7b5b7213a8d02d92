-- The data API: what "pg_call SERVER api;" calls.
--
-- A request is looked up in api.route; what is not there does not exist.  A
-- file that brings endpoints of its own adds rows and functions.  A handler
-- is
--     function(ids text[], query jsonb, body jsonb) returns api.reply
-- ids are the id segments of the path in order; query holds only parameters
-- that the route allows, as strings; body is NULL or any JSON value.  It runs
-- as the caller's role with its verified claims, read-only for GET.
--
-- A refusal is raised with SQLSTATE PTnnn (nnn: the HTTP status), the error
-- code as DETAIL: see api.fail().

create type api.reply as (
    status    int,
    body      jsonb,
    location  text
);

create table api.route (
    method     text not null
               check (method in ('GET', 'POST', 'PUT', 'PATCH', 'DELETE')),

    -- of the whole path; an id (UUID or decimal) is written {id}
    pattern    text not null check (pattern ~ '^(/([a-z0-9_-]+|\{id\}))+$'),
    handler    regprocedure not null,
    query      text[] not null default '{}',

    -- may be called by nobody in particular
    anonymous  boolean not null default false,
    primary key (pattern, method)
);

grant select on api.route to sallyport_anon, sallyport_user;

create type api.place as (
    at  timestamptz,
    id  uuid
);

create type api.item as (
    at    timestamptz,
    id    uuid,
    body  jsonb
);
