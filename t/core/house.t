#!/usr/bin/perl

# Housekeeping: what has been over for long is deleted, by one worker, in
# batches; what is young or must stay is not.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Test;
use Test::More;


my $t = Sallyport::Test->new(workers => 2);

$t->pg;

$t->conf(<<'EOC');
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    pg_server main "%%PG%%" connections=2 timeout=1s connect_timeout=1s;
    test_pg main jobs;
    turn_store main;
    turn_spool %%DIR%%/spool;

    server {
        listen 127.0.0.1:%%PORT%%;
        location / { test_content; }
    }
}
EOC

my $user = '00000000-0000-4000-8000-000000000001';
my $her = '00000000-0000-4000-8000-00000000000c';

# jobs: 2,500 old ones that are done are three batches

$t->sql("insert into gateway.job (kind, state, updated_at)
         select 'other', s, now() - make_interval(days => d)
           from (values ('done', 31, 2500), ('done', 29, 3), ('dead', 91, 5),
                        ('dead', 89, 2), ('ready', 400, 1)) as v (s, d, n),
                generate_series(1, v.n)");

# sessions, memories and what was done to them

$t->sql("insert into auth.users (id) values (?)", $user);
$t->sql("insert into auth.sessions (user_id, idle_until, expires_at)
         select ?, now(), now() - make_interval(days => d)
           from unnest(array[31, 40, 29, 0, -7]) as d", $user);

$t->sql("insert into chat.character (id, name, system_prompt)
         values (?, 'C', 'You are C.')", $her);
$t->sql("insert into mem.scope (user_id, character_id) values (?, ?)",
        $user, $her);
$t->sql("insert into mem.memory (scope_id, user_id, character_id, content,
                                 hash, tsv, invalid_at, created_at)
         select s.id, s.user_id, s.character_id, 'memory ' || v.n,
                decode(lpad(to_hex(v.n), 2, '0'), 'hex'), '',
                now() - make_interval(days => v.d),
                now() - interval '5 years'
           from mem.scope as s,
                (values (1, 31), (2, 29), (3, null)) as v (n, d)");
$t->sql("insert into mem.audit (scope_id, user_id, op, actor, at)
         select s.id, s.user_id, 'add', 'user',
                now() - make_interval(days => d)
           from mem.scope as s, unnest(array[364, 367]) as d");
$t->sql("insert into mem.tombstone (scope_id, user_id, hash, deleted_at)
         select s.id, s.user_id, 'x', now() - interval '5 years'
           from mem.scope as s");
$t->sql("insert into gateway.ledger (id, outcome, at, created_at)
         values (gen_random_uuid(), 'complete', now() - interval '5 years',
                 now() - interval '5 years')");

# guests, with all that is theirs: of the first every session has ended

$t->sql("insert into auth.users (id, role, created_at)
         select v.id::uuid, 'guest', now() - make_interval(days => d)
           from (values ('00000000-0000-4000-8000-0000000000f1', 70),
                        ('00000000-0000-4000-8000-0000000000f2', 70),
                        ('00000000-0000-4000-8000-0000000000f3', 20))
                as v (id, d)");
$t->sql("insert into auth.sessions (user_id, idle_until, expires_at)
         values ('00000000-0000-4000-8000-0000000000f2', now(), now())");

# rows of a domain of one's own, kept by a rule of one's own

$t->sql('create table gateway.note (at timestamptz, pinned boolean)');
$t->sql('alter table gateway.note enable row level security');
$t->sql('grant select, update, delete on gateway.note to sallyport_gateway');
$t->sql('create policy gateway on gateway.note to sallyport_gateway
         using (true)');
$t->sql("insert into gateway.retention (name, relation, since, keep, condition)
         values ('notes', 'gateway.note', 'at', '2 hours', 'not r.pinned')");
$t->sql("insert into gateway.note
         select now() - make_interval(hours => h), p
           from (values (1, false), (3, false), (4, true)) as v (h, p)");

ok(!eval { $t->sql(q{set role sallyport_gateway});
           $t->sql("insert into gateway.retention values
                    ('x', 'gateway.job', 'updated_at', '0', 'true')"); 1 },
   'the gateway itself cannot add a rule');
$t->sql('reset role');

# each round deletes notes once

$t->sql("create table public.rounds (n int not null)");
$t->sql("create function public.round() returns trigger language plpgsql
         security definer as
         'begin insert into public.rounds values (1); return null; end'");
$t->sql("grant usage on schema public to sallyport_gateway");
$t->sql("grant execute on function public.round() to sallyport_gateway");
$t->sql("create trigger round after delete on gateway.note
         for each statement execute function public.round()");

$t->run;

sub left {
    return join ', ', map { "@$_" }
        $t->sql("select state, count(*) from gateway.job group by 1 order by 1");
}

ok($t->wait_until(sub { left() =~ /done 3$|done 3,/ }, 15),
   'done jobs of more than 30 days go') or diag(left());
is(left(), 'dead 2, done 3, ready 1', 'dead ones of 90; no other');

ok($t->wait_until(sub {
       scalar $t->sql('select count(*) from public.rounds') == 3 }, 5),
   'in three batches');

is(scalar $t->sql('select count(*) from auth.sessions where user_id = ?', $user), 3,
   'sessions that ended 30 days ago go');
is(join(' ', map { $_->[0] } $t->sql('select content from mem.memory
                                      order by 1')),
   'memory 2 memory 3', 'so do memories that were replaced');
is(join(' ', map { $_->[0] } $t->sql("select right(id::text, 1)
        from auth.users where role = 'guest' order by 1")), '2 3',
   'a guest goes who cannot come back');
is(scalar $t->sql('select count(*) from gateway.note'), 2,
   'a row of gateway.retention is all that a domain needs');
is(scalar $t->sql('select count(*) from mem.audit'), 1, 'and old audits');
is(scalar $t->sql('select count(*) from mem.tombstone'), 1,
   'tombstones stay');
is(scalar $t->sql('select count(*) from gateway.ledger'), 1,
   'so does the ledger');

# only one of the two workers does it

$t->reload;
ok($t->wait_until(sub {
       scalar $t->sql('select count(*) from public.rounds') == 4 }, 8),
   'after a reload too');
$t->stop;
is(scalar $t->sql('select count(*) from public.rounds'), 4, 'by one worker');

is(scalar $t->sql('select gateway.housekeeping()'), 0, 'nothing is left');

# a rule that fails holds up no other

$t->sql('create table public.old (at timestamptz)');
$t->sql("insert into public.old values (now() - interval '1 day')");
$t->sql("insert into gateway.retention (name, relation, since, keep, condition)
         values ('a wrong one', 'public.old', 'at', '1 hour', 'r.nothing'),
                ('old', 'public.old', 'at', '1 hour', 'true')");
{
    local $SIG{__WARN__} = sub { };
    is(scalar $t->sql('select gateway.housekeeping()'), 0, 'it is passed');
}
is(scalar $t->sql('select count(*) from public.old'), 0, 'the next one is done');

$t->finish;
done_testing;
