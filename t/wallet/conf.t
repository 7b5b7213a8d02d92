#!/usr/bin/perl

# token_issuer, wallet_auth, wallet_domain and the rest: what nginx -t takes

use strict;
use warnings;

use JSON::PP ();
use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::JWT;
use Sallyport::Test;


my $t = Sallyport::Test->new;
my $key = Sallyport::JWT->new('EdDSA');

my $good = $t->file('sign.jwk', JSON::PP::encode_json($key->private), 0600);
my $open = $t->file('open.jwk', JSON::PP::encode_json($key->private), 0644);
my $public = $t->file('public.jwk', JSON::PP::encode_json($key->public));
my $hmac = $t->file('hmac.jwk', JSON::PP::encode_json(
    Sallyport::JWT->new('HS256')->private), 0600);

my $issuer = "token_issuer https://chat.example key_file=$good";
my $servers = 'redis_server main unix:/tmp/no.sock; '
              . 'pg_server main "host=/tmp dbname=x user=x";';
my $auth = "$issuer; $servers server { listen 127.0.0.1:%%PORT%%;"
           . ' location /auth/ { wallet_auth; } }';

sub check {
    my ($http) = @_;
    return $t->check_conf("%%LOAD%%\n%%GLOBALS%%\nevents { }\n"
                          . "http { %%HTTP%%\n$http\n}\n");
}

for my $http (
    $auth,
    "token_issuer https://chat.example/path key_file=$good"
    . ' access=1m refresh=1h session=1h audience=me;',
    "$issuer refresh=366d;",
    "token_issuer http://localhost:8080 key_file=$good;",
    "token_issuer http://[::1]:8080 key_file=$good;",
    "$auth wallet_domain a.example https://b.example:1 http://127.0.0.1:80;"
    . ' wallet_chain_ids 1 31337; wallet_statement "Hello there";',
    "$issuer; server { listen 127.0.0.1:%%PORT%%;"
    . ' location = /jwks { wallet_jwks; } }',
) {
    my ($ok, $out) = check($http);
    ok($ok, "taken: $http") or diag $out;
}

for my $case (
    [ 'token_issuer https://a.example;', qr/invalid number of arguments/ ],
    [ 'token_issuer https://a.example access=5m;', qr/has no key_file=/ ],
    [ "token_issuer chat.example key_file=$good;", qr/invalid issuer/ ],
    [ "token_issuer http://chat.example key_file=$good;",
      qr/is not encrypted; http:\/\/ is allowed for localhost/ ],
    [ "token_issuer http://localhost.evil key_file=$good;",
      qr/is not encrypted/ ],
    [ "token_issuer https://u\@a.example key_file=$good;",
      qr/invalid domain/ ],
    [ "token_issuer https://a.example key_file=$open;",
      qr/mode 0644; allowed is 0600/ ],
    [ "token_issuer https://a.example key_file=$public;",
      qr/has no private key/ ],
    [ "token_issuer https://a.example key_file=$hmac;",
      qr/has no private key/ ],
    [ 'token_issuer https://a.example key_file=/no/such;', qr/No such file/ ],
    [ "$issuer access=1s;", qr/allowed are 60 to 86400 seconds/ ],
    [ "$issuer refresh=2y;", qr/allowed are 3600 to/ ],
    [ "$issuer refresh=2d session=1d;", qr/shorter than refresh=/ ],
    [ "$issuer what=ever;", qr/allowed are key_file=/ ],
    [ "$issuer; $issuer;", qr/is duplicate/ ],
    [ $auth =~ s/^.*?;//r, qr/"wallet_auth" needs "token_issuer"/ ],
    [ $auth =~ s/wallet_auth/wallet_auth redis=other/r, qr/other/ ],
    [ $auth =~ s/wallet_auth/wallet_auth pg=other/r, qr/other/ ],
    [ $auth =~ s/wallet_auth/wallet_auth x=y/r,
      qr/allowed are redis= and pg=/ ],
    [ $auth =~ s/wallet_auth;/wallet_auth; wallet_auth;/r,
      qr/is duplicate/ ],
    [ "$auth wallet_domain http://chat.example;", qr/is not encrypted/ ],
    [ "$auth wallet_domain https://a.example/path;", qr/invalid domain/ ],
    [ "$auth wallet_domain u\@a.example;", qr/invalid domain/ ],
    [ "$auth wallet_statement 'no \"quotes\"';", qr/invalid statement/ ],
    [ "$auth wallet_statement 'caf\xc3\xa9';", qr/invalid statement/ ],
    [ "$auth wallet_chain_ids x;", qr/positive decimal numbers/ ],
    [ "$auth wallet_chain_ids 0;", qr/positive decimal numbers/ ],
    [ 'server { listen 127.0.0.1:%%PORT%%; location / { wallet_jwks; } }',
      qr/"wallet_jwks" needs "token_issuer"/ ],
) {
    my ($ok, $out) = check($case->[0]);
    ok(!$ok && $out =~ $case->[1] && $out =~ /check\.conf:\d+/,
       "refused with the line: $case->[0]") or diag $out;
}

$t->finish;
done_testing;
