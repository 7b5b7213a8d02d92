#!/usr/bin/perl

# chain: what "nginx -t" takes and refuses, and says.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Test;
use Test::More;


my $t = Sallyport::Test->new;

my %base = (chain_id => '43113', rpc => 'http://127.0.0.1:1');


sub block {
    my ($name, %with) = @_;
    return $t->conf_block("chain $name", %base, %with);
}


sub conf {
    my ($blocks, $location) = @_;
    return $t->http_conf($blocks . 'server { listen 127.0.0.1:%%PORT%%; '
                         . ($location || '') . " }\n");
}


sub accepted { return $t->accepts(conf(@_[1 .. $#_]), $_[0]) }
sub refused { return $t->refuses(conf(@_[2 .. $#_]), @_[1, 0]) }


accepted('the least', block('fuji'));
accepted('everything', block('fuji', confirmations => 12,
                             rpc_timeout => '2s'));
accepted('two endpoints', block('fuji', rpc => 'http://127.0.0.1:1; rpc '
                                . 'https://rpc.example/v1'));
accepted('two chains', block('fuji') . block('avalanche_c-2', chain_id => 1));
accepted('two names of one chain', block('fuji') . block('again'));
accepted('a plugin that names one', block('fuji'),
         'location / { chain_probe fuji eth_blockNumber []; }');

my $secret = accepted('an endpoint of a file', block('fuji', rpc => 'url_file='
    . $t->file('rpc', "https://rpc.example/v1/SECRET-0123\n", 0600)));

unlike($secret, qr/SECRET/, '.. which is not printed');

refused("no $_", qr/chain "fuji" needs "$_"/, block('fuji', $_ => undef))
    for qw(chain_id rpc);

my @bad = (
    [ 'id 0', chain_id => '0', qr/"chain_id" .* decimal/ ],
    [ 'a hexadecimal id', chain_id => '0x1', qr/"chain_id" .* decimal/ ],
    [ 'a huge id', chain_id => '9007199254740992', qr/"chain_id" .* 2\^53/ ],
    [ 'an ftp endpoint', rpc => 'ftp://x', qr/"rpc" .* http/ ],
    [ 'an endpoint without a host', rpc => 'http://', qr/"rpc" .* http/ ],
    [ 'an endpoint of a file that all may read', rpc => 'url_file=' . $t->file(
        'rpc-open', "https://rpc.example/v1\n", 0644), qr/0644.*0600/ ],
    [ 'an endpoint of no file', rpc => 'url_file=/nonexistent',
      qr/nonexistent/ ],
    [ 'an endpoint of a file of words', rpc => 'url_file=' . $t->file(
        'rpc-words', "SECRET-0123\n", 0600), qr/"rpc" .* http(?!.*SECRET)/s ],
    [ 'no confirmations', confirmations => '0', qr/1 to 1000/ ],
    [ 'a timeout of 1ms', rpc_timeout => '1ms', qr/10ms to 1h/ ],
    [ 'an unknown line', gas => '1',
      qr/unknown parameter "gas" in chain, expected chain_id, .* or conf/ ],
    [ 'too many arguments', chain_id => '1 2', qr/number of arguments/ ],
);

refused($_->[0], $_->[3], block('fuji', $_->[1] => $_->[2])) for @bad;

refused('two ids', qr/"chain_id" of chain is duplicate/,
        block('fuji', chain_id => '1; chain_id 2'));
refused('one name twice', qr/"chain" .* name of an earlier one/,
        block('fuji') . block('fuji', chain_id => 1));
refused('a name with quotes', qr/characters of a-z/, block(q('a"b')));
refused('a name of nothing', qr/name of 1 to 64/, block('""'));
refused('a long name', qr/name of 1 to 64/, block('a' x 65));
refused('an unknown chain', qr/there is no "chain goerli \.\.\." above/,
        block('fuji'), 'location / { chain_probe goerli eth_call []; }');

done_testing;
