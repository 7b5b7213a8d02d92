-- Requests that were answered by an earlier answer to the same request: nobody
-- was asked and nothing was spent, and they are turns of their chats.

alter table gateway.ledger
    drop constraint ledger_outcome_check,
    add constraint ledger_outcome_check
        check (outcome in ('complete', 'partial', 'failed', 'refused',
                           'replayed', 'cached'));

create or replace view gateway.usage_daily with (security_invoker = true) as
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
           coalesce(sum(cost), 0) as cost,
           count(*) filter (where outcome = 'replayed') as replayed,
           count(*) filter (where outcome = 'cached') as cached
      from gateway.ledger
     group by 1, 2, 3, 4, 5;
