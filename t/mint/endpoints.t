#!/usr/bin/perl

# Endpoints of a mint's chain that are dead, or of another chain: mints go by
# the others, and no other chain gets a signature.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Sallyport::Mint;
use Sallyport::Node;
use Sallyport::Test;


my $t = Sallyport::Test->new;
my $m = Sallyport::Mint->new($t);

plan skip_all => $m->missing if $m->missing;

$t->pg;
$m->add_user;

my $chain = $m->chain;
my $node = Sallyport::Node->new($t->port(1), $t->dir);
my $key = $t->file('other.key', '22' x 32, 0600);

my @dead = ('http://127.0.0.1:' . $t->port(2), $node->url('seven'));

$t->conf($t->http_conf($m->conf(1, @dead) . <<"EOF"));
    chain seven { chain_id $chain->{chain_id}; rpc $dead[1]; }

    mint seven {
        chain    seven;
        contract $chain->{contract};
        signer   key_file=$key;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        location /api/v1/mints { auth_jwt "test"; mint_relay local; }
        location /seven { auth_jwt "test"; mint_relay seven; }
        location = /metrics { metrics; }
    }
EOF

$t->run;


sub mint {
    my ($path, $body) = @_;

    my $res = $t->request('POST', $path, $m->bearer, $body);

    is($res->{status}, 202, 'accepted') or diag($res->{body});
    return "$path/$res->{json}{id}";
}


# the methods that the node of chain 7 was asked for

sub asked {
    my %methods = map { (split)[1] => 1 } $node->calls;
    return join ' ', sort keys %methods;
}


my ($first, $second, $third) = $m->authorize(3);
my $mint;

for my $body ($first, $second) {
    my $path = mint('/api/v1/mints', $body);

    $t->wait_until(sub {
        $mint = $t->get($path, $m->bearer)->{json};
        return $mint->{final};
    }, 20);

    is($mint->{state}, 'confirmed', 'by the endpoint that answers')
        or diag(explain($mint));
}

is(asked(), 'eth_chainId', 'one of another chain was asked for its chain only');
ok($t->wait_log(qr/endpoint 2 of "local" has the chain id 7, configured is /),
   '.. and the log says it');
like($t->get('/metrics')->{body},
     qr/^sallyport_mint_rpc_errors_total\{mint="local"\} 2$/m,
     'each has failed once');


# -- no endpoint is of the chain

my $path = mint('/seven', $third);

ok($t->wait_log(qr/endpoint 1 of "seven" has the chain id 7/),
   'the only endpoint is of another chain');
ok($t->wait_until(sub {
    ($t->sql("select error from gateway.job where kind = 'mint' and lane = "
             . "(select lane from mint.job where state = 'ready')") || '')
        =~ /another chain/ }, 8), 'the lane waits');
is($t->get($path, $m->bearer)->{json}{state}, 'ready', 'nothing is signed');
is(asked(), 'eth_chainId', 'and nothing was sent');
is_deeply([ $m->broken ], [], 'every nonce has its slot, every hash its row');

$t->finish;
done_testing;
