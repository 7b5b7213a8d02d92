#!/usr/bin/perl

# mint_chain, mint_relay: what "nginx -t" takes and refuses, and says.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Sallyport::Test;


my $t = Sallyport::Test->new;

my $key = $t->file('relay.key', '11' x 32 . "\n", 0600);
my $open = $t->file('open.key', '11' x 32, 0644);
my $short = $t->file('short.key', '11' x 31, 0600);
my $zero = $t->file('zero.key', '00' x 32, 0600);
my $other = $t->file('other.key', '0x' . '22' x 32, 0600);
my $password = $t->file('password', "foo\n", 0600);
my $wrong = $t->file('wrong', "bar\n", 0600);

# go-ethereum's "31_byte_key"
my $keystore = $t->file('keystore.json', <<'END', 0600);
{"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":
"e0c41130a323adc1446fc82f724bca2f"},"ciphertext":
"9517cd5bdbe69076f9bf5057248c6c050141e970efa36ce53692d5d59a3984","kdf":
"scrypt","kdfparams":{"dklen":32,"n":2,"r":8,"p":1,"salt":
"711f816911c92d649fb4c84b047915679933555030b3552c1212609b38208c63"},"mac":
"d5e116151c6aa71470e67a7d42c9620c75c4d23229847dcc127794f0732b0db5"},
"version":3}
END

my %base = (
    id       => '43113',
    rpc      => 'http://127.0.0.1:1',
    contract => '0x5FbDB2315678afecb367f032d93F642f64180aa3',
    signer   => "key_file=$key",
);


sub block {
    my ($name, %with) = @_;

    my %line = (%base, %with);

    return "mint_chain $name {\n"
           . join('', map { "$_ $line{$_};\n" }
                      grep { defined $line{$_} } sort keys %line)
           . "}\n";
}


sub check {
    my ($blocks, $location) = @_;

    $location = 'location /m { mint_relay fuji; }'
        unless defined $location;

    return $t->check_conf(<<"END");
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    pg_server main "host=%%DIR%% dbname=sallyport user=sallyport";
    $blocks
    server {
        listen 127.0.0.1:%%PORT%%;
        $location
    }
}
END
}


sub accepted {
    my ($name, $blocks, $location) = @_;
    my ($ok, $out) = check($blocks, $location);
    ok($ok, "$name is accepted") or diag($out);
}


sub refused {
    my ($name, $pattern, $blocks, $location) = @_;
    my ($ok, $out) = check($blocks, $location);
    ok(!$ok && $out =~ $pattern && $out =~ /check\.conf:\d+/,
       "$name is refused") or diag($out);
}


accepted('the least', block('fuji'));
accepted('everything', block('fuji', confirmations => 12, in_flight => 4,
    poll => '250ms', resend => '30s', rpc_timeout => '2s',
    max_gas => 300000, max_fee => '50gwei', min_tip => '25gwei', pg => 'main',
    domain => '"Another name" 2'));
accepted('two endpoints', block('fuji', rpc => 'http://127.0.0.1:1; rpc '
                                . 'https://rpc.example/v1'));
accepted('an endpoint of a file', block('fuji', rpc => 'url_file=' . $t->file(
    'rpc', "https://rpc.example/v1/SECRET-0123\n", 0600)));
accepted('a keystore', block('fuji',
    signer => "keystore=$keystore password_file=$password"));
accepted('a contract in lower case', block('fuji', contract => lc
                                           $base{contract}));
accepted('two chains', block('fuji') . block('other', id => 1));
accepted('two signers', block('fuji')
         . block('other', signer => "key_file=$other"));

refused("no $_", qr/mint_chain "fuji" needs "$_"/, block('fuji', $_ => undef))
    for qw(id rpc contract signer);

my @bad = (
    [ 'id 0', id => '0', qr/"id" .* decimal/ ],
    [ 'a hexadecimal id', id => '0x1', qr/"id" .* decimal/ ],
    [ 'a huge id', id => '9007199254740992', qr/"id" .* 2\^53/ ],
    [ 'an ftp endpoint', rpc => 'ftp://x', qr/"rpc" .* http/ ],
    [ 'an endpoint of a file that all may read', rpc => 'url_file=' . $t->file(
        'rpc-open', "https://rpc.example/v1\n", 0644), qr/0644.*0600/ ],
    [ 'an endpoint of no file', rpc => 'url_file=/nonexistent',
      qr/nonexistent/ ],
    [ 'an endpoint of a file of words', rpc => 'url_file=' . $t->file(
        'rpc-words', "SECRET-0123\n", 0600), qr/"rpc" .* http(?!.*SECRET)/s ],
    [ 'a wrong checksum', contract =>
      '0x5fbDB2315678afecb367f032d93F642f64180aa3', qr/EIP-55/ ],
    [ 'half a contract', contract => '0x5FbDB231', qr/"contract" .* 40/ ],
    [ 'no confirmations', confirmations => '0', qr/1 to 1000/ ],
    [ 'a poll of 1ms', poll => '1ms', qr/10ms to 1h/ ],
    [ 'a fee in eth', max_fee => '1eth', qr/"max_fee" .*gwei/ ],
    [ 'a fee that overflows', max_fee => '99999999999gwei', qr/"max_fee"/ ],
    [ 'gas below a transfer', max_gas => '20999', qr/21000/ ],
    [ 'an unknown line', gas_price => '1',
      qr/unknown parameter "gas_price" in mint_chain, expected id, .* or min_tip/ ],
    [ 'too many arguments', id => '1 2', qr/number of arguments/ ],
    [ 'an unknown server', pg => 'nowhere', qr/nowhere/ ],
    [ 'a key that all may read', signer => "key_file=$open", qr/0644.*0600/ ],
    [ 'a short key', signer => "key_file=$short", qr/64 hexadecimal/ ],
    [ 'a key of zero', signer => "key_file=$zero", qr/secp256k1/ ],
    [ 'no key file', signer => 'key_file=/nonexistent', qr/nonexistent/ ],
    [ 'a directory', signer => 'key_file=/tmp', qr/for its owner only/ ],
    [ 'a keystore without password', signer => "keystore=$keystore",
      qr/password_file/ ],
    [ 'a wrong password', signer => "keystore=$keystore password_file=$wrong",
      qr/password does not open/ ],
    [ 'key and keystore', signer => "key_file=$key keystore=$keystore",
      qr/takes key_file=/ ],
    [ 'a key in the configuration', signer => '11' x 32, qr/key_file=/ ],
);

refused($_->[0], $_->[3], block('fuji', $_->[1] => $_->[2])) for @bad;

for ([ 'id', 'id 2' ], [ 'contract', "contract $base{contract}" ],
     [ 'signer', "signer key_file=$key" ])
{
    refused("two $_->[0]", qr/"$_->[0]" of mint_chain is duplicate/,
            block('fuji', $_->[0] => "$base{$_->[0]}; $_->[1]"));
}

refused('one name twice', qr/mint_chain "fuji" is duplicate/,
        block('fuji') . block('fuji', id => 1));
refused('one lane twice', qr/its own/, block('fuji') . block('other'));
refused('a name with quotes', qr/characters of a-z/, block(q('a"b')));
refused('a name of nothing', qr/name of 1 to 64/, block('""'));
refused('a long name', qr/name of 1 to 64/, block('a' x 65));
refused('an unknown chain', qr/no mint_chain "goerli"/, block('fuji'),
        'location /m { mint_relay goerli; }');
refused('a relay in a regex location', qr/location with a path/,
        block('fuji'), 'location ~ /m { mint_relay fuji; }');
refused('two relays', qr/duplicate/, block('fuji'),
        'location /m { mint_relay fuji; mint_relay fuji; }');

my ($ok, $out) = check(block('fuji', signer => "key_file=$short"));

unlike($out, qr/1111/, 'no key is printed');

done_testing;
