#!/usr/bin/perl

# auth_jwt_key_file: what is loaded, what is refused and how it is said

use strict;
use warnings;

use JSON::PP ();
use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::JWT;
use Sallyport::Test;


my $t = Sallyport::Test->new;

my $ed = Sallyport::JWT->new('EdDSA');
my $es = Sallyport::JWT->new('ES256', kid => 'es');
my $unnamed = Sallyport::JWT->new('EdDSA');
my $hmac = Sallyport::JWT->new('HS256', kid => 'hs');

$t->file('one.json', jwks($ed, { kty => 'RSA', use => 'enc', n => 'AQAB',
                                 e => 'AQAB' }));
$t->file('two.json', jwks($es));
$t->file('single.jwk', JSON::PP::encode_json($unnamed->private), 0600);
$t->file('hmac.json', jwks($hmac), 0640);

$t->conf(<<'EOF_CONF');
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    auth_jwt "r";
    auth_jwt_key_file %%DIR%%/one.json;

    server {
        listen 127.0.0.1:%%PORT%%;

        location /up { auth_jwt off; return 204; }

        location /one { proxy_pass http://127.0.0.1:%%PORT%%/up; }

        location /both {
            auth_jwt_key_file one.json;
            auth_jwt_key_file %%DIR%%/two.json;
            proxy_pass http://127.0.0.1:%%PORT%%/up;
        }

        location /single {
            auth_jwt_key_file %%DIR%%/single.jwk;
            proxy_pass http://127.0.0.1:%%PORT%%/up;
        }

        location /hmac {
            auth_jwt_key_file %%DIR%%/hmac.json;
            proxy_pass http://127.0.0.1:%%PORT%%/up;
        }
    }

    server {
        listen 127.0.0.1:%%PORT1%%;
        auth_jwt "r";

        location / { proxy_pass http://127.0.0.1:%%PORT%%/up; }
    }
}
EOF_CONF

$t->run;

sub status {
    my ($path, $key) = @_;
    my $token = $key->token({ exp => time + 60 });
    return $t->get($path, { Authorization => "Bearer $token" })->{status};
}

my @expected = (
    [ '/one', $ed => 204 ], [ '/one', $es => 401 ],
    [ '/both', $ed => 204 ], [ '/both', $es => 204 ],
    [ '/both', $unnamed => 401 ],
    [ '/single', $unnamed => 204 ], [ '/single', $ed => 401 ],
    [ '/hmac', $hmac => 204 ], [ '/hmac', $ed => 401 ],
);

# twice: a token that was good in one location is not good in another
for my $pass (1, 2) {
    for my $case (@expected) {
        my ($path, $key, $status) = @$case;
        is(status($path, $key), $status, "$path, $key->{alg}, pass $pass");
    }
}

my $one = $ed->token({ exp => time + 60 });
is($t->get($_->[0], { Authorization => "Bearer $one" })->{status}, $_->[1],
   "one token: $_->[0]")
    for ['/one', 204], ['/single', 401], ['/hmac', 401], ['/one', 204];

# the thumbprint is the name of a key without one
my $res = $t->get('/one', { Authorization => 'Bearer ' . $ed->token(
    { exp => time + 60 }, header => { kid => 'guess' }) });
is($res->{status}, 401, 'a kid that is not the thumbprint');


# -- what nginx -t refuses

my $weak = Sallyport::JWT->new('ES256')->public;
my %text = (
    'not JSON' => [ 'keys', qr/is not valid JSON/ ],
    'empty' => [ '', qr/is not valid JSON/ ],
    'an empty set' => [ '{"keys":[]}', qr/has no key/ ],
    'no set' => [ '{}', qr/no "keys"/ ],
    'only encryption keys' => [ jwks({ %$weak, use => 'enc' }),
                                qr/no key for signatures/ ],
    'a kid twice' => [ jwks({ %$weak, kid => 'a' },
                            { %{ $es->public }, kid => 'a' }),
                       qr/two keys have the same "kid"/ ],
    'a damaged key' => [ jwks($ed, { %$weak, y => $weak->{x} }),
                         qr/key 1: not a valid P-256 key/ ],
    'a short secret' => [ jwks({ kty => 'oct', k => b64('x' x 31) }),
                          qr/key 0: "k" is shorter than the hash/ ],
    'mixed, alg not named' => [
        jwks($hmac, { map { $_ => $weak->{$_} } qw(kty crv x y) }),
        qr/not every key names its "alg"/ ],
    'RSA of 1024 bits' => [
        jwks({ kty => 'RSA', n => b64("\xff" x 128), e => 'AQAB' }),
        qr/2048 to 16384 bits/ ],
);

sub refused {
    my ($name, $file, $pattern) = @_;

    my ($ok, $out) = $t->check_conf("%%LOAD%%\n%%GLOBALS%%\nevents { }\n"
        . "http { %%HTTP%%\nauth_jwt_key_file $file;\n}\n");

    ok(!$ok && $out =~ $pattern && $out =~ /check\.conf:\d+/,
       "refused with the line: $name") or diag $out;
    return;
}

for my $name (sort keys %text) {
    refused($name, $t->file('bad.json', $text{$name}[0], 0600),
            $text{$name}[1]);
}

refused('no such file', $t->dir . '/none.json', qr/No such file/);
refused('a variable', '$host.json', qr/has a variable/);
refused('too large', $t->file('bad.json', ' ' x 300_000),
        qr/at most 262144 are allowed/);

for my $mode (0604, 0620, 0644) {
    refused(sprintf('a private key of mode %04o', $mode),
            $t->file('bad.json', JSON::PP::encode_json($ed->private), $mode),
            qr/has mode 0\d+; allowed is 0600, or 0640/);
}

refused('a shared secret of mode 0644',
        $t->file('bad.json', jwks($hmac), 0644), qr/allowed is 0600/);

$t->finish;
done_testing;
