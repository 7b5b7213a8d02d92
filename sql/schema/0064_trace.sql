-- The trace that a request belongs to (W3C Trace Context), where trace_context
-- is on: by it the row is found from the spans of whoever else took part.

alter table gateway.ledger
    add column trace_id  text check (trace_id ~ '^[0-9a-f]{32}$');
