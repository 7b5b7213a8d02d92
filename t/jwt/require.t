#!/usr/bin/perl

# auth_jwt_require: values that must be there, and what is answered

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::JWT;
use Sallyport::Test;


my $t = Sallyport::Test->new;
my $key = Sallyport::JWT->new('ES256');

$t->file('jwks.json', jwks($key));

$t->conf(<<'EOF_CONF');
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    auth_jwt_key_file %%DIR%%/jwks.json;

    map $jwt_claim_role $is_admin { admin 1; default 0; }

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORTH2%% http2;

        location /up { return 204; }

        location /admin {
            auth_jwt "r";
            auth_jwt_require $is_admin error=403;
            proxy_pass http://127.0.0.1:%%PORT%%/up;

            location /admin/below {
                proxy_pass http://127.0.0.1:%%PORT%%/up;
            }

            location /admin/own {
                auth_jwt_require $jwt_claim_sub;
                proxy_pass http://127.0.0.1:%%PORT%%/up;
            }
        }

        location /both {
            auth_jwt "r";
            auth_jwt_require $jwt_claim_a $jwt_claim_b;
            auth_jwt_require $jwt_claim_c error=403;
            proxy_pass http://127.0.0.1:%%PORT%%/up;
        }

        location /optional {
            auth_jwt "r" optional;
            auth_jwt_require $jwt_claim_sub error=401;
            proxy_pass http://127.0.0.1:%%PORT%%/up;
        }

        location /off {
            auth_jwt_require $jwt_claim_sub;
            proxy_pass http://127.0.0.1:%%PORT%%/up;
        }
    }
}
EOF_CONF

$t->run;

sub status {
    my ($path, $claims, %opt) = @_;

    my $token = $claims && $key->token({ exp => time + 60, %$claims });

    return $t->get($path, $token ? { Authorization => "Bearer $token" } : {},
                   \%opt)->{status};
}

for my $http2 (0, 1) {
    my $h = $http2 ? 'HTTP/2' : 'HTTP/1.1';
    my @opt = (http2 => $http2);

    is(status('/admin', { role => 'admin' }, @opt), 204, "$h: met");
    is(status('/admin', { role => 'user' }, @opt), 403, "$h: zero is not");
    is(status('/admin', {}, @opt), 403, "$h: a missing claim is not");
    is(status('/admin', undef, @opt), 401, "$h: no token is 401 first");
    is(status('/admin/below', { role => 'user' }, @opt), 403,
       "$h: inherited");
    is(status('/admin/own', { role => 'user', sub => 'x' }, @opt), 204,
       "$h: replaced");
    is(status('/admin/own', {}, @opt), 401, "$h: 401 by default");
}

is(status('/both', { a => 1, b => 'x', c => 'y' }), 204, 'all are met');
is(status('/both', { a => 1, c => 'y' }), 401, 'a value of the first');
is(status('/both', { a => 1, b => 0, c => 'y' }), 401, 'the number 0');
is(status('/both', { a => 1, b => '', c => 'y' }), 401, 'empty text');
is(status('/both', { a => 1, b => 2 }), 403, 'the second has its own code');
is(status('/optional', undef), 401, 'looked at without a token too');
is(status('/optional', { sub => 'x' }), 204, 'met');
is(status('/off', undef), 204, 'not where auth_jwt is off');

for my $case (
    [ 'auth_jwt_require text;', qr/begin with a variable/ ],
    [ 'auth_jwt_require $jwt_claim_a error=404;', qr/begin with a variable/ ],
    [ 'auth_jwt_require error=403;', qr/at least one variable/ ],
    [ 'auth_jwt_require;', qr/invalid number of arguments/ ],
    [ 'auth_jwt_require $no_such_variable;', qr/unknown .*variable/ ],
) {
    my ($ok, $out) = $t->check_conf("%%LOAD%%\n%%GLOBALS%%\nevents { }\n"
        . "http { %%HTTP%% server { listen 127.0.0.1:%%PORT%%; $case->[0]"
        . " } }\n");

    ok(!$ok && $out =~ $case->[1], "refused: $case->[0]") or diag $out;
}

$t->finish;
done_testing;
