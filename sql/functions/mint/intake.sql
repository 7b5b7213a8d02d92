-- Mints: accepted, and shown.


-- What clients see of a mint.

create or replace function mint.view(j mint.job) returns jsonb
language sql stable
set search_path = ''
as $$
    select jsonb_build_object(
        'id', j.id,
        'state', j.state,
        'final', j.state in ('confirmed', 'reverted', 'failed'),
        'reason', j.reason,
        'chain', j.chain,
        'chain_id', j.chain_id,
        'contract', j.contract,
        'to', j.wallet,
        'uri', j.uri,
        'deadline', j.deadline,
        'tx_hash', j.tx_hash,
        'block_number', j.block_number,
        'token_id', j.token_id::text,
        'created_at', j.created_at,
        'updated_at', j.updated_at)
$$;


-- Intake: the authorization has been verified.  One commit.
--
--   created       a new job
--   same          the same key and request as before: that job
--   key_conflict  the key was used for another request
--   used          the authorization was accepted before; the job when it is
--                 the caller's own

create or replace function mint.accept(p_user uuid, p_lane text, p_chain text,
    p_chain_id bigint, p_signer text, p_contract text, p_wallet text,
    p_uri text, p_deadline bigint, p_salt text, p_signature text,
    p_digest text, p_idem_key text, p_sha256 text)
returns table (outcome text, job text)
language plpgsql
set search_path = ''
as $$
declare
    j  mint.job;
begin
    insert into mint.lane (id, chain_id, signer)
    values (p_lane, p_chain_id, p_signer)
    on conflict do nothing;

    insert into mint.job (user_id, lane, chain, chain_id, contract, wallet,
                          uri, deadline, salt, signature, digest, idem_key,
                          request_sha256)
    values (p_user, p_lane, p_chain, p_chain_id, p_contract, p_wallet,
            p_uri, p_deadline, p_salt, p_signature, p_digest, p_idem_key,
            p_sha256)
    on conflict do nothing
    returning * into j;

    if found then
        insert into mint.event (job_id, state) values (j.id, j.state);
        perform mint.wake(p_lane);
        outcome := 'created';
        job := mint.view(j);
        return next;
        return;
    end if;

    select * into j
      from mint.job as m
     where m.user_id = p_user and m.idem_key = p_idem_key;

    if found then
        if j.request_sha256 = p_sha256 then
            outcome := 'same';
            job := mint.view(j);
        else
            outcome := 'key_conflict';
        end if;

        return next;
        return;
    end if;

    select * into strict j
      from mint.job as m
     where m.chain_id = p_chain_id and m.contract = p_contract
       and m.digest = p_digest;

    outcome := 'used';
    job := case when j.user_id = p_user then mint.view(j) end;
    return next;
end
$$;


-- Sees to it that a runner looks at the lane after this commit.  A waiting
-- row that we hold locked cannot be taken before, so it serves us too; a
-- running one may have looked already, so it does not.

create or replace function mint.wake(p_lane text) returns void
language plpgsql
set search_path = ''
as $$
begin
    perform
       from gateway.job
      where kind = 'mint' and lane = p_lane and state = 'ready'
      limit 1
        for share skip locked;

    if found then
        perform pg_notify('gateway_job', 'mint');
    else
        perform gateway.job_enqueue('mint', '{}', p_lane, null);
    end if;

    perform pg_notify('mint_lane', p_lane);
end
$$;


grant execute on function mint.view(mint.job)
    to sallyport_user, sallyport_gateway;
grant execute on function
    mint.accept(uuid, text, text, bigint, text, text, text, text, bigint,
        text, text, text, text, text),
    mint.wake(text)
    to sallyport_gateway;
