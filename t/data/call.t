#!/usr/bin/perl

# pg_call: mapping, refusals, paging and isolation over HTTP/1.1 and HTTP/2,
# PostgreSQL slow, away and back

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::JWT;
use Sallyport::SQL;
use Sallyport::Test;


my $t = Sallyport::Test->new;

$t->pg;

my $db = Sallyport::SQL->new($t->pg);
my $anna = $db->user('00000000-0000-4000-8000-00000000000a');
my $bert = $db->user('00000000-0000-4000-8000-00000000000b');
my $key = Sallyport::JWT->new('HS256', kid => 'test');

chmod 0600, $t->file('jwks.json', jwks($key));

# a schema of the test's own: functions that misbehave
$t->dbh->do($_) for split /;;/, <<'END';
create schema odd;;
grant usage on schema odd to sallyport_anon, sallyport_user;;
create function odd.call(method text, path text, query jsonb, body jsonb)
returns table (status int, reply text, location text, allow text)
language plpgsql as $$
begin
    status := 200;
    case query ->> 'do'
    when 'sleep' then perform pg_sleep(5);
    when 'big' then reply := to_json(repeat('x', 5000));
    when 'state' then
        raise exception using errcode = query ->> 'state',
            message = 'table "secret_table"', detail = 'secret detail';
    when 'raise' then raise exception 'say why';
    when 'rows' then return next; return next; return;
    when 'none' then return;
    when 'status' then status := 99;
    when 'write' then create table odd.t (n int);
    when 'echo' then
        reply := json_build_object('method', method, 'path', path, 'body',
            body, 'role', current_user, 'sub', auth.uid(), 'read_only',
            current_setting('transaction_read_only'));
    end case;
    return next;
end $$;;
grant execute on function odd.call(text, text, jsonb, jsonb)
    to sallyport_anon, sallyport_user
END

$t->conf(<<'EOF');
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    pg_server main "%%PG%%" connections=2 timeout=2s;
    auth_jwt_key_file %%DIR%%/jwks.json;

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORTH2%% http2;

        auth_jwt "test" optional;

        location /api/ { pg_call main api; }

        location /odd {
            pg_call main odd;
            pg_call_timeout 400ms;
            pg_call_max_result 4k;
        }
    }
}
EOF
$t->run;

sub token {
    my ($user) = @_;
    return { Authorization => 'Bearer '
             . $key->token({ sub => $user, exp => time + 600 }) };
}

# what a public character must have
my $shape = '"is_public":true,"description":"Made by a test.",'
          . '"personality":"Calm, and to the point."';

sub call {
    my ($method, $path, $user, $body, %opt) = @_;
    my %headers = $user ? %{ token($user) } : ();

    $headers{'Content-Type'} = $opt{type} || 'application/json'
        if defined $body;
    return $t->request($method, $path, \%headers, $body,
                       { http2 => $opt{http2} });
}

sub refused {
    my ($res, $status, $code, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is_deeply([$res->{status}, $res->{json}{error}{code}], [$status, $code],
              $name) or diag $res->{body};
}


# the way through, on both protocols

for my $h2 (0, 1) {
    my %opt = (http2 => $h2);
    my $p = $h2 ? 'h2' : 'h1';

    my $res = call('GET', '/api/v1/characters', undef, undef, %opt);
    is($res->{status}, 200, "$p: anonymous list");
    like($res->{headers}{'content-type'}, qr{^application/json}, "$p: JSON");
    is($res->{json}{page}{limit}, 20, "$p: page");

    my $head = call('HEAD', '/api/v1/characters', undef, undef, %opt);
    is_deeply([$head->{status}, $head->{body},
               $head->{headers}{'content-length'}],
              [200, '', length $res->{body}],
              "$p: HEAD has the same length and no body");

    $res = call('POST', '/api/v1/characters', $anna,
                qq({"name":"Z$p",$shape}), %opt);
    is($res->{status}, 201, "$p: created");

    my $at = $res->{headers}{location};

    is($at, "/api/v1/characters/$res->{json}{id}", "$p: Location");
    is($res->{headers}{'cache-control'}, 'no-store', "$p: not cached");

    is(call('GET', $at, undef, undef, %opt)->{json}{name}, "Z$p",
       "$p: seen by all");
    refused(call('PATCH', $at, $bert, '{"name":"x"}', %opt), 403,
            'not_owner', "$p: not changed by others");
    is(call('PATCH', $at, $anna, '{"name":"Y"}', %opt)->{json}{name}, 'Y',
       "$p: changed");

    $res = call('DELETE', $at, $anna, undef, %opt);
    is_deeply([$res->{status}, $res->{body}], [204, ''], "$p: deleted");
    refused(call('GET', $at, $anna, undef, %opt), 404,
            'character_not_found', "$p: gone");

    $res = call('PUT', '/api/v1/chats', $anna, '{}', %opt);
    refused($res, 405, 'method_not_allowed', "$p: 405");
    is($res->{headers}{allow}, 'GET, HEAD, POST', "$p: Allow");

    refused(call('GET', '/api/v1/chats', undef, undef, %opt), 401,
            'authentication_required', "$p: nobody");
    refused(call('GET', '/api/v1/none', $anna, undef, %opt), 404,
            'not_found', "$p: no such endpoint");
}


# pages by their cursor

call('POST', '/api/v1/characters', $anna,
     qq({"name":"C$_",$shape})) for 1 .. 7;

my $cursor = '';
my (@sizes, %seen);

do {
    my $res = call('GET', "/api/v1/characters?limit=3$cursor");

    push @sizes, scalar @{ $res->{json}{data} };
    $seen{$_->{id}}++ for @{ $res->{json}{data} };
    $cursor = $res->{json}{page}{next};
    $cursor = $cursor ? "&cursor=$cursor" : '';
} while $cursor;

is("@sizes", '3 3 1', 'pages');
is(scalar(keys %seen), 7, 'every row once');


# bad input

my $path = '/api/v1/characters';
my $count = 'select count(*) from chat.character';
my $before = $t->sql($count);

refused(call('GET', "$path?limit=1&limit=2"), 400, 'invalid_query',
        'a parameter twice');
refused(call('GET', "$path?q=%ff"), 400, 'invalid_query', 'not UTF-8');
refused(call('GET', "$path?q=%00"), 400, 'invalid_query', 'NUL');
refused(call('GET', "$path?" . join '&', map { "p$_=1" } 1 .. 40), 400,
        'invalid_query', 'forty parameters');
is(call('GET', "$path/\xff")->{status}, 400, 'a path that is not UTF-8');
is(call('POST', $path, $anna, '{"name":')->{status}, 400, 'broken JSON');
is(call('POST', $path, $anna, '{"name":"a","name":"b"}')->{status}, 400,
   'a key twice');
is(call('POST', $path, $anna, qq({"name":"\xff"}))->{status}, 400,
   'body not UTF-8');
is(call('POST', $path, $anna, '{"name":"a\u0000b"}')->{status}, 400,
   'NUL in a string');
is(call('POST', $path, $anna, 'name=x', type => 'text/plain')->{status}, 415,
   'content type');
is(call('POST', $path, $anna, '{"name":"' . 'x' x 2_000_000 . '"}')->{status},
   413, 'two megabytes');
refused(call('GET', "$path?where=1"), 400, 'unknown_parameter', 'parameter');
refused(call('POST', $path, $anna, '[]'), 400, 'invalid_body', 'an array');
refused(call('POST', $path, $anna, ''), 422, 'missing_field', 'no body');
refused(call('POST', $path, $anna,
             qq({"name":"x","owner_id":"$bert"})), 422, 'unknown_field',
        'a field that is ours');
refused(call('GET', "$path/%27%3bdrop%20table%20x%3b--"), 404, 'not_found',
        'SQL in a path is a path');
is(scalar $t->sql($count), $before, 'nothing was created');


# how the function sees it

is(call('HEAD', '/odd?do=echo', $anna)->{status}, 200, 'HEAD');
is_deeply(call('GET', '/odd/a%2fb%20c?do=echo', $anna)->{json},
    { method => 'GET', path => '/odd/a/b c', body => undef, sub => $anna,
      role => 'sallyport_user', read_only => 'on' }, 'GET');
is_deeply(call('POST', '/odd?do=echo', undef,
               '{"a":[1.5,"\u263a"]}')->{json},
    { method => 'POST', path => '/odd', body => { a => [1.5, "\x{263a}"] },
      sub => undef, role => 'sallyport_anon', read_only => 'off' }, 'POST');
refused(call('PROPFIND', '/odd?do=echo'), 405, 'method_not_allowed',
        'a method that nothing takes');

refused(call('GET', '/odd?do=write', $anna), 405, 'method_not_allowed',
        'a write in a GET');
refused(call('GET', '/odd?do=big', $anna), 500, 'result_too_large',
        'a result over its cap');

my $raised = call('GET', '/odd?do=raise', $anna);

refused($raised, 400, 'refused', 'RAISE');
is($raised->{json}{error}{message}, 'say why', 'with its message');

for my $case (
    ['rows', 500, 'database_error'], ['none', 500, 'database_error'],
    ['status', 500, 'database_error'],
    ['state&state=23505', 409, 'conflict'],
    ['state&state=23503', 409, 'conflict'],
    ['state&state=23514', 422, 'invalid_value'],
    ['state&state=22P02', 400, 'invalid_value'],
    ['state&state=42501', 403, 'forbidden'],
    ['state&state=42883', 404, 'not_found'],
    ['state&state=40001', 503, 'database_conflict'],
    ['state&state=40P01', 503, 'database_conflict'],
    ['state&state=53100', 503, 'database_unavailable'],
    ['state&state=57014', 504, 'database_timeout'],
    ['state&state=XX000', 500, 'database_error'],
    ['state&state=PT418', 418, 'refused'],
    ['state&state=PT999', 400, 'refused'])
{
    my ($what, $status, $code) = @$case;
    my $res = call('GET', "/odd?do=$what", $anna);

    refused($res, $status, $code, $what);
    unlike($res->{body}, qr/secret detail/, "$what: no detail");
    unlike($res->{body}, qr/secret_table/, "$what: no table name")
        if $what !~ /PT418/;
    ok($res->{headers}{'retry-after'}, "$what: Retry-After")
        if $status == 503;
}

refused(call('GET', '/odd?do=state&state=42501'), 401,
        'authentication_required', '42501 of nobody');


# slow, away, back

refused(call('GET', '/odd?do=sleep', $anna), 504, 'database_timeout',
        'a function that sleeps');
is(call('GET', '/odd?do=echo', $anna)->{status}, 200, 'the next one works');

$t->stream('GET', '/odd?do=sleep', token($anna))->taken->leave;
is(call('GET', '/odd?do=echo', $bert)->{json}{sub}, $bert,
   'a client that left leaves nothing behind');

$t->suspend('pg');
refused(call('GET', '/odd?do=echo', $anna), 504, 'database_timeout',
        'PostgreSQL is stopped');
$t->resume('pg');

$t->stop_server('pg');

my $away = call('GET', '/api/v1/characters');

refused($away, 503, 'database_unavailable', 'PostgreSQL is away');
ok($away->{headers}{'retry-after'}, 'Retry-After');
$t->start_server('pg');

ok($t->wait_until(sub {
       call('GET', '/api/v1/characters')->{status} == 200
   }, 20), 'PostgreSQL is back');


# configuration

my $base = <<'EOF';
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    pg_server main "%%PG%%";
    server { listen 127.0.0.1:%%PORT%%; location / { HERE } }
}
EOF

for my $case (
    ['pg_call other api;', qr/other/], ['pg_call main "a; b";', qr/invalid/],
    ['pg_call main Api;', qr/invalid schema "Api"/],
    ['pg_call main api; pg_call main api;', qr/duplicate/],
    ['pg_call main;', qr/number of arguments/],
    ['pg_call main api; pg_call_timeout 0;', qr/must not be 0/])
{
    my ($line, $message) = @$case;
    my ($ok, $out) = $t->check_conf($base =~ s/HERE/$line/r);

    ok(!$ok, "refused: $line");
    like($out, $message, 'and why');
}

$t->finish;
done_testing;
