#!/usr/bin/perl

# chat.ask and chat.store_turn: what is said before the call and answered
# after it, once each; edits, other answers and branches; whose they are

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
my ($mira, $own, $gone) = map { "00000000-0000-4000-8000-0000000000c$_" } 1..3;

$t->sql("insert into chat.character (id, name, owner_id, is_public, deleted_at)
         values ('$mira', 'Mira', null, true, null),
                ('$own', 'Own', '$anna', false, null),
                ('$gone', 'Gone', null, true, now())");

my $chats = 0;
my $now = 1790000000;

sub chat { return sprintf '20000000-0000-4000-8000-%012d', ++$chats }

sub reply_id { return $_[0]{id} =~ s/^(.{14})./${1}8/r }


# a turn: asked now, answered a second later

sub turn {
    my ($chat, $text, %member) = @_;

    $now += 2;
    return $db->turn(user_id => $anna, character_id => $mira,
                     chat_id => $chat, user_text => $text, at => $now,
                     assistant_text => "re: $text", total_ms => 1000, %member);
}

# its question, as the step has it before the call

sub question {
    my ($turn) = @_;
    my %q = %$turn;

    delete @q{qw(outcome assistant_text total_ms)};
    return { %q, kind => 'question',
             at => $turn->{at} - $turn->{total_ms} / 1000 };
}

sub ask {
    my ($turn) = @_;

    my ($row) = eval { $db->gateway(
        'select question_id, chat_id, parent_id from chat.ask(?)',
        encode_json(question($turn))) };
    return $row ? [ @$row ]
                : [ $Sallyport::SQL::state, $@ =~ /^DETAIL:\s+(\S+)/m ];
}

# "question > reply > ..." of a branch, from its beginning

sub branch {
    my ($chat, $leaf) = @_;

    return join ' > ', map { $_->[0] } $t->sql(
        'select (m).content from chat.branch(?, coalesce(?, (select leaf_id
           from chat.chat where id = ?)), 100) order by n desc',
        $chat, $leaf, $chat);
}

sub count {
    my ($chat) = @_;
    return scalar $t->sql('select count(*) from chat.message
                            where chat_id = ?', $chat);
}


# before the call, after it; from each side twice

my $chat = chat();
my $one = turn($chat, 'one');

is_deeply(ask($one), [ $one->{id}, $chat, undef ], 'asked: the first one');
is_deeply(ask($one), [ $one->{id}, $chat, undef ], 'and once more');
is(count($chat), 1, 'stored once');
is(scalar $t->sql('select title from chat.chat where id = ?', $chat), 'one',
   'the chat is there, with a title');
is(scalar $t->sql('select scope_seq from chat.message where id = ?',
                  $one->{id}), undef, 'not remembered yet');

is($db->store(question($one)), 1, 'the same from the spool');
is(count($chat), 1, 'changes nothing');
is(scalar $t->sql('select count(*) from gateway.ledger'), 0,
   'a question has no row in the ledger');

is($db->store($one, question($one)), 2, 'answered; its question once more');
is($db->store($one), 1, 'stored again');
is(branch($chat), 'one > re: one', 'question and reply');
is_deeply([ $t->sql('select id, role, finish, scope_seq from chat.message
                      where chat_id = ? order by seq', $chat) ],
          [ [ $one->{id}, 'user', undef, 1 ],
            [ reply_id($one), 'assistant', 'complete', 2 ] ],
          'their ids, and places in memory');

my $two = turn($chat, 'two');

is($db->store($two), 1, 'nobody has asked before');
is(branch($chat), 'one > re: one > two > re: two', 'goes on at the leaf');
is(scalar $t->sql('select extract(epoch from created_at)::int
                     from chat.message where id = ?', $two->{id}),
   $two->{at} - 1, 'asked when the request began');


# edit the second question; answer the first again; a branch of the branch

my $edit = turn($chat, 'two!', parent_id => reply_id($one));

is_deeply(ask($edit), [ $edit->{id}, $chat, reply_id($one) ], 'an edit');
is(branch($chat), 'one > re: one > two > re: two', 'not there before its end');
$db->store($edit);
is(branch($chat), 'one > re: one > two! > re: two!', 'goes on from there');
is(branch($chat, reply_id($two)), 'one > re: one > two > re: two',
   'the other is kept');

my $again = turn($chat, 'one', parent_id => $one->{id},
                 assistant_text => 're: one, again');

is_deeply(ask($again), [ $one->{id}, $chat, undef ], 'answered again');
$db->store($again);
is(branch($chat), 'one > re: one, again', 'another answer');
is_deeply([ $t->sql('select content, scope_seq is null from chat.message
                      where parent_id = ? order by seq', $one->{id}) ],
          [ [ 're: one', 1 ], [ 're: one, again', 0 ] ],
          'beside the first, and remembered in its place');
is(scalar $t->sql('select count(*) from chat.message where content = \'one\''),
   1, 'the question is there once');

$db->store(turn($chat, 'three'));
is(branch($chat), 'one > re: one, again > three > re: three', 'and on');

my $root = turn($chat, 'zero', parent_id => 'root');

is_deeply(ask($root), [ $root->{id}, $chat, undef ], 'another beginning');
$db->store($root);
is(branch($chat), 'zero > re: zero', 'is the current one');


# by the API: the tree, one branch, and which is current

my (undef, $shown) = $db->api($anna, 'GET', "/api/v1/chats/$chat");
is($shown->{leaf_id}, reply_id($root), 'leaf of the chat');
is($shown->{messages}, count($chat), 'count of its messages');

my ($status) = $db->api($anna, 'PATCH', "/api/v1/chats/$chat", {},
                        { leaf_id => reply_id($two) });
is($status, 200, 'another branch is current');

my (undef, $page) = $db->api($anna, 'GET', "/api/v1/chats/$chat/messages",
                             { branch => 'current', limit => 3 });
is(join(' < ', map { $_->{content} } @{ $page->{data} }),
   're: two < two < re: one', 'its messages, newest first');
is($page->{data}[1]{parent_id}, $page->{data}[2]{id}, 'each names its parent');
is($page->{data}[0]{finish}, 'complete', 'and a reply how it ended');

(undef, $page) = $db->api($anna, 'GET', "/api/v1/chats/$chat/messages",
    { branch => 'current', limit => 3, cursor => $page->{page}{next} });
is(join(' < ', map { $_->{content} } @{ $page->{data} }), 'one', 'the rest');
is($page->{page}{next}, undef, 'the end');

(undef, $page) = $db->api($anna, 'GET', "/api/v1/chats/$chat/messages",
                          { branch => reply_id($edit) });
is($page->{data}[0]{content}, 're: two!', 'a branch that is named');

for my $bad ($one->{id}, '00000000-0000-4000-8000-00000000dead', 'x', undef) {
    ($status) = $db->api($anna, 'PATCH', "/api/v1/chats/$chat", {},
                         { leaf_id => $bad });
    is($status, 422, 'no leaf: ' . ($bad // 'null'));
}

$db->store(turn($chat, 'four'));
is(branch($chat), 'one > re: one > two > re: two > four > re: four',
   'the next goes on where the user is');


# how a reply ended

my %finish = ('stop' => 'complete', 'length' => 'length',
              'MAX_TOKENS' => 'length', 'content_filter' => 'content_filter',
              'SAFETY' => 'content_filter', 'refusal' => 'refused',
              'end_turn' => 'complete', '' => 'complete');

for my $reason (sort keys %finish) {
    my $turn = turn($chat, 'x', finish_reason => $reason);

    $db->store($turn);
    is(scalar $t->sql('select finish from chat.message where id = ?',
                      reply_id($turn)), $finish{$reason},
       "finish reason '$reason'");
}

my $partial = turn($chat, 'half', outcome => 'partial');
my $failed = turn($chat, 'broken', outcome => 'failed');
my $silent = turn($chat, 'silent', outcome => 'failed', assistant_text => '');

ask($_) for $partial, $failed, $silent;
$db->store($partial, $failed, $silent);

is_deeply([ map { scalar $t->sql('select finish from chat.message
                                   where id = ?', reply_id($_)) }
            $partial, $failed, $silent ], [ 'partial', 'failed', undef ],
          'what was said is kept');
like(branch($chat), qr/re: half$/, 'what failed is not where the chat goes on');
is(scalar $t->sql('select content from chat.message where id = ?',
                  $silent->{id}), 'silent', 'a question without an answer');
is(scalar $t->sql('select count(*) from chat.message where chat_id = ?
                    and scope_seq is not null and content ~ ?',
                  $chat, 'broken|silent'), 0, 'and is not remembered');

my $retry = turn($chat, 'silent', parent_id => $silent->{id});
$db->store($retry);
like(branch($chat), qr/re: half > silent > re: silent$/, 'answered at last');


# asked anew, as SDKs do when it failed: the same question

my $anew = chat();
my @anew = map { turn($anew, 'again?') } 1 .. 3;

is_deeply([ map { ask($_)->[0] } @anew ], [ ($anew[0]{id}) x 3 ],
          'what has no answer is asked again: one question');
$db->store($anew[1], question($anew[1]));
is(branch($anew), 'again? > re: again?', 'that is answered');
is(ask($anew[1])->[0], $anew[0]{id}, 'and known by its turn');
is_deeply([ @{ ask(turn($anew, 'again?')) }[1, 2] ],
          [ $anew, reply_id($anew[1]) ], 'asked once more: a new one');
is(count($anew), 3, 'three messages');


# an id of its own, by which a repeated request knows it, answered or not

my $keyed = chat();
my @keyed = map { turn($keyed, 'keyed',
    question_id => '30000000-0000-8000-8000-000000000001') } 1 .. 3;

is_deeply([ map { ask($_)->[0] } @keyed[0, 1] ],
          [ ($keyed[0]{question_id}) x 2 ], 'its own id');
$db->store($keyed[1]);
is(ask($keyed[2])->[0], $keyed[0]{question_id}, 'it was answered');
$db->store(question($keyed[2]), question($keyed[0]));
is(count($keyed), 2, 'no other is stored');
$db->store($keyed[2]);
is_deeply([ $t->sql('select role, parent_id is null from chat.message
                      where chat_id = ? order by seq', $keyed) ],
          [ [ 'user', 1 ], [ 'assistant', 0 ], [ 'assistant', 0 ] ],
          'another answer is one of it');


# questions and replies in any order: the same line of talk

my @orders = ([0, 1, 2, 3, 4, 5], [0, 2, 1, 4, 3, 5], [0, 2, 4, 1, 3, 5],
              [0, 2, 4, 5, 3, 1], [1, 3, 5, 0, 2, 4], [5, 3, 1],
              [4, 2, 0, 5, 1, 3]);

for my $order (@orders) {
    my $chat = chat();
    my @turns = map { turn($chat, $_) } qw(a b c);
    my @records = map { (question($_), $_) } @turns;

    $db->store($records[$_]) for @$order;
    is(branch($chat), 'a > re: a > b > re: b > c > re: c',
       "in the order @$order");
    is(scalar $t->sql('select count(distinct seq) = max(seq) from chat.message
                        where chat_id = ?', $chat), 1, 'places without gaps');
}

my $lag = chat();
my @lag = map { turn($lag, $_) } qw(a b);

ask($_) for @lag;
$db->store(@lag);
is_deeply([ map { $_->[0] } $t->sql('select content from chat.message
                                      where chat_id = ? order by seq', $lag) ],
          [ 'a', 're: a', 'b', 're: b' ], 'seq is the order of the talk');


# two at once: none waits for the other, both stay

my $both = chat();
my $left = turn($both, 'left', total_ms => 5000);
my $right = turn($both, 'right', total_ms => 5000);

is_deeply([ map { ask($_)->[2] } $left, $right ], [ undef, undef ],
          'two at once are siblings');
$db->store($right);
$db->store($left);
is(branch($both), 'right > re: right', 'the later answer is the current one');
is(branch($both, reply_id($left)), 'left > re: left', 'the other is there');

my $crowd = chat();
my $at = $now + 5;
my @crowd = map { turn($crowd, "q$_", at => $at) } 1 .. 12;
my @pids = map {
    my $mine = $_;
    my $pid = fork;
    if (!$pid) {
        $_->{InactiveDestroy} = 1 for $db->dbh, $t->{dbh};
        my $ok = eval {
            my $db = Sallyport::SQL->new($t->pg);
            for my $turn (@$mine) {
                $db->gateway('select chat.ask(?)',
                             encode_json(question($turn)));
                $db->store($turn);
            }
            1;
        };
        POSIX::_exit($ok ? 0 : 1);
    }
    $pid;
} [@crowd], [reverse @crowd], [@crowd[6 .. 11]];

is((grep { waitpid($_, 0); $? } @pids) + 0, 0, 'a crowd: no deadlock');
is(count($crowd), 24, 'each question and each reply once');
is(scalar $t->sql('select count(*) from chat.message where chat_id = ?
                    and role = ? and parent_id is null', $crowd, 'user'), 12,
   'and none under another');


# whose they are

$Sallyport::SQL::state = undef;

my $before = $t->sql('select count(*) from chat.message');
my %no = (
    'another user\'s chat' =>
        [ turn($chat, 'x', user_id => $bert), 'PT404', 'chat_not_found' ],
    'a chat with another character' =>
        [ turn($chat, 'x', character_id => $own), 'PT409',
          'chat_of_another_character' ],
    'a message that is not there' =>
        [ turn($chat, 'x', parent_id => $anna), 'PT404', 'parent_not_found' ],
    'a message of another chat' =>
        [ turn($chat, 'x', parent_id => $left->{id}), 'PT404',
          'parent_not_found' ],
    'another user\'s character' =>
        [ turn(chat(), 'x', user_id => $bert, character_id => $own), 'PT404',
          'character_not_found' ],
    'a character that is gone' =>
        [ turn(chat(), 'x', character_id => $gone), 'PT404',
          'character_not_found' ]);

for my $name (sort keys %no) {
    my ($turn, @answer) = @{ $no{$name} };

    is_deeply(ask($turn), \@answer, $name);
    is($db->store(question($turn)), 1, "$name: taken from the spool");
}

is(scalar $t->sql('select count(*) from chat.message'), $before,
   'and nothing is stored');
is(ask(turn(chat(), 'x', character_id => $own))->[2], undef, 'her own one');

for my $path ("/api/v1/chats/$chat", "/api/v1/chats/$chat/messages") {
    for my $query ($path =~ /messages/ ? ({ branch => 'current' },
                   { branch => reply_id($one) }) : ({}))
    {
        my ($status) = $db->api($bert, 'GET', $path, $query);
        is($status, 404, "another user: 404 of $path");
    }
}

($status) = $db->api($bert, 'PATCH', "/api/v1/chats/$chat", {},
                     { leaf_id => reply_id($one) });
is($status, 404, 'another user\'s branch is not found');

is(scalar(() = $db->as_user($bert, 'select * from chat.branch(?, ?, 9)',
          $chat, reply_id($one))), 0, 'nor read');
ok(!eval { $db->as_user($anna, 'select * from chat.ask(?)',
           encode_json(question(turn(chat(), 'x')))); 1 },
   'users do not ask for themselves');


# what the gateway loads of a chat, as its user

sub context {
    my ($user, $chat, $parent, $again, $rows, $bytes) = @_;

    my ($row) = eval { $db->as_user($user,
        'select character_id, parent_id, messages from
         chat.context(?, ?, ?, ?, ?)', $chat, $parent, $again || 0,
        $rows || 100, $bytes || 100000) };

    return join ' ', $Sallyport::SQL::state, $@ =~ /^DETAIL:\s+(\S+)/m
        if !$row;
    return join ' > ', $row->[1] // '', map { $_->{content} }
                       @{ decode_json($row->[2]) };
}

my $talk = chat();
my @talk = map { turn($talk, $_) } qw(a b c);
$db->store(@talk);

is(context($anna, $talk), ' > a > re: a > b > re: b > c > re: c', 'the leaf');
is(context($anna, $talk, reply_id($talk[0])),
   reply_id($talk[0]) . ' > a > re: a', 'a branch');
is(context($anna, $talk, 'root'), 'root', 'a beginning');
is(context($anna, $talk, undef, 0, 4), ' > b > re: b > c > re: c',
   'the last four');
is(context($anna, $talk, undef, 0, 100, 12), ' > b > re: b > c > re: c',
   'so many bytes');
is(context($anna, $talk, undef, 0, 100, 11), ' > c > re: c',
   'no reply without its question');
is(context($anna, $talk, undef, 0, 100, 1), '', 'no room: nothing');
is(context($anna, $talk, undef, 1),
   "$talk[2]{id} > a > re: a > b > re: b > c", 'again: the last question');
is(context($anna, $talk, $talk[0]{id}, 1), "$talk[0]{id} > a", 'a question');
is(context($anna, $talk, reply_id($talk[1]), 1),
   "$talk[1]{id} > a > re: a > b", 'that of a reply');
is(context($anna, $talk, $talk[0]{id}), 'PT409 parent_not_a_reply',
   'a question is no parent');

my $open = turn($talk, 'd');
ask($open);
is(context($anna, $talk, undef, 1),
   "$open->{id} > a > re: a > b > re: b > c > re: c > d",
   'again: what has no answer');
is(context($anna, $talk), ' > a > re: a > b > re: b > c > re: c',
   'which is no part of the talk');
is(context($anna, chat(), undef, 1), 'PT404 chat_not_found', 'no such chat');
is(context($bert, $talk), 'PT404 chat_not_found', 'another user\'s chat');
is(context($anna, $talk, $one->{id}), 'PT404 parent_not_found',
   'a message of another chat');
ok(!eval { $db->as_anon('select * from chat.context(?, null, false, 9, 9)',
           $talk); 1 }, 'nobody has no chat');

$t->finish;
done_testing;
