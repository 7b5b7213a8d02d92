-- The ledger holds every call of a model that was answered: chats, and what is
-- asked beside them.

alter table gateway.ledger
    -- what it was for
    add column kind   text not null default 'chat'
                      check (kind in ('chat', 'embedding', 'extraction')),

    -- the model as the configuration calls it; "model" is the provider's name
    add column alias  text not null default '';
