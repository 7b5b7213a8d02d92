-- The signed receipt of a request whose client has asked for one: "receipt" is
-- the text that was signed, byte for byte.

alter table gateway.ledger
    add column receipt  jsonb;

grant select (receipt) on gateway.ledger to sallyport_user;
