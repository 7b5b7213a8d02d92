#!/usr/bin/perl

# api.call: routes, arguments, pages, ownership, memories and their wipe

use strict;
use warnings;

use JSON::PP;
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

sub status_is {
    my ($call, $status, $code, $name) = @_;
    my ($got, $body) = $db->api(@$call);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is_deeply([$got, ref $body ? undef : $body], [$status, $code],
              $name || "@$call[1, 2]: $status");
}


# routes

status_is([undef, 'GET', '/api/v1/nothing'], 404, 'not_found');
status_is([undef, 'GET', '/api/v1/characters/'], 404, 'not_found');
status_is([undef, 'GET', '/api/v1/characters/abc'], 404, 'not_found');
status_is([undef, 'GET', '/api/v1/characters/{id}'], 404, 'not_found');
status_is([undef, 'GET', '/api/v1/characters/12'], 404, 'not_found',
          'a number is no character');
status_is([undef, 'GET', "/api/v1/characters/'; drop table chat.chat; --"], 404,
          'not_found');
status_is([undef, 'GET', '/api/v1/chats'], 401, 'authentication_required');
status_is([undef, 'POST', '/api/v1/characters', {}, { name => 'x' }], 401,
          'authentication_required');

my ($status, undef, undef, $allow) = $db->api($anna, 'PUT', '/api/v1/chats');
is_deeply([$status, $allow], [405, 'GET, HEAD, POST'], '405 names them');
($status, undef, undef, $allow) = $db->api($anna, 'TRACE', '/api/v1/chats');
is($status, 405, 'also for odd methods');


# characters

my ($created, $zed, $location) = $db->api($anna, 'POST', '/api/v1/characters',
    {}, { name => "Zed \x{263a}", description => 'd', system_prompt => 's' });

is($created, 201, 'created');
is($location, "/api/v1/characters/$zed->{id}", 'where it is');
is($zed->{name}, "Zed \x{263a}", 'UTF-8');
ok(!$zed->{is_public} && $zed->{mine}, 'private and mine');

for my $case (
    [{}, 'missing_field'], [{ name => '' }, 'invalid_field'],
    [{ name => 5 }, 'invalid_field'],
    [{ name => 'x' x 101 }, 'invalid_field'],
    [{ name => 'x', owner_id => $bert }, 'unknown_field'],
    [{ name => 'x', is_public => 'yes' }, 'invalid_field'],
    [{ name => 'x', avatar_url => 'javascript:alert(1)' }, 'invalid_field'])
{
    status_is([$anna, 'POST', '/api/v1/characters', {}, $case->[0]], 422,
              $case->[1], 'refused: ' . substr encode_json($case->[0]), 0, 40);
}

status_is([$anna, 'POST', '/api/v1/characters', {}, []], 400, 'invalid_body');
status_is([$anna, 'POST', '/api/v1/characters', {}, undef], 422,
          'missing_field', 'no body');

my $path = "/api/v1/characters/$zed->{id}";

status_is([$bert, 'GET', $path], 404, 'character_not_found');
status_is([undef, 'GET', $path], 404, 'character_not_found');
# a public one has a shape

my %shape = (is_public => JSON::PP::true, description => 'Made by a test.',
             personality => 'Calm, and to the point.');

for my $case ([ description => '' ], [ description => 'x' x 9 ],
              [ description => 'x' x 501 ], [ personality => 'x' x 9 ],
              [ personality => 'x' x 1001 ], [ name => 'x' x 51 ])
{
    my ($field, $value) = @$case;

    status_is([$anna, 'POST', '/api/v1/characters', {},
               { %shape, name => 'P', $field => $value }], 422,
              'invalid_field', "a public character, $field of "
              . length($value) . ' characters');
}

my (undef, $exact) = $db->api($anna, 'POST', '/api/v1/characters', {},
    { %shape, name => "\x{4f60}" x 50, description => 'x' x 10,
      personality => 'y' x 1000 });

is(length $exact->{name}, 50, 'the longest, in characters');
status_is([$anna, 'DELETE', "/api/v1/characters/$exact->{id}"], 204, undef);

status_is([$anna, 'PATCH', $path, {}, { is_public => JSON::PP::true }], 422,
          'invalid_field');
status_is([$anna, 'PATCH', $path, {}, { %shape }], 200,
          undef, 'published');

my ($ok, $seen) = $db->api($bert, 'GET', $path);

is($ok, 200, 'now others see it');
ok(!$seen->{mine} && !exists $seen->{system_prompt},
   'but not its system prompt');
status_is([$bert, 'PATCH', $path, {}, { name => 'Mine' }], 403, 'not_owner');
status_is([$bert, 'DELETE', $path], 403, 'not_owner');

is((($db->as_user($bert, 'select name from chat.character_prompt(?)',
                  $zed->{id}))[0])->[0], "Zed \x{263a}", 'prompt');


# pages: 45 characters, by 20, no row twice and none missing, while rows are
# being added at the front

$db->api($anna, 'POST', '/api/v1/characters', {},
         { name => "C$_", %shape }) for 1 .. 44;

my (%got, $pages, $cursor);

do {
    my (undef, $page) = $db->api(undef, 'GET', '/api/v1/characters',
                                 { $cursor ? (cursor => $cursor) : () });

    $got{$_->{id}}++ for @{ $page->{data} };
    $pages .= @{ $page->{data} } . ' ';
    $cursor = $page->{page}{next};
    is($page->{page}{limit}, 20, 'limit by default');
    like($cursor, qr/^[\w-]+$/, 'the cursor is safe in a URL') if $cursor;
    $db->api($anna, 'POST', '/api/v1/characters', {},
             { name => 'New', %shape });
} while $cursor;

is($pages, '20 20 5 ', 'pages');
is(scalar(grep { $_ > 1 } values %got), 0, 'no row twice');
is(scalar keys %got, 45, 'none missing');

for my $limit (qw(0 101 -1 1.5 abc), '', '99999999999') {
    status_is([undef, 'GET', '/api/v1/characters', { limit => $limit }], 400,
              'invalid_limit', "limit '$limit'");
}

for my $bad ('x', '!!', 'bnVsbA', 'WzEsMl0', 'WyJ4IiwieSJd', 'W10', '') {
    status_is([undef, 'GET', '/api/v1/characters', { cursor => $bad }], 400,
              'invalid_cursor', "cursor '$bad'");
}

status_is([undef, 'GET', '/api/v1/characters', { where => '1' }], 400,
          'unknown_parameter');
status_is([undef, 'GET', '/api/v1/characters', { scope => 'x' }], 400,
          'invalid_scope');

my (undef, $mine) = $db->api($bert, 'GET', '/api/v1/characters',
                             { scope => 'mine' });
is(@{ $mine->{data} }, 0, 'mine: none');

(undef, $mine) = $db->api(undef, 'GET', '/api/v1/characters', { q => 'zed' });
is(@{ $mine->{data} }, 1, 'search');


# chats and messages

my ($made, $chat) = $db->api($anna, 'POST', '/api/v1/chats', {},
                             { character_id => $zed->{id} });

is($made, 201, 'chat');
status_is([$anna, 'POST', '/api/v1/chats', {}, { title => 'x' }], 422,
          'missing_field', 'a chat with nobody');
status_is([$anna, 'POST', '/api/v1/chats', {}, { character_id => 'x' }], 422,
          'invalid_id');
status_is([$anna, 'POST', '/api/v1/chats', {},
           { character_id => '00000000-0000-4000-8000-00000000dead' }], 404,
          'character_not_found');

$db->store($db->turn(user_id => $anna, character_id => $zed->{id},
                     chat_id => $chat->{id}, user_text => "question $_",
                     assistant_text => "answer $_")) for 1 .. 13;

my ($one, $page) = $db->api($anna, 'GET', "/api/v1/chats/$chat->{id}/messages");

is($one, 200, 'messages');
is_deeply([map { $_->{seq} } @{ $page->{data} }], [reverse 7 .. 26],
          'newest first');
is($page->{data}[0]{content}, 'answer 13', 'text');

(undef, $page) = $db->api($anna, 'GET', "/api/v1/chats/$chat->{id}/messages",
                          { cursor => $page->{page}{next} });
is_deeply([map { $_->{seq} } @{ $page->{data} }], [reverse 1 .. 6], 'rest');
is($page->{page}{next}, undef, 'the end');

for my $bad ('x', '-1', '1.5', '1' x 19, '') {
    status_is([$anna, 'GET', "/api/v1/chats/$chat->{id}/messages",
               { cursor => $bad }], 400, 'invalid_cursor',
              "cursor '$bad' of messages");
}

my (undef, $list) = $db->api($anna, 'GET', '/api/v1/chats');
is($list->{data}[0]{title}, 'question 1', 'title of the first message');
(undef, $list) = $db->api($bert, 'GET', '/api/v1/chats');
is(@{ $list->{data} }, 0, 'not for others');

status_is([$anna, 'PATCH', "/api/v1/chats/$chat->{id}", {},
           { title => 'Ours' }], 200, undef);
status_is([$anna, 'DELETE', "/api/v1/chats/$chat->{id}"], 204, undef);
status_is([$anna, 'GET', "/api/v1/chats/$chat->{id}"], 404, 'chat_not_found');


# memories

my %dog = (character_id => $zed->{id}, content => 'The dog is called Rex.');
my (undef, $memory) = $db->api($anna, 'POST', '/api/v1/memories', {}, \%dog);

is($memory->{content}, $dog{content}, 'memory');
status_is([$anna, 'POST', '/api/v1/memories', {},
           { %dog, content => 'the  dog is called REX' }], 409,
          'memory_exists', 'the same in other letters');
status_is([$anna, 'POST', '/api/v1/memories', {}, { content => 'x' }], 422,
          'missing_field', 'a memory of nobody');
status_is([$anna, 'POST', '/api/v1/memories', {},
           { %dog, content => '  ' }], 422, 'missing_field',
          'a memory of nothing');
status_is([$anna, 'POST', '/api/v1/memories', {},
           { %dog, content => 'x' x 301 }], 422, 'invalid_field');
status_is([$anna, 'POST', '/api/v1/memories', {},
           { %dog, content => 'y', kind => 'odd' }], 422, 'invalid_field');

sub recall {
    my ($user, $query) = @_;
    return join '|', map { $_->[3] }
        $db->as_user($user, 'select * from mem.recall(?, ?)', $zed->{id},
                     $query);
}

like(recall($anna, 'what is my dog called?'), qr/Rex/, 'recalled');
is(recall($bert, 'what is my dog called?'), '', 'not for another');

my $at = "/api/v1/memories/$memory->{id}";

status_is([$anna, 'PATCH', $at, {}, { hidden => JSON::PP::true }], 200,
          undef, 'do not mention');
is(recall($anna, 'what is my dog called?'), '', 'not recalled then');
status_is([$anna, 'PATCH', $at, {},
           { hidden => JSON::PP::false, content => 'The cat is called Tom',
             pinned => JSON::PP::true }], 200, undef, 'edited');
like(recall($anna, 'nothing of this'), qr/Tom/, 'pinned is always there');
status_is([$anna, 'PATCH', $at, {}, { importance => 11 }], 422,
          'invalid_field');
status_is([$anna, 'PATCH', $at, {}, { content => '  ' }], 422,
          'invalid_field', 'edited away');

$t->dbh->do("insert into mem.memory (scope_id, user_id, character_id, content,
             hash, tsv) select s.id, s.user_id, s.character_id, 'x',
             int4send(n), ''
             from mem.scope as s, generate_series(1, 999) as n
             where s.user_id = ?", undef, $anna);
status_is([$anna, 'POST', '/api/v1/memories', {},
           { %dog, content => 'One more.' }], 409, 'memory_full');
$t->dbh->do("delete from mem.memory where content = 'x'");

status_is([$anna, 'DELETE', $at], 204, undef);
is(scalar $t->sql('select count(*) from mem.tombstone'), 1, 'tombstone');

$db->store($db->turn(user_id => $anna, character_id => $zed->{id},
                     user_text => 'My horse is called Star'));
like(recall($anna, 'the name of my horse'), qr/Star/, 'a raw turn');
$db->api($anna, 'POST', '/api/v1/memories', {}, \%dog);

status_is([$anna, 'DELETE', '/api/v1/memories'], 400, 'missing_parameter');
status_is([$bert, 'DELETE', '/api/v1/memories',
           { character_id => $zed->{id} }], 204, undef, 'of another: nothing');
like(recall($anna, 'the name of my horse'), qr/Star/, 'still there');
status_is([$anna, 'DELETE', '/api/v1/memories',
           { character_id => $zed->{id} }], 204, undef, 'wipe');
is(recall($anna, 'my horse, my dog'), '', 'nothing is recalled');
is(scalar $t->sql('select epoch from mem.scope where user_id = ?', $anna), 1,
   'jobs of before are fenced off');

status_is([$anna, 'DELETE', $path], 204, undef, 'character deleted');
status_is([$anna, 'GET', $path], 404, 'character_not_found');


# a GET writes nothing, whatever its function does

eval {
    $db->as('sallyport_user', '{"sub":"' . $anna . '"}',
        q{select set_config('transaction_read_only', 'on', true),
                 (select status from api.call('POST', '/api/v1/characters', '{}',
                                              '{"name": "x"}'))});
};
is($Sallyport::SQL::state, '25006', 'read-only is read-only');

$t->finish;
done_testing;
