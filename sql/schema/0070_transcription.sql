-- Transcriptions and translations of audio are in the ledger too.

alter table gateway.ledger
    drop constraint ledger_kind_check,
    add constraint ledger_kind_check
        check (kind in ('chat', 'embedding', 'extraction', 'image', 'speech',
                        'transcription'));

comment on column gateway.ledger.units is
    'images of the answer, characters that were to be spoken, seconds heard';
