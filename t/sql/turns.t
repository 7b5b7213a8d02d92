#!/usr/bin/perl

# gateway.store_turns: ledger, messages, memory counter, bad records

use strict;
use warnings;

use JSON::PP;
use POSIX ();
use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::SQL;
use Sallyport::Test;


my $t = Sallyport::Test->new;

$t->pg;

my $db = Sallyport::SQL->new($t->pg);

my $anna = $db->user('00000000-0000-4000-8000-00000000000a');
my $bert = $db->user('00000000-0000-4000-8000-00000000000b');
my ($mira, $voss) = map { "00000000-0000-4000-8000-0000000000c$_" } 1, 2;

$t->dbh->do("insert into chat.character (id, name, is_public)
             values ('$mira', 'Mira', true), ('$voss', 'Voss', true)");

sub messages { return scalar $t->sql('select count(*) from chat.message') }


# one turn, twice

my $turn = $db->turn(user_id => $anna, character_id => $mira,
                     user_text => 'My dog is called Rex.');

is($db->store($turn), 1, 'stored');
is($db->store($turn), 1, 'sent again: in the ledger still');
is(messages(), 2, 'its messages once');

my ($row) = $t->sql('select outcome, prompt_tokens, stored, error,
                     chat_id is not null from gateway.ledger where id = ?',
                    $turn->{id});

is_deeply($row, ['complete', 10, 1, undef, 1], 'ledger row');

($row) = $t->sql('select is_default, last_seq from chat.chat');
is_deeply($row, [1, 2], 'without a chat id: the default chat');


# a call beside requests: an account, no message; a kind that nobody knows

my $call = $db->turn(kind => 'embedding', alias => 'vectors', user_id => $anna,
                     character_id => $mira, store => JSON::PP::false,
                     user_text => '', assistant_text => '');

is($db->store($call, $call), 2, 'a call beside requests, in one batch twice');
is($db->store($call), 1, 'and sent again');
is_deeply([ $t->sql('select kind, alias, prompt_tokens, stored, error
                       from gateway.ledger where id = ?', $call->{id}) ],
          [ [ 'embedding', 'vectors', 10, 0, undef ] ], 'is there once');
is(messages(), 2, 'without messages');
is($t->sql('select kind from gateway.ledger where id = ?', $turn->{id}),
   'chat', 'what says nothing is a chat');

$call = $db->turn(kind => 'gift', user_id => $anna);
is($db->store($call), 1, 'a kind that nobody knows');
like($t->sql('select error from gateway.ledger where id = ?', $call->{id}),
     qr/^23514/, 'is kept with its error');
$t->sql('delete from gateway.ledger where kind <> \'chat\' or error is not null');


# a chat of its own; a partial answer; a failed one; nothing to store

my $chat = '20000000-0000-4000-8000-000000000001';

$db->store(
    $db->turn(user_id => $anna, character_id => $mira, chat_id => $chat,
              user_text => "What\n a day"),
    $db->turn(user_id => $anna, character_id => $mira, chat_id => $chat,
              outcome => 'partial', assistant_text => 'Well, I'),
    $db->turn(user_id => $anna, character_id => $mira, chat_id => $chat,
              outcome => 'failed', assistant_text => ''),
    $db->turn(user_id => $anna, character_id => $mira, chat_id => $chat,
              store => JSON::PP::false),
    $db->turn(user_id => '', character_id => ''));

($row) = $t->sql('select title, last_seq from chat.chat where id = ?', $chat);
is_deeply($row, ['What a day', 4], 'title and messages of a new chat');

is(scalar $t->sql('select finish from chat.message where chat_id = ?
                   order by seq desc limit 1', $chat), 'partial',
   'partial is marked');

is(scalar $t->sql('select count(*) from gateway.ledger'), 6,
   'every turn is in the ledger');


# bad records among good ones

my $before = messages();
my @batch = (
    $db->turn(user_id => $anna, character_id => $voss),
    { id => 'not-a-uuid', user_id => $anna },
    'text', undef, [1], {},
    $db->turn(user_id => $anna, character_id => $voss, outcome => 'odd'),
    $db->turn(user_id => $anna, character_id => $voss,
              prompt_tokens => '9e99'),
    $db->turn(user_id => $bert, character_id => $mira, chat_id => $chat),
    $db->turn(user_id => $anna, character_id => $voss, chat_id => $chat),
    $db->turn(user_id => $anna,
              character_id => '00000000-0000-4000-8000-00000000dead'),
    $db->turn(user_id => $anna, character_id => $voss),
);

is($db->store(@batch), 12, 'the whole batch is in the ledger');
is(messages() - $before, 4, 'the good ones have their messages');
is($db->store(@batch), 12, 'sent again');
is(messages() - $before, 4, 'nothing twice');

is_deeply([ map { $_->[0] } $t->sql(
    'select split_part(error, \':\', 1) from gateway.ledger
      where error is not null and user_id is not null order by 1') ],
    [qw(22P02 22P02 23503 23514 PT404 PT409)], 'each with its reason');

is(scalar $t->sql('select completion_tokens from gateway.ledger
                    where error like \'PT404%\''), 5,
   'another user\'s chat: refused, its tokens are accounted');

eval { $db->gateway('select gateway.store_turns(\'{}\')') };
is($Sallyport::SQL::state, '22023', 'not an array');


# places in memory

sub scope {
    my ($user, $character, $what) = @_;
    return scalar $t->sql("select $what from mem.scope where user_id = ?
                           and character_id = ?", $user, $character);
}

is(scope($anna, $mira, 'msg_seq'), 6, 'messages of one scope');
is(scope($anna, $voss, 'msg_seq'), 4, 'and of another');

$db->store($db->turn(user_id => $anna, character_id => $voss,
                     memory => JSON::PP::false));

is(scope($anna, $voss, 'msg_seq'), 4, 'memory off: no place');
is(scalar $t->sql('select count(*) from chat.message
                    where scope_seq is null'), 2, 'but messages');

$t->dbh->do('update mem.scope set enabled = false where user_id = ?', undef,
            $anna);
$db->store($db->turn(user_id => $anna, character_id => $voss));
is(scope($anna, $voss, 'msg_seq'), 4, 'paused: no place');
$t->dbh->do('update mem.scope set enabled = true');


# the job at 20 messages

SKIP: {
    skip 'gateway.job is not there', 5
        if !$t->sql("select to_regclass('gateway.job') is not null");

    for (1 .. 9) {
        $db->store($db->turn(user_id => $bert, character_id => $voss));
    }

    is(scalar $t->sql('select count(*) from gateway.job'), 0, '18: no job');

    $db->store($db->turn(user_id => $bert, character_id => $voss));
    $db->store($db->turn(user_id => $bert, character_id => $voss));

    my @jobs = $t->sql('select kind, lane, payload from gateway.job');

    is(@jobs, 1, '22: one');
    is($jobs[0][0], 'memory_extract', 'its kind');

    my $payload = decode_json($jobs[0][2]);

    is_deeply([@$payload{qw(from to epoch)}], [1, 20, 0], 'its range');
    is(scope($bert, $voss, 'enqueued_upto'), 20, 'enqueued up to there');
}


# two batches at once, over the same scopes in opposite orders

my @twenty = map {
    $db->turn(user_id => ($_ % 2 ? $anna : $bert),
              character_id => ($_ % 3 ? $mira : $voss))
} 1 .. 60;

my $count = messages();
my @pids = map {
    my $turns = $_;
    my $pid = fork;
    if (!$pid) {
        # handles of the parent stay the parent's
        $_->{InactiveDestroy} = 1 for $db->dbh, $t->{dbh};
        my $mine = Sallyport::SQL->new($t->pg);
        my $ok = eval { $mine->store(@$turns); 1 };
        POSIX::_exit($ok ? 0 : 1);
    }
    $pid;
} [@twenty], [reverse @twenty], [@twenty[30 .. 59]], [@twenty[0 .. 29]];

my $failed = grep { waitpid($_, 0); $? } @pids;

is($failed, 0, 'four batches at once: no deadlock');
is(messages() - $count, 120, 'each turn once');
is(scalar $t->sql('select count(*) from (select from chat.message
    where scope_seq is not null
    group by user_id, character_id, scope_seq having count(*) > 1) x'), 0,
   'no place twice');

$t->finish;
done_testing;
