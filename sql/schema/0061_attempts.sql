-- Each try of a model's targets, in the order in which they were made: an
-- array of {provider, model, key, status, class, first_byte_ms, total_ms} and,
-- where the provider told them, prompt_tokens and completion_tokens.  "key"
-- is its number in the configuration, "class" why the try has failed.

alter table gateway.ledger
    drop column attempts,
    add column attempts  jsonb not null default '[]'
                         check (jsonb_typeof(attempts) = 'array');
