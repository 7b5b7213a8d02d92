#!/usr/bin/perl

# What recall and extraction have cost is in the ledger, once, for the user it
# was for; what nobody answered has cost nothing.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;
use Sallyport::Memory;


my $m = Sallyport::Memory->new(gates => 1,
    embedder => 'http://127.0.0.1:%%PORT5%%/v1',
    extractor => 'http://127.0.0.1:%%PORT4%%/v1');
my $t = $m->t;
my ($model, $embedder) = @$m{qw(model embedder)};
my ($anna, $bert) = map { $m->user($_) } 1, 10;
my $mira = $Sallyport::Memory::mira;

$_->open for $model, $embedder;

# "kind user character provider model alias tokens" of each call
# beside requests, in its order, once there are as many

sub spent {
    my ($n, $kind) = @_;

    $t->wait_until(sub {
        $t->sql('select count(*) from gateway.ledger where kind = ?', $kind)
            >= $n
    });

    return map { $_->[0] } $t->sql(q{
        select concat_ws(' ', kind, case user_id when ?::uuid then 'anna'
                   when ?::uuid then 'bert' else 'nobody' end,
                   case character_id when ?::uuid then 'mira' end,
                   provider, model, alias,
                   coalesce(prompt_tokens::text, '-') || '/'
                   || coalesce(completion_tokens::text, '-') || '/'
                   || coalesce(cached_tokens::text, '-'),
                   estimated_prompt_tokens, estimated_completion_tokens,
                   outcome, status,
                   jsonb_array_length(attempts))
          from gateway.ledger where kind = ?
         order by at, id}, $anna, $bert, $mira, $kind);
}

sub row {
    my ($kind, $who, $tokens) = @_;

    my $what = $kind eq 'embedding' ? 'embedder demo-embedding embedding'
                                    : 'extractor demo extraction';

    return "$kind $who mira $what $tokens complete 200 1";
}

sub counted {
    my ($name, $labels) = @_;
    return Sallyport::Llm::metric($t, "sallyport_llm_$name", $labels);
}


# a recall

is($m->chat($anna, 'Where is my dog?')->{status}, 200, 'a chat');
is_deeply([ spent(1, 'embedding') ], [ row('embedding', 'anna', '5/0/-') ],
          'its embedding is in the ledger, for the user who asked');
ok($m->stored(2), 'the chat is stored');
is_deeply([ $t->sql(q{select user_id::text, model, alias,
                        jsonb_array_length(attempts)
                        from gateway.ledger where kind = 'chat'}) ],
          [ [ $anna, 'real-model', 'default', 1 ] ],
          'beside the chat, which has its alias');
is($t->sql(q{select count(*) from chat.message}), 2, 'it is no message');

is($m->chat($bert, 'Where is my dog?')->{status}, 200, 'the same text');
ok($t->wait_until(sub { $t->sql(q{select count(*) from gateway.ledger
                                   where kind = 'chat'}) == 2 }), 'is stored');
is(scalar spent(1, 'embedding'), 1, 'from the cache: at no cost');


# an extraction, and the vectors of what it found

sub ten_turns {
    my ($user, $text) = @_;
    return $m->db->store(map {
        $m->db->turn(user_id => $user, character_id => $mira,
                     user_text => $_ ? 'Well then.' : $text)
    } 0 .. 9);
}

ten_turns($bert, 'My cat is called Tom.');
is_deeply([ spent(1, 'extraction') ], [ row('extraction', 'bert', '40/8/16') ],
          'the extraction, for the user whose turns they were');
is((spent(2, 'embedding'))[1], row('embedding', 'bert', '5/0/-'),
   'and its vectors');


# a memory that somebody writes

if ($t->sql('select mem.has_vectors()')) {
    ok($t->wait_until(sub {
        $t->sql('select count(*) from mem.memory where embed_model <> ?', '')
    }), 'the extraction has written');
    $t->sql('update mem.memory set embed_model = null');
    is($m->api($anna, 'POST', '/api/v1/memories',
               { character_id => $mira, content => 'Anna plays chess.' }
              )->{status}, 201, 'a memory is written');
    is_deeply([ sort((spent(4, 'embedding'))[2, 3]) ],
              [ map { row('embedding', $_, '5/0/-') } 'anna', 'bert' ],
              'each batch is of one user');
}

my $embedded = spent(0, 'embedding');


# a provider that tells nothing

$_->thrifty(1) for $model, $embedder;
ten_turns($anna, 'My bird is called Kiki.');
is((spent(2, 'extraction'))[1], row('extraction', 'anna', '-/-/-'),
   'no usage: nothing is made up');
is((spent($embedded + 1, 'embedding'))[$embedded],
   row('embedding', 'anna', '-/-/-'), 'neither for vectors');
$_->thrifty(0) for $model, $embedder;
$embedded++;


# a call that fails, and an answer that is no answer

my $failed = counted('requests_total',
    'provider="embedder",kind="embedding",outcome="failed"');

is($failed, 0, 'no failure so far');

for my $case ([ 500, 'an error' ], [ 400, 'a refusal' ], [ 204, 'nothing' ]) {
    my ($code, $what) = @$case;

    $embedder->fail($code);
    my $res = $m->chat($anna, "Where is my $what?");
    is($res->{status}, 200, "$what: the chat goes on");
    ok($t->wait_log(qr/memory: no embedding/, ++$failed), "$what: lexical");
    is(counted('requests_total',
               'provider="embedder",kind="embedding",outcome="failed"'),
       $failed, "$what: is counted");
}

$embedder->fail(0);
is($m->chat($anna, 'And where is it now?')->{status}, 200, 'it is back');
is(scalar spent($embedded + 1, 'embedding'), $embedded + 1,
   'what failed has cost nothing');


# an answer that memory cannot use was paid for all the same

$model->nonsense;
ten_turns($anna, 'My fish is called Ned.');
is((spent(3, 'extraction'))[2], row('extraction', 'anna', '40/8/16'),
   'nonsense costs, too');


# metrics and ledger agree

for my $case ([ embedding => 'embedder' ], [ extraction => 'extractor' ]) {
    my ($kind, $provider) = @$case;

    for my $type ('prompt', 'completion') {
        is(counted('tokens_total',
               qq{provider="$provider",kind="$kind",type="$type"}),
           scalar $t->sql("select coalesce(sum(${type}_tokens), 0)
                             from gateway.ledger where kind = ?", $kind),
           "$kind: $type tokens");
    }

    is(counted('requests_total',
           qq{provider="$provider",kind="$kind",outcome="complete"}),
       scalar $t->sql('select count(*) from gateway.ledger where kind = ?',
                      $kind), "$kind: calls");
}

is($t->sql('select count(*) from gateway.ledger where error is not null'), 0,
   'every line was stored as it was');

$m->finish;


# PostgreSQL is away: the line waits in the spool, and comes once

$m = Sallyport::Memory->new(gates => 1,
    http => 'memory_timeout 2s;',
    embedder => 'http://127.0.0.1:%%PORT5%%/v1');
$t = $m->t;
$m->{embedder}->open;
$m->user(1);

# the worker has the character from now on
is($m->chat($anna, 'Hello?')->{status}, 200, 'a chat');
is(scalar spent(1, 'embedding'), 1, 'is paid for');

$t->stop_server('pg');
is($m->chat($anna, 'Is anybody there?')->{headers}{'x-memory'}, 'late',
   'PostgreSQL is away');
$t->start_server('pg');
is_deeply([ spent(2, 'embedding') ], [ (row('embedding', 'anna', '5/0/-')) x 2 ],
          'the embedding was paid for, and is in the ledger once');

$m->finish;
done_testing;
