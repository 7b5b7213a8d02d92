#!/usr/bin/perl

# llm_characters: the persona of a request, under the caller's own rights,
# and while PostgreSQL is away.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;
use Sallyport::JWT qw(jwks);

my $key = Sallyport::JWT->new('HS256', kid => 'k');
my $alice = '00000000-0000-4000-8000-00000000000a';
my $bob = '00000000-0000-4000-8000-00000000000b';
my $mira = '00000000-0000-4000-8000-0000000000d1';
my $private = '00000000-0000-4000-8000-0000000000d2';
my $nobody = '00000000-0000-4000-8000-0000000000d9';

my ($t, $p) = Sallyport::Llm::gateway(
    http => 'pg_server main "%%PG%%" timeout=1s;
             auth_jwt_key_file %%DIR%%/jwks.json;
             llm_characters main cache=200ms timeout=300ms;
             llm_provider down { url http://127.0.0.1:%%PORT2%%;
                                 model m as=down; }',
    location => 'auth_jwt "test" optional;',
    server => 'location = /off { llm_characters off; llm_pass default; }
               location = /v1/responses {
                   auth_jwt "test" optional;
                   llm_pass default dialect=responses;
               }
               location = /first {
                   auth_jwt "test";
                   error_page 502 = @second;
                   llm_pass down;
               }
               location @second {
                   auth_jwt "test" optional token=$http_x_second;
                   llm_pass default;
               }',
    prepare => sub {
        my ($t) = @_;

        $t->file('jwks.json', jwks($key), 0600);

        $t->sql('insert into auth.users (id) values (?), (?)', $alice, $bob);
        $t->sql('insert into chat.character (id, owner_id, name,
                     system_prompt, is_public)
                 values (?, null, ?, ?, true), (?, ?, ?, ?, false)',
                $mira, 'Mira', 'You are {{char}}. Be brief.',
                $private, $alice, 'Ann', 'You are {{char}}, a secret.');
    });


sub chat {
    my ($character, $sub, $opt, $path) = @_;

    return $t->post($path || '/v1/chat/completions',
        { $sub ? (Authorization => 'Bearer ' . $key->token(
              { sub => $sub, exp => int(time) + 600 })) : () },
        Sallyport::Llm::body('hi', $character
                  ? (metadata => { character_id => $character }) : ()),
        $opt);
}

sub system_of {
    my $first = $p->last_request->{json}{messages}[0];
    return $first->{role} eq 'system' ? $first->{content} : undef;
}


for my $opt ({}, { http2 => 1 }) {
    my $name = $opt->{http2} ? 'HTTP/2' : 'HTTP/1.1';

    is(chat($mira, undef, $opt)->{status}, 200, "$name: a public character");
    is(system_of(), "Character: Mira\n\nYou are Mira. Be brief.",
       "$name: its prompt comes first");
    ok(!exists $p->last_request->{json}{metadata},
       "$name: its id is not sent on");

    is(chat($private, $alice, $opt)->{status}, 200,
       "$name: the owner's own character");
    like(system_of(), qr/a secret/, "$name: with its prompt");

    my $before = $p->requests;

    for my $case ([ 'a stranger', $private, $bob ],
                  [ 'nobody', $private, undef ],
                  [ 'an unknown one', $nobody, $alice ])
    {
        my $res = chat($case->[1], $case->[2], $opt);

        is($res->{status}, 404, "$name: $case->[0]: 404");
        is($res->{json}{error}{code}, 'character_not_found',
           "$name: $case->[0]: code");
    }

    is($p->requests + 0, $before, "$name: nothing of it was forwarded");

    is(chat(undef, undef, $opt)->{status}, 200, "$name: no character");
    is(system_of(), undef, "$name: no persona");
}

my $said = $t->post('/v1/responses', {}, { input => 'hi',
    instructions => 'be kind', metadata => { character_id => $mira } });
is($said->{status}, 200, 'a character of the Responses API');
is_deeply([ map { $_->{content} } @{ $p->last_request->{json}{messages} } ],
          [ "Character: Mira\n\nYou are Mira. Be brief.", 'be kind', 'hi' ],
          'its prompt comes before the instructions');

is(chat($mira, undef, {}, '/off')->{status}, 200, 'characters are off');
is(system_of(), undef, 'and not loaded');


# -- another location with another token: another one's rights

sub second {
    my ($sub) = @_;
    my ($first, $second) = map { $key->token(
        { sub => $_, exp => int(time) + 600 }) } $alice, $sub || $bob;

    # without a name of a model each location has its own
    my %body = (messages => [ { role => 'user', content => 'hi' } ],
                metadata => { character_id => $private });

    return $t->post('/first',
        { Authorization => "Bearer $first",
          $sub ? ('X-Second' => $second) : () }, \%body);
}

is(second($alice)->{status}, 200, 'passed on, the same one');
like(system_of(), qr/a secret/, 'her own character');
is(second($bob)->{status}, 404, 'passed on, a stranger: no character');
is(second()->{status}, 404, 'passed on, nobody');


# -- a change is seen when the copy has aged

is(chat($mira)->{status}, 200, 'loaded');
$t->sql('update chat.character set system_prompt = ? where id = ?',
        'You are new.', $mira);

ok($t->wait_until(sub { chat($mira); system_of() =~ /new/ }, 5),
   'a change is seen');


# -- what was public is not any more: the copy for everybody goes

$t->sql("update chat.character set is_public = false, owner_id = ?,
            description = 'A lighthouse keeper.',
            personality = 'Calm, and to the point.'
          where id = ?", $alice, $mira);
ok($t->wait_until(sub { chat($mira, $bob)->{status} == 404 }, 5),
   'made private: not there for others');
is(chat($mira, $alice)->{status}, 200, 'there for its owner');
is(chat($mira, $bob)->{status}, 404, 'whose copy is not for others');
$t->sql('update chat.character set is_public = true where id = ?', $mira);
ok($t->wait_until(sub { chat($mira, $bob)->{status} == 200 }, 5),
   'public again');


# -- PostgreSQL does not answer: the last copy, or no chat

chat($private, $alice);
$t->suspend('pg');
ok($t->wait_until(sub {
       chat($mira);
       return $t->error_log =~ /"$mira" not loaded: timeout, the last copy/;
   }), 'PostgreSQL hangs: the copy has aged');

my $start = time;

is(chat($mira)->{status}, 200, 'the last copy');
like(system_of(), qr/You are new\./, 'is used');
cmp_ok(time - $start, '<', 2, 'after the deadline');
is(chat($mira, $bob)->{status}, 200,
   'somebody who never asked before: a public character has one copy');

my $before = $p->requests;
my $res = chat($private, $bob);

is($res->{status}, 503, 'without a copy there is no chat');
is($res->{json}{error}{code}, 'character_unavailable', 'its code');
is($p->requests + 0, $before, 'and nothing is forwarded');

is(chat(undef)->{status}, 200, 'who needs no character is not affected');

$t->resume('pg');
ok($t->wait_until(sub { chat($private, $bob)->{status} == 404 }, 10),
   'PostgreSQL is back');

# -- a client that leaves while the character is loaded

$t->suspend('pg');
$t->stream('POST', '/v1/chat/completions', {}, Sallyport::Llm::body('hi',
    metadata => { character_id => $nobody }))->taken->close(abrupt => 1);
$t->resume('pg');

is(chat($mira)->{status}, 200, 'a client that left harms nobody');

$t->finish;
done_testing;
