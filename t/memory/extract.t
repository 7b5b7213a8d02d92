#!/usr/bin/perl

# 20 messages make a job, the job makes memories: once, also when its worker
# is killed while the model thinks, and nothing after a wipe

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Memory;


my $m = Sallyport::Memory->new(
    extractor => 'http://127.0.0.1:%%PORT2%%/v1');
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


# From here on the model and the embedder answer when they are told to.

sub gated {
    my $m = Sallyport::Memory->new(gates => 1,
        extractor => 'http://127.0.0.1:%%PORT4%%/v1', lease => 2,
        embedder => 'http://127.0.0.1:%%PORT5%%/v1');

    $m->user(1);
    $m->t->allow(qr/exited on signal 9/);
    return ($m, $m->t, $m->{model}, $m->{embedder});
}

sub kill_worker {
    my ($t) = @_;
    my ($worker) = $t->workers;

    kill 'KILL', $worker;
    return $t->wait_until(sub {
        my @now = $t->workers;
        return @now && $now[0] != $worker;
    });
}


# killed while the model thinks: another worker does it, once

($m, $t, my $model, my $embedder) = gated();

ten_turns($m, $anna, 'My cat is called Tom.');
ok($t->wait_until(sub { $model->requests == 1 }), 'the model thinks');
ok(kill_worker($t), 'the worker was killed');
$model->open;
$embedder->open;

ok($t->wait_until(sub { jobs($t, 'done') == 1 }, 30), 'done by the next');
is(memories($t), 'My cat is called Tom.', 'its memory is there once');
is(scalar $t->sql('select attempt from gateway.job'), 2, 'the second try');
is($model->requests, 2, 'asked twice');


# killed after the answer was saved: the model is not asked again

$embedder->shut;
ten_turns($m, $anna, 'My bird is called Kiki.');
ok($t->wait_until(sub { $embedder->requests == 2 }), 'it is embedding');
is($model->requests, 3, 'the model was asked');
ok(kill_worker($t), 'the worker was killed');
$embedder->open;
ok($t->wait_until(sub { jobs($t, 'done') == 2 }, 30), 'done by the next');
is(memories($t), 'My bird is called Kiki.|My cat is called Tom.', 'written');
is($model->requests, 3, 'from the saved answer');


# a wipe while the model thinks

$model->shut;
ten_turns($m, $anna, 'My fish is called Ned.');
ok($t->wait_until(sub { $model->requests == 4 }), 'the model thinks');
is(($m->db->api($anna, 'DELETE', '/api/v1/memories',
                { character_id => $Sallyport::Memory::mira }))[0], 204,
   'wiped meanwhile');
$model->open;
ok($t->wait_until(sub { jobs($t, 'done') == 3 }, 30), 'it ends');
is(memories($t), '', 'nothing after a wipe');


# a model that answers nonsense: tried again, nothing written, then dead

$model->nonsense;
ten_turns($m, $anna, 'My dog is called Rex.');

for my $attempt (1 .. 5) {
    ok($t->wait_until(sub {
        my $n = $t->sql("select attempt from gateway.job where state in
                          ('ready', 'dead') order by id desc limit 1");
        $n && $n == $attempt;
    }, 20), "try $attempt");

    # not in half an hour, but now
    $t->dbh->do("update gateway.job set not_before = now()
                  where state = 'ready'");
    $t->dbh->do(q{notify gateway_job, 'memory_extract'});
}

is(jobs($t, 'dead'), 1, 'dead after five tries');
is(memories($t), '', 'nothing written');

$m->finish;
done_testing;
