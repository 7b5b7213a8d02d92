#!/usr/bin/perl

# What a chat request came to: one record on every exit path, written before
# the client has read the last byte.

use strict;
use warnings;
use utf8;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;
use Sallyport::JWT qw(jwks);

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output);

my $key = Sallyport::JWT->new('HS256', kid => 'k');
my $user = '00000000-0000-4000-8000-00000000000a';
my $mira = '00000000-0000-4000-8000-0000000000d1';
my $chat = '00000000-0000-4000-8000-0000000000e1';

my ($t, $p) = Sallyport::Llm::gateway(
    http => 'pg_server main "%%PG%%" timeout=2s;
             turn_store main; turn_spool %%DIR%%/spool;
             auth_jwt_key_file %%DIR%%/jwks.json;
             llm_characters main;
             moderation_rules %%DIR%%/test.rules;',
    location => 'auth_jwt "test" optional; moderation input;',
    server => 'location = /short { auth_jwt "test"; llm_pass default;
                                   llm_answer_size 1k; }',
    prepare => sub {
        my ($t) = @_;

        $t->file('jwks.json', jwks($key), 0600);
        $t->file('test.rules', "[t.mask category=test action=mask]\n"
                               . "secret\n");
        $t->sql('insert into auth.users (id) values (?)', $user);
        $t->sql('insert into chat.character (id, name, system_prompt,
                     is_public) values (?, ?, ?, true)',
                $mira, 'Mira', 'You are {{char}}.');
    });

my %auth = (Authorization => 'Bearer ' . $key->token(
    { sub => $user, exp => int(time) + 600 }));


sub turns { return $t->sql('select count(*) from gateway.ledger') }

# the newest row, once there are n

sub turn {
    my ($n) = @_;

    $t->wait_until(sub { turns() >= $n }, 10)
        or return { error => 'not stored' };

    my $row = $t->dbh->selectrow_hashref(
        'select * from gateway.ledger order by at desc limit 1');

    return $row;
}

sub post {
    my ($text, $path, %more) = @_;
    return $t->post($path || '/v1/chat/completions', \%auth,
                    Sallyport::Llm::body($text, %more));
}

my $n = 0;


# -- complete

for my $stream (0, 1) {
    my $name = $stream ? 'stream' : 'non-stream';
    my $res = post('my question', undef, stream => $stream ? \1 : \0,
                   metadata => { character_id => $mira, chat_id => $chat });

    is($res->{status}, 200, "$name: answered");

    my $row = turn(++$n);

    is($row->{outcome}, 'complete', "$name: complete");
    is($row->{user_id}, $user, "$name: user");
    is($row->{character_id}, $mira, "$name: character");
    is($row->{provider}, 'fake', "$name: provider");
    is($row->{model}, 'real-model', "$name: model");
    is($row->{finish_reason}, 'stop', "$name: finish reason");
    is($row->{prompt_tokens}, 11, "$name: prompt tokens");
    is($row->{completion_tokens}, 5, "$name: completion tokens");
    is($row->{cached_tokens}, 4, "$name: cached tokens");
    is($row->{estimated_prompt_tokens}, undef, "$name: nothing estimated");
    is($row->{estimated_completion_tokens}, undef, "$name: .. nor here");
    is($row->{error_type}, '', "$name: nobody's fault");
    is($row->{request_id}, $res->{headers}{'x-request-id'},
       "$name: by its request id");

    my @messages = $t->sql('select role, content from chat.message
                            where chat_id = ? order by seq desc limit 2',
                           $chat);

    is_deeply([ reverse map { @$_ } reverse @messages ],
              [ reverse('user', 'my question', 'assistant', $Sallyport::Llm::hello) ],
              "$name: both messages");
}

post('fault nousage', undef, stream => \1);
my $row = turn(++$n);

is($row->{outcome}, 'complete', 'no usage: complete');
is($row->{$_}, undef, "no usage: nobody has told $_")
    for qw(prompt_tokens completion_tokens cached_tokens reasoning_tokens);
cmp_ok($row->{estimated_completion_tokens}, '>', 3, 'no usage: by its text');
cmp_ok($row->{estimated_prompt_tokens}, '>', 3, 'no usage: by the prompt');

post('fault usage', undef, stream => \1);
is(turn(++$n)->{prompt_tokens}, 11, 'running totals are not added up');


post('fault short', undef, stream => \1);
is(turn(++$n)->{outcome}, 'complete', 'no [DONE], but its choice was complete');


# -- failed

for my $fault ('cut at=mid', 'error', 'garbage', 'short finish=0',
               'status code=500', 'stall at=accept')
{
    post("fault $fault", undef, stream => \1);
    $row = turn(++$n);

    is($row->{outcome}, 'failed', "$fault: failed");
    is(defined $row->{completion_tokens} ? 1 : 0, $fault =~ /short/ ? 1 : 0,
       "$fault: usage only where it came");
}


# -- the client leaves

for my $fault ('slow words=100 delay=30', 'stall at=mid') {
    my $s = $t->stream('POST', '/v1/chat/completions', \%auth,
        Sallyport::Llm::body("fault $fault", stream => \1, metadata =>
                  { character_id => $mira, chat_id => $chat }));

    ok($s->read_until($fault =~ /slow/ ? qr/w3 / : qr/Hello/, 5),
       "$fault: some text");
    $s->close;

    $row = turn(++$n);

    is($row->{outcome}, 'partial', "$fault: partial");
    is($row->{error_type}, 'caller_disconnected', "$fault: by the client");
    cmp_ok($row->{estimated_completion_tokens}, '>', 0,
           "$fault: with an estimate");

    like(scalar $t->sql('select content from chat.message
                         where chat_id = ? and role = ?
                         order by seq desc limit 1', $chat, 'assistant'),
         $fault =~ /slow/ ? qr/^w1 w2 w3/ : qr/^Hello/,
         "$fault: its text is kept");
}


# -- memory off: counted, not kept

my $before = $t->sql('select count(*) from chat.message');

post('private', undef, metadata => { character_id => $mira,
                                     memory => 'off' });
is(turn(++$n)->{outcome}, 'complete', 'memory off: accounted');
is(scalar $t->sql('select count(*) from chat.message'), $before,
   'memory off: no message is kept');


# -- masked words are not sent

post('my secret is out', undef, temperature => 0.7);
is($p->last_request->{json}{messages}[0]{content}, 'my ****** is out',
   'what moderation has masked stays masked');
turn(++$n);


# -- what is refused has a record, what is no request for a model has none

post('hi', undef, model => 'nothing');
$row = turn(++$n);

is($row->{outcome}, 'refused', 'refused');
is($row->{error_type}, 'caller_unknown_model', 'whose fault it was');
is("$row->{status} $row->{attempts}", '404 []', 'status, nobody was asked');

$t->request('GET', '/v1/chat/completions', \%auth);

post('hi');
turn(++$n);
is(turns(), $n, 'another method has no record');


# -- a long answer is kept in part

post('fault slow words=600', '/short', metadata =>
     { character_id => $mira, chat_id => $chat });
turn(++$n);

is(length $t->sql('select content from chat.message where chat_id = ?
                   and role = ? order by seq desc limit 1', $chat,
                  'assistant'), 1024, 'llm_answer_size');

is(Sallyport::Llm::metric($t, 'sallyport_llm_requests_total',
               'provider="fake",kind="chat",outcome="failed"'), 6, 'metric: failed');
is(Sallyport::Llm::metric($t, 'sallyport_llm_requests_total',
               'provider="fake",kind="chat",outcome="partial"'), 2, 'metric: partial');

$t->finish;
done_testing;
