#!/usr/bin/perl

# Mints on a real node: ethers signs, the gateway sends, the chain has the
# token; and each fault on the way costs time, never a second token.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use Test::More;

use Sallyport::Mint;
use Sallyport::Test;


my $t = Sallyport::Test->new;
my $m = Sallyport::Mint->new($t);

plan skip_all => $m->missing if $m->missing;

$t->pg;
$m->add_user;

my $chain = $m->chain;

$t->conf($t->http_conf($m->conf(1) . <<'EOF'));
    server {
        listen 127.0.0.1:%%PORT%%;
        location /api/v1/mints { auth_jwt "test"; mint_relay local; }
        location = /metrics { metrics; }
    }
EOF

$t->run;

my $path = '/api/v1/mints';


sub mint {
    my ($body) = @_;

    my $res = $t->request('POST', $path, $m->bearer, $body);

    is($res->{status}, 202, 'accepted') or diag($res->{body});
    return $res->{json}{id};
}


sub final {
    my ($id, $timeout) = @_;

    my $mint;

    $t->wait_until(sub {
        $mint = $t->get("$path/$id", $m->bearer)->{json};
        return $mint->{final};
    }, $timeout || 8);

    return $mint;
}


sub state_of {
    my ($id) = @_;
    return $t->sql('select state from mint.job where id = ?', $id) || '';
}


sub transaction_of {
    my ($token) = @_;
    my ($found) = grep { $_->[1] == $token } $m->transfers;
    return $found ? $found->[2] : '';
}


# -- the straight way

my ($first, @more) = $m->authorize(13);
my $mint = final(mint($first));

is($mint->{state}, 'confirmed', 'a mint is confirmed')
    or diag(explain($mint));
is($mint->{token_id}, 1, 'with the first token');
is(transaction_of(1), $mint->{tx_hash}, 'which the chain has');
is(($m->transfers)[0][0], lc $Sallyport::Mint::wallet, 'for the wallet');

my @mints = map { final($_, 40) } map { mint($_) } @more;

is(scalar(grep { $_->{state} eq 'confirmed' } @mints), 12,
   'twelve more are confirmed');
is(scalar(grep { transaction_of($_->{token_id}) eq $_->{tx_hash} } @mints),
   12, 'each with its own token');


# -- faults, each at one call

sub survives {
    my ($name, %fault) = @_;

    my ($body) = $m->authorize(1, tag => $name =~ tr/ /-/r);

    $m->fault(%fault);
    my $got = final(mint($body), 30);

    is($got->{state}, 'confirmed', "$name: confirmed")
        or diag(explain($got));
    is(scalar(grep { $_->{method} eq $fault{method} } $m->faults), 0,
       "$name: it happened");
}

for my $method (qw(eth_estimateGas eth_sendRawTransaction
                   eth_getTransactionReceipt eth_blockNumber))
{
    for my $when (qw(before after)) {
        for my $answer (qw(drop html)) {
            survives("$method $when $answer", method => $method,
                     when => $when, answer => $answer);
        }
    }
}

survives("$_ error", method => $_, when => 'before', answer => 'error')
    for qw(eth_sendRawTransaction eth_getTransactionReceipt);
survives('no receipt though there is one', when => 'before',
         method => 'eth_getTransactionReceipt', answer => 'null');


# -- a block leaves the chain: the same bytes again

$m->rpc('evm_setAutomine', JSON::PP::false);

my $id = mint(($m->authorize(1, tag => 'reorg'))[0]);

ok($t->wait_until(sub { state_of($id) eq 'sent' }, 10),
   'sent, and not mined');

my $before = $t->sql('select tx_hash from mint.job where id = ?', $id);

# a node that forgets the transaction
$m->rpc('anvil_dropAllTransactions');
ok($t->wait_until(sub {
    $t->sql('select max(sends) from mint.attempt where tx_hash = ?',
            $before) >= 2
}, 10), 'the bytes are sent again');

$m->rpc('evm_mine');
$mint = final($id);
is("$mint->{state} $mint->{tx_hash}", "confirmed $before",
   'confirmed, and the transaction is the same');
$m->rpc('evm_setAutomine', JSON::PP::true);


# -- refused by the chain: no nonce is spent

my $nonce = $t->sql('select next_nonce from mint.lane');

# the chain's clock is ahead of ours
$m->rpc('evm_increaseTime', 1000);
$m->rpc('evm_mine');

$mint = final(mint(($m->authorize(1, tag => 'late',
                                  deadline => time + 500))[0]));
is($mint->{state}, 'failed', 'expired on the chain');
like($mint->{reason}, qr/custom error 0x/, 'with the reason');
is($t->sql('select next_nonce from mint.lane'), $nonce, 'and no nonce');


# -- the nonce is taken by another transaction of the signer

$m->rpc('evm_setAutomine', JSON::PP::false);
$id = mint(($m->authorize(1, tag => 'stolen'))[0]);
ok($t->wait_until(sub { state_of($id) eq 'sent' }, 10), 'sent');
$m->rpc('anvil_dropAllTransactions');
$m->rpc('anvil_setNonce', $chain->{relayer},
        sprintf '0x%x', 1 + $t->sql('select nonce from mint.job '
                                    . 'where id = ?', $id));
# so that it is final
$m->rpc('anvil_mine', '0x80');
$mint = final($id, 30);
is($mint->{state}, 'failed', 'fails, and is not sent with another nonce');
like($mint->{reason}, qr/nonce \d+ was used/, 'with the reason');
$m->rpc('evm_setAutomine', JSON::PP::true);


# -- no chain for a while

$m->fault(method => $_, when => 'before', answer => 'drop')
    for qw(eth_chainId eth_estimateGas);
is(final(mint(($m->authorize(1, tag => 'down'))[0]), 30)->{state},
   'confirmed', 'the chain comes back');


# -- what is true in the end

is_deeply([ $m->broken ], [], 'every nonce has its slot, every hash its row');

my $confirmed = $t->sql("select count(*) from mint.job "
                        . "where state = 'confirmed'");

is(scalar(my @tokens = $m->transfers), $confirmed,
   "one token for each of $confirmed mints");
is(hex $m->rpc('eth_getTransactionCount', $chain->{relayer}, 'latest'),
   $t->sql('select next_nonce from mint.lane'), 'no nonce is left over');

like($t->get('/metrics')->{body},
     qr/^sallyport_mint_confirmed_total\{mint="local"\} $confirmed$/m,
     'counted');

$t->finish;
done_testing;
