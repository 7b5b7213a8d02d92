#!/usr/bin/perl

# Memories without a vector get one in the background: those that people
# write and edit, and those that were extracted while the embedder was away.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Memory;


my $m = Sallyport::Memory->new(gates => 1,
    embedder => 'http://127.0.0.1:%%PORT5%%/v1');
my $t = $m->t;
my $gate = $m->{embedder};
my $anna = $m->user(1);

$t->allow(qr/exited on signal 9/);

if (!$t->sql('select mem.has_vectors()')) {
    ok(!$t->sql('select mem.embed_enqueue()'), 'no vectors: no job');
    $m->finish;
    done_testing;
    exit;
}

sub write_memory {
    my ($text) = @_;
    my $res = $m->api($anna, 'POST', '/api/v1/memories',
        { character_id => $Sallyport::Memory::mira, content => $text });

    is($res->{status}, 201, "written: $text");
    return $res->{json}{id};
}

sub models {
    return join ' ', map { defined $_->[0] ? $_->[0] || 'refused' : '-' }
        $t->sql('select embed_model from mem.memory order by created_at, id');
}

sub jobs {
    my ($state) = @_;
    return scalar $t->sql("select count(*) from gateway.job
        where kind = 'memory_embed' and state = ?", $state);
}

my $model = 'demo-embedding/256';


# written while the embedder does not answer, found when it has

my $id = write_memory('Anna plays the violin.');
ok($t->wait_until(sub { $gate->requests == 1 }), 'the embedder is asked');
is(models(), '-', 'without a vector so far');

$gate->open;
ok($t->wait_until(sub { models() eq $model }), 'a vector of this model');
is(scalar $t->sql('select count(*) from mem.memory
                    where embedding is not null'), 1, 'it is there');

# all vectors of this embedder are alike, and the words are not
my $res = $m->chat($anna, 'Guess my hobby');
like($res->{headers}{'x-memory'}, qr/used/, 'recalled by its vector');
like($m->prompt, qr/violin/, 'in the prompt');


# an edit makes the vector that of another text

$t->sql("update mem.memory set embedding = null, embed_model = 'x'");
is($m->api($anna, 'PATCH', "/api/v1/memories/$id",
           { content => 'Anna plays the cello.' })->{status}, 200, 'edited');
ok($t->wait_until(sub { models() eq $model }), 'a new vector');
is($m->api($anna, 'PATCH', "/api/v1/memories/$id",
           { pinned => \1 })->{status}, 200, 'pinned');
is(models(), $model, 'which keeps it');

ok($t->wait_until(sub { jobs('done') == 2 && jobs('ready') == 0 }),
   'a job each');


# written while another is being embedded: no vector of the old text

$gate->shut;
my $asked = $gate->requests;
my $second = write_memory('Anna has a cat.');
ok($t->wait_until(sub { $gate->requests == $asked + 1 }), 'it is embedded');
is($m->api($anna, 'PATCH', "/api/v1/memories/$second",
           { content => 'Anna has a parrot.' })->{status}, 200,
   'and edited meanwhile');
write_memory('Anna has a boat.');
ok($t->wait_until(sub { jobs('ready') == 1 }), 'one job waits');
write_memory('Anna has a bike.');
$gate->open;
ok($t->wait_until(sub { models() eq join ' ', ($model) x 4 }),
   'all have vectors') or diag(models());
is($gate->requests, $asked + 2, 'of the text that is there, in one batch');


# a text that the embedder refuses stands alone

$gate->shut;
$asked = $gate->requests;
write_memory('Anna drinks tea.');
ok($t->wait_until(sub { $gate->requests == $asked + 1 }), 'one is embedded');
write_memory($_) for 'Anna eats cake.', 'Anna hates poison ivy.',
                     'Anna likes rain.';
$gate->open;
ok($t->wait_until(sub { models() !~ /-( |$)/ }), 'nothing is left')
    or diag(models());
is(models(), join(' ', ($model) x 6, 'refused', $model), 'but one');
ok($t->wait_log(qr/the embedder refuses \S+ with 400/, 2), 'the log says it');


# an embedder that refuses whatever it is asked is wrong itself

$gate->refuse(1);
write_memory('Anna likes snow.');
ok($t->wait_until(sub { $t->sql("select count(*) from gateway.job
        where kind = 'memory_embed' and state = 'ready'
          and error like '%refuses every text%'") }), 'it is tried again');
like(models(), qr/ -$/, 'nothing is given up');
$gate->refuse(0);
$t->sql("update gateway.job set not_before = now()
          where kind = 'memory_embed' and state = 'ready'");
ok($t->wait_until(sub { models() =~ / \Q$model\E$/ }, 15), 'a vector then');


# killed while the embedder thinks

$gate->shut;
$asked = $gate->requests;
write_memory('Anna sings.');
ok($t->wait_until(sub { $gate->requests == $asked + 1 }), 'it thinks');
my ($worker) = $t->workers;
kill 'KILL', $worker;
$gate->open;
ok($t->wait_until(sub { ($t->workers)[0] // $worker != $worker }), 'killed');
$t->sql("update gateway.job set lease_until = now()
          where kind = 'memory_embed' and state = 'running'");
ok($t->wait_until(sub { models() !~ /-$/ }, 15), 'another worker goes on');


# written while nobody is there, more than a batch

$t->stop;
$t->sql("insert into mem.memory (scope_id, user_id, character_id, content,
                                 hash, tsv)
         select s.id, s.user_id, s.character_id, 'memory ' || n,
                mem.hash('memory ' || n), chat.tsv('memory ' || n)
           from mem.scope as s, generate_series(1, 70) as n");
my $before = jobs('done');
$t->run;
ok($t->wait_until(sub { models() !~ /-( |$)/ }, 15), 'done after the start');
ok($t->wait_until(sub { jobs('done') == $before + 3 }), 'in three batches');
is(jobs('ready') + jobs('running'), 0, 'and no more');


# a deleted character takes all with it: a job finds nothing

$t->sql('delete from mem.memory');
$m->db->gateway("select gateway.job_enqueue('memory_embed', '{}', 'all')");
ok($t->wait_until(sub { jobs('done') == $before + 4 }), 'nothing to do');

$m->finish;
done_testing;
