#!/usr/bin/perl

# wallet_guest: a session without a wallet, where it is on, and nowhere else.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use Sallyport::JWT;
use Sallyport::Test;
use Test::More;


my $t = Sallyport::Test->new;

$t->redis;
$t->pg;

chmod 0600, $t->file('sign.jwk', JSON::PP::encode_json(
    Sallyport::JWT->new('EdDSA')->private));

my $conf = <<'EOC';
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    redis_server main %%REDIS%% timeout=200ms;
    pg_server main "%%PG%%" connections=2 timeout=1s;

    token_issuer http://127.0.0.1:%%PORT%% key_file=%%DIR%%/sign.jwk;
    auth_jwt_key_file %%DIR%%/sign.jwk;

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORTH2%% http2;

        location /auth/ { wallet_guest on; wallet_auth; }
        location /off/  { wallet_auth; }

        location /me {
            auth_jwt "r";
            add_header X-Me "$identity_sub $identity_role '$identity_wallet'" always;
            root %%DIR%%/www;
        }
        location = /metrics { metrics; }
    }
}
EOC

$t->file('www/me', 'me');
$t->conf($conf);
$t->run;

my $origin = 'http://127.0.0.1:' . $t->port;

for my $http2 (0, 1) {
    my $name = $http2 ? 'HTTP/2' : 'HTTP/1.1';
    my $res = $t->post('/auth/guest', { Origin => $origin }, {},
                       { http2 => $http2 });

    is($res->{status}, 200, "$name: a guest");
    is($res->{json}{role}, 'guest', 'by her role');
    ok(!exists $res->{json}{wallet}, 'without a wallet');
    ok(!exists $res->{json}{refresh_token}, 'the refresh token is a cookie');

    my ($cookie) = $res->{headers}{'set-cookie'} =~ /^(rt=[^;]+); .*HttpOnly/;

    ok(defined $cookie, 'which scripts do not see');

    my $session = $t->get('/auth/session',
        { Authorization => "Bearer $res->{json}{access_token}" });

    is($session->{json}{sub}, $res->{json}{sub}, 'her session');
    ok(!exists $session->{json}{wallet}, 'has no wallet either');

    my $me = $t->get('/me',
        { Authorization => "Bearer $res->{json}{access_token}" });

    is($me->{headers}{'x-me'}, "$res->{json}{sub} guest ''",
       'auth_jwt believes the token');

    my $again = $t->post('/auth/refresh',
                         { Origin => $origin, Cookie => $cookie }, {});

    is($again->{status}, 200, 'she comes back');
    is($again->{json}{sub}, $res->{json}{sub}, 'as the same guest');
    ok(!exists $again->{json}{wallet}, 'without a wallet');

    is($t->post('/auth/logout', { Origin => $origin, Cookie => $cookie },
                {})->{status}, 204, 'and leaves');
}

my $one = $t->post('/auth/guest', {}, { refresh => 'body' });
my $two = $t->post('/auth/guest', {}, {});

like($one->{json}{refresh_token}, qr/^rt1_/, 'a program keeps the token');
isnt($one->{json}{sub}, $two->{json}{sub}, 'each guest is somebody else');

is($t->sql("select count(*) from auth.users where role = 'guest'"), 4,
   'four guests');
is($t->sql('select count(*) from auth.wallets'), 0, 'and no wallet');

# what is refused

for my $case (
    [ 404, 'endpoint_not_found', 'off', 'POST', '/off/guest', {}, '{}' ],
    [ 404, 'endpoint_not_found', 'off, another method', 'GET', '/off/guest' ],
    [ 404, 'endpoint_not_found', 'no such endpoint', 'POST', '/auth/ghost' ],
    [ 404, 'endpoint_not_found', 'a slash too much', 'POST',
      '/auth/guest/', {}, '{}' ],
    [ 405, 'method_not_allowed', 'GET', 'GET', '/auth/guest' ],
    [ 403, 'origin_forbidden', 'a page of another origin', 'POST',
      '/auth/guest', { Origin => 'https://evil.example' }, '{}' ],
    [ 415, 'unsupported_media_type', 'a form', 'POST', '/auth/guest',
      { 'Content-Type' => 'application/x-www-form-urlencoded' }, 'a=b' ],
    [ 400, 'invalid_json', 'no JSON', 'POST', '/auth/guest', {}, '{' ],
    [ 415, 'unsupported_media_type', 'no body', 'POST', '/auth/guest' ])
{
    my ($status, $code, $name, $method, $path, $headers, $body) = @$case;

    $headers = { 'Content-Type' => 'application/json', %{ $headers || {} } }
        if defined $body;

    my $res = $t->request($method, $path, $headers, $body);

    is($res->{status}, $status, "$name: $status");
    is($res->{json}{error}{code}, $code, "its code");
}

is($t->sql("select count(*) from auth.users where role = 'guest'"), 4,
   'nobody was made for them');

like($t->get('/metrics')->{body},
     qr/^sallyport_wallet_sign_ins_total\{result="guest"\} 4$/m, 'counted');

$t->suspend('pg');
my $late = $t->post('/auth/guest', {}, {});
is($late->{status}, 503, 'PostgreSQL stands still');
is($late->{json}{error}{code}, 'sign_in_unavailable', 'it says so');
ok($late->{headers}{'retry-after'}, 'and when to try again');
$t->resume('pg');

$t->finish;
done_testing;
