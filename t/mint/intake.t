#!/usr/bin/perl

# POST, GET and the rest of mint_relay: what is accepted once, what is refused
# and why, and that a refusal stores nothing.  No chain answers here.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use Math::BigInt;
use Test::More;

use Sallyport::Mint;
use Sallyport::Test;


my $t = Sallyport::Test->new;
my $m = Sallyport::Mint->new($t);

$t->pg;
$m->add_user;
$m->add_user('00000000-0000-4000-8000-0000000000bb');

my $jwks = $m->keys_file;
my $key = $t->file('relay.key', '22' x 32, 0600);

$t->conf(<<"EOF");
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    pg_server main "%%PG%%" timeout=2s;
    auth_jwt_key_file $jwks;

    chain local {
        chain_id 31337;
        rpc      http://127.0.0.1:1;
    }

    mint local {
        chain    local;
        contract 0x5FbDB2315678afecb367f032d93F642f64180aa3;
        signer   key_file=$key;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORTH2%% http2;

        location /api/v1/mints {
            auth_jwt   "test" optional;
            mint_relay local;
        }

        location /api/v2/mints/ {
            rewrite    ^ /short break;
            auth_jwt   "test" optional;
            mint_relay local;
        }
    }
}
EOF

$t->run;

# signed by t/chain/authorize.mjs
my @signed = @{ JSON::PP->new->utf8->decode(
    Sallyport::Test::slurp("$FindBin::Bin/../chain/authorizations.json")) };

my $path = '/api/v1/mints';
my $expected = 0;               # mints that are stored


sub post {
    my ($body, $headers, $claims, $opt) = @_;

    return $t->request('POST', $path,
                       { %{ $m->bearer(%{ $claims || {} }) },
                         %{ $headers || {} } }, $body, $opt);
}


sub refused {
    my ($name, $status, $code, $res) = @_;

    is("$res->{status} " . ($res->{json}{error}{code} || ''),
       "$status $code", $name) or diag($res->{body});
    is($t->sql('select count(*) from mint.job'), $expected,
       "$name: nothing is stored");
    return $res;
}


# -- refused

my %auth = %{ $signed[0] };

my @bad = (
    [ 'another chain', 422, 'mint_wrong_chain', chain_id => 1 ],
    [ 'a chain as text', 422, 'invalid_field', chain_id => '31337' ],
    [ 'another contract', 422, 'mint_wrong_contract',
      contract => '0x' . '1' x 40 ],
    [ 'a contract with a wrong checksum', 422, 'invalid_field',
      contract => '0x5fbDB2315678afecb367f032d93F642f64180aa3' ],
    [ 'a mint to somebody else', 403, 'mint_wrong_wallet',
      to => '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed' ],
    [ 'no address', 422, 'invalid_field', to => 'vitalik.eth' ],
    [ 'another uri', 422, 'mint_bad_signature', uri => 'ipfs://other' ],
    [ 'a javascript: uri', 422, 'invalid_field',
      uri => 'javascript:alert(1)' ],
    [ 'a uri with a line end', 422, 'invalid_field',
      uri => "ipfs://a\nb" ],
    [ 'a uri with a DEL', 422, 'invalid_field', uri => "ipfs://a\x7fb" ],
    [ 'a long uri', 422, 'invalid_field', uri => 'ipfs://' . 'a' x 2042 ],
    [ 'another deadline', 422, 'mint_bad_signature',
      deadline => 4102444801 ],
    [ 'a deadline of yesterday', 422, 'mint_expired',
      deadline => time - 86400 ],
    [ 'a negative deadline', 422, 'invalid_field', deadline => -1 ],
    [ 'a deadline that JSON numbers cannot hold', 422, 'invalid_field',
      deadline => 9007199254740992 ],
    [ 'a fraction of a deadline', 422, 'invalid_field',
      deadline => 4102444800.5 ],
    [ 'another salt', 422, 'mint_bad_signature', salt => '0x' . '0' x 64 ],
    [ 'half a salt', 422, 'invalid_field', salt => '0x' . '0' x 32 ],
    [ 'the signature of another mint', 422, 'mint_bad_signature',
      signature => $signed[1]{signature} ],
    [ 'a signature of zeros', 422, 'mint_bad_signature',
      signature => '0x' . '0' x 130 ],
    [ 'a signature of 66 bytes', 422, 'mint_bad_signature',
      signature => "$auth{signature}00" ],
    [ 'no signature', 422, 'mint_bad_signature', signature => undef ],
    [ 'an unknown field', 422, 'unknown_field', gas => 1 ],
);

refused($_->[0], @$_[1, 2], post({ %auth, @$_[3, 4] })) for @bad;

for my $field (qw(chain_id contract to uri deadline salt)) {
    my %less = %auth;

    delete $less{$field};
    refused("no $field", 422, 'invalid_field', post(\%less));
}

# the other signature that the curve has for the same message: n - s, and the
# other parity
{
    my $s = Math::BigInt->from_hex(substr $auth{signature}, 66, 64);
    my $n = Math::BigInt->from_hex('fffffffffffffffffffffffffffffffe'
                                   . 'baaedce6af48a03bbfd25e8cd0364141');
    my $high = substr $n->bsub($s)->as_hex, 2;
    my $v = substr($auth{signature}, 130) eq '1b' ? '1c' : '1b';

    refused('a high s', 422, 'mint_bad_signature', post({ %auth,
        signature => substr($auth{signature}, 0, 66)
                     . ('0' x (64 - length $high)) . $high . $v }));
}

refused('a session without a wallet', 403, 'mint_wallet_required',
        post(\%auth, {}, { wallet => undef }));
refused('the session of another wallet', 403, 'mint_wrong_wallet',
        post(\%auth, {}, { wallet =>
             '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed' }));
{
    my $zero = '0x' . '0' x 40;

    refused('a session with a wallet that is none', 403, 'mint_wrong_wallet',
            post({ %auth, to => $zero }, {}, { wallet => 'x' }));

    # about every other r is the x of no point, so that nobody has signed: not
    # even the address of all zeros
    refused("nobody's signature, r is $_", 422, 'mint_bad_signature',
            post({ %auth, to => $zero, signature => '0x' . '0' x 63 . $_
                                                    . '0' x 63 . '11b' },
                 {}, { wallet => $zero })) for 1 .. 9;
}

refused('a user that is not here', 403, 'mint_unknown_user',
        post(\%auth, {}, { sub => '00000000-0000-4000-8000-0000000000cc' }));
refused('nobody', 401, 'authentication_required',
        $t->request('POST', $path, {}, \%auth));

for ([ 'two keys', "a\r\nIdempotency-Key: b" ], [ 'an empty key', '' ],
     [ 'a long key', 'k' x 256 ], [ 'a key with a space', 'a b' ])
{
    refused($_->[0], 400, 'idempotency_key_invalid',
            post(\%auth, { 'Idempotency-Key' => $_->[1] }));
}

is(post('[]', { 'Content-Type' => 'application/json' })->{json}{error}{code},
   'invalid_body', 'an array');
is(post('{', { 'Content-Type' => 'application/json' })->{status}, 400,
   'broken JSON');
is(post('a=1', { 'Content-Type' => 'text/plain' })->{status}, 415,
   'no JSON');
is(post('{"to":1,"to":2}', { 'Content-Type' => 'application/json' })
       ->{status}, 400, 'a key twice');
is($t->sql('select count(*) from mint.job'), 0, 'nothing is stored');


# -- accepted

my $res = post(\%auth, { 'Idempotency-Key' => 'one' });

is($res->{status}, 202, 'a mint is accepted') or diag($res->{body});
is($res->{json}{state}, 'ready', 'it is ready');
is($res->{json}{to}, $Sallyport::Mint::wallet, 'for the wallet');
is($res->{headers}{location}, "$path/$res->{json}{id}", 'with its place');

my $id = $res->{json}{id};

$expected = 1;

$res = post(\%auth, { 'Idempotency-Key' => 'one' });
is("$res->{status} $res->{json}{id}", "202 $id", 'the same again');

refused('another mint with the key', 409, 'idempotency_key_conflict',
        post($signed[1], { 'Idempotency-Key' => 'one' }));
$res = refused('the authorization with another key', 409,
               'mint_authorization_used',
               post(\%auth, { 'Idempotency-Key' => 'two' }));
is($res->{json}{error}{details}{id}, $id, 'details say which mint it was');
refused('the authorization without a key', 409, 'mint_authorization_used',
        post(\%auth));

# EIP-2098 is the same signature in 64 bytes
{
    my $short = substr $signed[2]{signature}, 0, 130;

    substr($short, 66, 1) =~ tr/0-7/89a-f/
        if substr($signed[2]{signature}, 130) eq '1c';

    $res = post({ %{ $signed[2] }, signature => $short });
    is($res->{status}, 202, 'a compact signature') or diag($res->{body});
    is($t->sql('select signature from mint.job where id = ?',
               $res->{json}{id}), $signed[2]{signature},
       'is stored as contracts take it');
}

$res = post($signed[3], {}, {}, { http2 => 1 });
is($res->{status}, 202, 'over HTTP/2');

# the same request five times, side by side
{
    my @streams = map {
        $t->stream('POST', $path,
                   { %{ $m->bearer }, 'Content-Type' => 'application/json',
                     'Idempotency-Key' => 'race' },
                   JSON::PP::encode_json($signed[4]))
    } 1 .. 5;
    my %ids = map { ($_->reply->{json}{id} || 'none') => 1 } @streams;

    is(scalar keys %ids, 1, 'five at once are one mint');
    ok(!$ids{none}, 'and have one answer');
}


# -- read

$res = $t->get($path, $m->bearer);
is($res->{status}, 200, 'the list');
is(scalar @{ $res->{json}{data} }, 4, 'has four');
is($res->{json}{page}{next}, undef, 'on one page');

$res = $t->get("$path?limit=3", $m->bearer);
is(scalar @{ $res->{json}{data} }, 3, 'three of four');
$res = $t->get("$path?limit=3&cursor=$res->{json}{page}{next}", $m->bearer);
is($res->{json}{data}[0]{id}, $id, 'the oldest is on the last page');

is($t->get("$path?limit=0", $m->bearer)->{json}{error}{code},
   'invalid_limit', 'a limit of 0');
is($t->get("$path?cursor=x%22y", $m->bearer)->{json}{error}{code},
   'invalid_cursor', 'a broken cursor');
is($t->get("$path?cursor=" . 'a' x 600, $m->bearer)->{status}, 400,
   'a long cursor');

is($t->get("$path/$id", $m->bearer)->{json}{id}, $id, 'one mint');

my %other = (sub => '00000000-0000-4000-8000-0000000000bb');

is($t->get("$path/$id", $m->bearer(%other))->{json}{error}{code},
   'mint_not_found', "another's mint");
is(scalar @{ $t->get($path, $m->bearer(%other))->{json}{data} }, 0,
   "another's list");
is($t->get("$path/$id", {})->{status}, 401, 'nobody');
is($t->get("$path/nonsense", $m->bearer)->{status}, 404, 'no such endpoint');
is($t->get("${path}x", $m->bearer)->{status}, 404, 'beside the location');
is($t->get('/api/v2/mints/', $m->bearer)->{status}, 404,
   'a uri that was rewritten out of its location');

$res = $t->request('DELETE', "$path/$id", $m->bearer);
is("$res->{status} $res->{headers}{allow}", '405 GET, HEAD, POST',
   'no DELETE');
$res = $t->request('PUT', $path, $m->bearer);
is("$res->{status} $res->{headers}{allow}", '405 GET, HEAD, POST', 'no PUT');

$res = $t->get("$path/domain");
is_deeply($res->{json}{domain}, { name => 'Sallyport Characters',
    version => '1', chainId => 31337,
    verifyingContract => '0x5FbDB2315678afecb367f032d93F642f64180aa3' },
    'the domain');
is($res->{json}{primaryType}, 'MintAuthorization', 'the primary type');


# -- without the database

$t->stop_server('pg');

$res = post($signed[5], { 'Idempotency-Key' => 'away' });
is("$res->{status} $res->{json}{error}{code}", '503 database_unavailable',
   'the database is away');
ok($res->{headers}{'retry-after'}, 'with Retry-After');

$t->start_server('pg');

ok($t->wait_until(sub {
    post($signed[5], { 'Idempotency-Key' => 'away' })->{status} == 202
}, 15), 'and back: accepted');

$t->finish;
done_testing;
