#!/usr/bin/perl

# quota of verified users: by= identity, the policy by a claim.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::JWT;
use Sallyport::Test;
use Test::More;


my $t = Sallyport::Test->new;
my $key = Sallyport::JWT->new('HS256', kid => 'k');

chmod 0600, $t->file('jwks.json', jwks($key));

$t->conf(<<'EOC');
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    auth_jwt_key_file jwks.json;
    quota_policy free { requests 2/h; }
    quota_policy pro { requests 4/h; }
    server {
        listen 127.0.0.1:%%PORT%%;
        root %%DIR%%/www;
        auth_jwt "test" optional;
        quota $jwt_claim_tier default=free;
        location / { }
        location /must/ { auth_jwt "test"; }
        location /out/ { auth_jwt off; quota off; }
    }
}
EOC

$t->file("www/$_", 'a') for qw(a.txt must/a.txt out/a.txt);
$t->run;

is(statuses('/a.txt', 'alice', 'free', 3), '200 200 429', 'free');
is(statuses('/a.txt', 'bob', 'pro', 5), '200 200 200 200 429',
   'pro, the same address');
is(statuses('/must/a.txt', 'bob', 'pro', 1), '429',
   'one limit over all locations of the policy');
is(statuses('/a.txt', 'carol', 'gold', 3), '200 200 429',
   'an unknown tier: the default');
is(statuses('/a.txt', undef, undef, 3), '200 200 429',
   'without identity the address');
is(statuses('/out/a.txt', undef, undef, 3), '200 200 200', 'off');
is($t->get('/must/a.txt')->{status}, 401,
   'who is not signed in is not counted but asked to sign in');

# as nginx -t sees it
my $head = <<'EOC';
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    auth_jwt_key_file jwks.json;
    quota_policy free { requests 2/h; }
EOC

for my $case (
    [ 'location / { auth_jwt "x"; quota free; }', 1 ],
    [ 'quota free; location / { auth_jwt "x"; }', 1 ],
    [ 'auth_jwt "x"; quota free; location / { }', 1 ],
    [ 'auth_jwt "x"; quota free; location / { auth_jwt off; }', 0 ],
    [ 'quota free; location / { }', 0 ])
{
    my ($server, $good) = @$case;
    my ($ok, $out) = $t->check_conf("$head server { listen "
                                    . "127.0.0.1:%%PORT%%; $server } }");
    is($ok ? 1 : 0, $good, ($good ? 'accepted: ' : 'refused: ') . $server)
        or diag($out);
    like($out, qr/has no key: nothing gives the requests of this location/,
         'and says why') unless $good;
}

$t->finish;
done_testing;


sub statuses {
    my ($path, $sub, $tier, $n) = @_;

    my %header;

    $header{Authorization} = 'Bearer ' . $key->token({ sub => $sub,
        tier => $tier, exp => time + 600 }) if defined $sub;

    return join ' ', map { $t->get($path, \%header)->{status} } 1 .. $n;
}
