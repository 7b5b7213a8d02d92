-- Images and speech are in the ledger too.

alter table gateway.ledger
    drop constraint ledger_kind_check,
    add constraint ledger_kind_check
        check (kind in ('chat', 'embedding', 'extraction', 'image', 'speech')),

    -- images of the answer, characters that were to be spoken
    add column units  bigint check (units >= 0);

grant select (units) on gateway.ledger to sallyport_user;
