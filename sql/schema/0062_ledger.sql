-- The ledger holds every request for a model of somebody who is known, refused
-- ones too: how it ended and by whose fault, what the provider has told of its
-- tokens and what was estimated, what it has cost.

alter table gateway.ledger rename column finish to outcome;

alter table gateway.ledger
    drop constraint ledger_finish_check,
    add constraint ledger_outcome_check
        check (outcome in ('complete', 'partial', 'failed', 'refused')),

    -- what the provider has told; null: it has not, which is not 0
    alter column prompt_tokens drop not null,
    alter column prompt_tokens drop default,
    alter column completion_tokens drop not null,
    alter column completion_tokens drop default,
    alter column cached_tokens drop not null,
    alter column cached_tokens drop default,
    add column cache_write_tokens  bigint,
    add column reasoning_tokens    bigint,

    -- what the gateway has counted itself, only where that was not all:
    -- what is paid for is coalesce(estimated, told)
    drop column reported,
    add column estimated_prompt_tokens      bigint,
    add column estimated_completion_tokens  bigint,

    -- by the prices of that moment; null: the model had none
    add column cost      numeric check (cost >= 0),
    add column currency  text not null default '',

    -- whose fault it was: modules/core/ngx_http_sp_core_blame.c
    add column error_type  text not null default ''
        check (error_type in ('',
            'caller_invalid_request', 'caller_unknown_model',
            'caller_disconnected',
            'policy_quota', 'policy_moderation', 'policy_access',
            'provider_unreachable', 'provider_timeout',
            'provider_rate_limited', 'provider_overloaded', 'provider_auth',
            'provider_unknown_model', 'provider_refused_request',
            'provider_invalid_answer', 'provider_cut', 'provider_error',
            'gateway_unavailable', 'gateway_error')),

    -- X-Request-Id of the answer
    add column request_id  text not null default '';


-- What was refused has cost nothing, and there may be a lot of it: all else is
-- the account, and stays.

create index on gateway.ledger (created_at) where outcome = 'refused';

grant delete on gateway.ledger to sallyport_gateway;

create policy account on gateway.ledger as restrictive for delete
    to sallyport_gateway
    using (outcome = 'refused');

insert into gateway.retention (name, relation, since, keep, condition) values
    ('requests refused', 'gateway.ledger', 'created_at', '30 days',
     'r.outcome = ''refused''');


-- A user reads the account of what was spent for them.

create index on gateway.ledger (user_id, request_id)
    where request_id <> '';

grant usage on schema gateway to sallyport_user;

create policy own on gateway.ledger for select to sallyport_user
    using (user_id = (select auth.uid()));

grant select (id, user_id, character_id, chat_id, kind, alias, outcome,
    error_type, finish_reason, status, prompt_tokens, completion_tokens,
    cached_tokens, cache_write_tokens, reasoning_tokens,
    estimated_prompt_tokens, estimated_completion_tokens, cost, currency,
    stream, first_byte_ms, total_ms, at, request_id)
    on gateway.ledger to sallyport_user;


-- Usage by user, day (UTC) and model.  A user sees their own.

create view gateway.usage_daily with (security_invoker = true) as
    select user_id, (at at time zone 'UTC')::date as day, kind, alias,
           currency,
           count(*) as requests,
           count(*) filter (where outcome = 'complete') as complete,
           count(*) filter (where outcome = 'partial') as partial,
           count(*) filter (where outcome = 'failed') as failed,
           count(*) filter (where outcome = 'refused') as refused,
           coalesce(sum(coalesce(estimated_prompt_tokens, prompt_tokens)),
                    0) as prompt_tokens,
           coalesce(sum(coalesce(estimated_completion_tokens,
                                 completion_tokens)),
                    0) as completion_tokens,
           coalesce(sum(cached_tokens), 0) as cached_tokens,
           coalesce(sum(reasoning_tokens), 0) as reasoning_tokens,
           coalesce(sum(cost), 0) as cost
      from gateway.ledger
     group by 1, 2, 3, 4, 5;

grant select on gateway.usage_daily to sallyport_user, sallyport_gateway;
