#!/usr/bin/perl

# 20 messages make a job, the job makes memories: once, also when its worker
# is killed while the model thinks, and nothing after a wipe

use strict;
use warnings;

use Test::More;

use lib 't/lib';
use Sallyport::Memory;


my $m = Sallyport::Memory->new(
    extractor => 'url=http://127.0.0.1:%%PORT2%%/v1');
my $t = $m->t;
my $anna = $m->user(1);

sub ten_turns {
    my ($m, $user, @texts) = @_;

    my @turns = map {
        $m->db->turn(user_id => $user, user_text => $texts[$_] || 'Well then.',
                     character_id => $Sallyport::Memory::mira)
    } 0 .. 9;

    return $m->db->store(@turns);
}

sub jobs {
    my ($t, $state) = @_;
    return scalar $t->sql("select count(*) from gateway.job
        where kind = 'memory_extract' and state = ?", $state);
}

sub memories {
    my ($t) = @_;
    return join '|', map { $_->[0] }
           $t->sql('select content from mem.memory order by content');
}


# through the gateway: ten chats, one job, memories with vectors

for my $text ('My dog is called Rex.', 'I live in Lisbon.',
              ('Nothing much.') x 8)
{
    is($m->chat($anna, $text)->{status}, 200, 'chat');
}

ok($t->wait_until(sub { jobs($t, 'done') == 1 }, 20),
   'the 20th message made a job, and it ran')
    or diag explain [$t->sql('select * from gateway.job')];

my $found = memories($t);

like($found, qr/Rex/i, 'a memory of the dog');
like($found, qr/Lisbon/i, 'and of the town');

if ($t->sql('select mem.has_vectors()')) {
    is(scalar $t->sql('select count(*) from mem.memory where embedding is null
                        or embed_model <> \'demo-embedding/256\''), 0,
       'with vectors of this model');
}

like($m->chat($anna, 'what is my dog called?')->{headers}{'x-memory'},
     qr/used/, 'recalled');
like($m->prompt, qr/^- \[\S+\] [^\n]*Rex/m, 'as a fact');
unlike($found, qr/notes|You are/, 'nothing of the prompt is remembered');
like($t->get('/metrics')->{body},
     qr/sallyport_memory_extractions_total 1/, 'counted');

$m->finish;


# killed while the model thinks: another worker does it, once

$m = Sallyport::Memory->new(
    extractor => 'url=http://127.0.0.1:%%PORT3%%/v1 lease=2');
$t = $m->t;
$m->user(1);
$t->allow(qr/exited on signal 9/);

ten_turns($m, $anna, 'My cat is called Tom.');
ok($t->wait_until(sub { jobs($t, 'running') == 1 }), 'the job runs');

my ($worker) = $t->workers;

kill 'KILL', $worker;
ok($t->wait_until(sub {
    my @now = $t->workers;
    @now && $now[0] != $worker
}), 'its worker was killed');

ok($t->wait_until(sub { jobs($t, 'done') == 1 }, 30), 'done by the next');
is(() = memories($t) =~ /Tom/g, 1, 'its memory is there once');
cmp_ok(scalar $t->sql('select attempt from gateway.job'), '>=', 2,
       'at the second try');


# killed after the answer was saved: the model is not asked again

ten_turns($m, $anna, 'My bird is called Kiki.');
ok($t->wait_until(sub { jobs($t, 'running') == 1 }), 'the next job runs');
$t->dbh->do(q{update gateway.job set result = jsonb_build_object('refs',
    '[]'::jsonb, 'items', jsonb_build_array(jsonb_build_object('op', 'add',
    'text', 'The bird is called Kiki.', 'src_seq', payload -> 'from'))),
    epoch = epoch + 1, lease_until = now() where state = 'running'});

# the embedder of this gateway is the fast one: no three seconds
ok($t->wait_until(sub { jobs($t, 'done') == 2 }, 20), 'done');
like(memories($t), qr/The bird is called Kiki\./, 'with the saved answer');


# a wipe while the model thinks

ten_turns($m, $anna, 'My fish is called Ned.');
ok($t->wait_until(sub { jobs($t, 'running') == 1 }), 'a job runs');
$m->db->api($anna, 'DELETE', '/api/v1/memories',
            { character_id => $Sallyport::Memory::mira });
ok($t->wait_until(sub { jobs($t, 'done') == 3 }, 20), 'it ends');
is(memories($t), '', 'nothing after a wipe');

$m->finish;


# a model that answers nonsense: tried again, nothing written

$m = Sallyport::Memory->new(
    extractor => 'url=http://127.0.0.1:%%PORT1%%/v1');
$t = $m->t;
$m->user(1);
ten_turns($m, $anna, 'My dog is called Rex.');
ok($t->wait_until(sub {
    scalar $t->sql("select error from gateway.job where state = 'ready'
                     and attempt = 1 and not_before > now()")
}, 20), 'tried again later');
is(memories($t), '', 'nothing written');

for (2 .. 5) {
    $t->dbh->do("update gateway.job set not_before = now()
                  where state = 'ready'");
    $t->dbh->do("notify gateway_job");
    my $n = $_;
    $t->wait_until(sub { $t->sql('select attempt from gateway.job') >= $n
                         && !jobs($t, 'running') }, 20);
}

is(jobs($t, 'dead'), 1, 'dead after five tries');

$m->finish;
done_testing;
