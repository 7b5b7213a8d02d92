#!/usr/bin/perl

# auth_jwt_leeway, auth_jwt_issuer, auth_jwt_audience, auth_jwt_token_cache

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::JWT;
use Sallyport::Test;


my $t = Sallyport::Test->new;
my $key = Sallyport::JWT->new('EdDSA');

$t->file('jwks.json', jwks($key));

my $conf = <<'EOF_CONF';
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    auth_jwt_key_file %%DIR%%/jwks.json;
    auth_jwt_token_cache CACHE;

    server {
        listen 127.0.0.1:%%PORT%%;

        auth_jwt "r";

        location /up { auth_jwt off; return 204; }

        location /strict { proxy_pass http://127.0.0.1:%%PORT%%/up; }

        location /leeway {
            auth_jwt_leeway 5m;
            proxy_pass http://127.0.0.1:%%PORT%%/up;
        }

        location /issuer {
            auth_jwt_issuer https://i.example;
            proxy_pass http://127.0.0.1:%%PORT%%/up;

            location /issuer/audience {
                auth_jwt_audience a;
                proxy_pass http://127.0.0.1:%%PORT%%/up;
            }
        }

        location = /metrics { auth_jwt off; metrics; }
    }
}
EOF_CONF

$t->conf($conf =~ s/CACHE/1m/r);
$t->run;

sub status {
    my ($path, $token) = @_;

    $token = $key->token({ exp => time + 60, %$token }) if ref $token;
    return $t->get($path, { Authorization => "Bearer $token" })->{status};
}


sub counter {
    my ($labels) = @_;
    my ($n) = $t->get('/metrics')->{body} =~ /^\Q$labels\E (\d+)/m;
    return $n // 0;
}


for my $case (
    [ { exp => time - 60 }, 401, 204, 'expired a minute ago' ],
    [ { exp => time - 600 }, 401, 401, 'expired ten minutes ago' ],
    [ { nbf => time + 60 }, 401, 204, 'valid in a minute' ],
    [ { nbf => time + 600 }, 401, 401, 'valid in ten minutes' ],
    [ { iat => time + 30 }, 204, 204, 'issued in half a minute' ],
    [ { iat => time + 200 }, 401, 204, 'issued in three minutes' ],
) {
    my ($claims, $strict, $leeway, $name) = @$case;

    # the leeway location first: its success must not help the strict one
    for my $pass (1, 2) {
        is(status('/leeway', $claims), $leeway, "$name: leeway, pass $pass");
        is(status('/strict', $claims), $strict, "$name: strict, pass $pass");
    }
}

my $i = 'https://i.example';

is(status('/issuer', { iss => $i }), 204, 'issuer');
is(status('/issuer', { iss => "$i/" }), 401, 'another issuer');
is(status('/issuer', {}), 401, 'no issuer');
is(status('/issuer/audience', { iss => $i, aud => 'a' }), 204, 'audience');
is(status('/issuer/audience', { iss => $i, aud => ['b', 'a'] }), 204,
   'audience in a list');
is(status('/issuer/audience', { iss => $i, aud => 'b' }), 401,
   'another audience');
is(status('/issuer/audience', { iss => $i, aud => ['b', 'aa'] }), 401,
   'other audiences in a list');
is(status('/issuer/audience', { iss => $i }), 401, 'no audience');
is(status('/issuer/audience', { aud => 'a' }), 401, 'issuer is inherited');

# a token that one location has cached is judged by the rules of each
my $token = $key->token({ exp => time + 60, iss => 'https://other' });
is(status($_->[0], $token), $_->[1], "one token: $_->[0]")
    for ['/strict', 204], ['/issuer', 401], ['/strict', 204];


# the cache: hits are counted, an entry does not outlive its token

my $hits = counter('sallyport_jwt_cache_total{result="hit"}');

$token = $key->token({ exp => time + 3, sub => 'brief' });
is(status('/strict', $token), 204, 'brief: cold');
is(status('/strict', $token), 204, 'brief: warm');
is(counter('sallyport_jwt_cache_total{result="hit"}'), $hits + 1,
   'one hit');
ok($t->wait_until(sub { status('/strict', $token) == 401 }),
   'brief: over, though cached');

# more tokens than slots: old ones go, all are still right
my @many = map { $key->token({ exp => time + 600, sub => "user $_",
                               pad => 'x' x 200 }) } 1 .. 700;

is(scalar(grep { status('/strict', $_) != 204 } @many), 0,
   'more tokens than slots');
is(scalar(grep { status('/strict', $_) != 204 } @many), 0, 'and again');

# too large for a slot
$token = $key->token({ exp => time + 60, pad => 'x' x 3000 });
is(status('/strict', $token), 204, 'larger than a slot');
is(status('/strict', $token), 204, 'and again');

ok(counter('sallyport_jwt_tokens_total{result="accepted"}') > 1400,
   'accepted tokens are counted');
ok(counter('sallyport_jwt_tokens_total{result="refused"}') > 10,
   'refused ones as well');

$t->conf($conf =~ s/CACHE/off/r);
$t->reload;
$token = $key->token({ exp => time + 60 });
is(status('/strict', $token), 204, 'without a cache');
is(status('/strict', $token), 204, 'and again');

for my $case (
    [ 'auth_jwt_token_cache 1k;', qr/at least \d+ bytes/ ],
    [ 'auth_jwt_token_cache x;', qr/allowed are "off"/ ],
    [ 'auth_jwt_token_cache 1m; auth_jwt_token_cache 1m;',
      qr/is duplicate/ ],
    [ 'auth_jwt_leeway x;', qr/invalid value/ ],
    [ 'auth_jwt_issuer a; auth_jwt_issuer b;', qr/is duplicate/ ],
) {
    my ($ok, $out) = $t->check_conf("%%LOAD%%\n%%GLOBALS%%\nevents { }\n"
                                    . "http { %%HTTP%% $case->[0] }\n");
    ok(!$ok && $out =~ $case->[1], "refused: $case->[0]") or diag $out;
}

$t->finish;
done_testing;
