#!/usr/bin/perl

# mint, mint_relay: what "nginx -t" takes and refuses, and says.

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
    chain    => 'fuji',
    contract => '0x5FbDB2315678afecb367f032d93F642f64180aa3',
    signer   => "key_file=$key",
);


sub block {
    my ($name, %with) = @_;
    return $t->conf_block("mint $name", %base, %with);
}


sub conf {
    my ($blocks, $location) = @_;

    $location = 'location /m { mint_relay characters; }'
        unless defined $location;

    return $t->http_conf(<<"END");
pg_server main "host=%%DIR%% dbname=sallyport user=sallyport";
chain fuji { chain_id 43113; rpc http://127.0.0.1:1; }
chain other { chain_id 1; rpc http://127.0.0.1:1; }
chain again { chain_id 43113; rpc http://127.0.0.1:2; }
$blocks
server { listen 127.0.0.1:%%PORT%%; $location }
END
}


sub accepted { return $t->accepts(conf(@_[1 .. $#_]), $_[0]) }
sub refused { return $t->refuses(conf(@_[2 .. $#_]), @_[1, 0]) }


accepted('the least', block('characters'));
accepted('everything', block('characters', in_flight => 4, poll => '250ms', resend => '30s',
    max_gas => 300000, max_fee => '50gwei', min_tip => '25gwei', pg => 'main',
    domain => '"Another name" 2'));
accepted('a keystore', block('characters',
    signer => "keystore=$keystore password_file=$password"));
accepted('a contract in lower case', block('characters', contract => lc
                                           $base{contract}));
accepted('two chains', block('characters') . block('other', chain => 'other'));
accepted('two signers', block('characters')
         . block('other', signer => "key_file=$other"));

refused("no $_", qr/mint "characters" needs "$_"/, block('characters', $_ => undef))
    for qw(chain contract signer);

my @bad = (
    [ 'an unknown chain', chain => 'goerli', qr/no "chain goerli/ ],
    [ 'a wrong checksum', contract =>
      '0x5fbDB2315678afecb367f032d93F642f64180aa3', qr/EIP-55/ ],
    [ 'half a contract', contract => '0x5FbDB231', qr/"contract" .* 40/ ],
    [ 'nothing in flight', in_flight => '0', qr/1 to 1000/ ],
    [ 'a poll of 1ms', poll => '1ms', qr/10ms to 1h/ ],
    [ 'a fee in eth', max_fee => '1eth', qr/"max_fee" .*gwei/ ],
    [ 'a fee that overflows', max_fee => '99999999999gwei', qr/"max_fee"/ ],
    [ 'gas below a transfer', max_gas => '20999', qr/21000/ ],
    [ 'an unknown line', gas_price => '1',
      qr/unknown parameter "gas_price" in mint, expected chain, .* or min_tip/ ],
    [ 'too many arguments', chain => '1 2', qr/number of arguments/ ],
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

refused($_->[0], $_->[3], block('characters', $_->[1] => $_->[2])) for @bad;

for ([ 'chain', 'chain other' ], [ 'contract', "contract $base{contract}" ],
     [ 'signer', "signer key_file=$key" ])
{
    refused("two $_->[0]", qr/"$_->[0]" of mint is duplicate/,
            block('characters', $_->[0] => "$base{$_->[0]}; $_->[1]"));
}

refused('one name twice', qr/mint "characters" is duplicate/,
        block('characters') . block('characters', chain => 'other'));
refused('one lane twice', qr/its own/, block('characters') . block('other'));
refused('one lane by two names of a chain', qr/its own/, block('characters')
        . block('other', chain => 'again'));
refused('a name with quotes', qr/characters of a-z/, block(q('a"b')));
refused('a name of nothing', qr/name of 1 to 64/, block('""'));
refused('a long name', qr/name of 1 to 64/, block('a' x 65));
refused('an unknown mint', qr/no "mint goerli \.\.\." above/, block('characters'),
        'location /m { mint_relay goerli; }');
refused('a relay in a regex location', qr/location with a path/,
        block('characters'), 'location ~ /m { mint_relay characters; }');
refused('two relays', qr/duplicate/, block('characters'),
        'location /m { mint_relay characters; mint_relay characters; }');

my ($ok, $out) = $t->check_conf(conf(
    block('characters', signer => "key_file=$short")));

unlike($out, qr/1111/, 'no key is printed');

done_testing;
