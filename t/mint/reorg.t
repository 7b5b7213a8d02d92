#!/usr/bin/perl

# A block with a mint in it leaves the chain before it is deep enough: the
# same bytes are sent again, one token comes of it, and the API says what the
# chain that stays says.

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

$t->conf($t->http_conf($m->conf(3) . <<'EOF'));
    server {
        listen 127.0.0.1:%%PORT%%;
        location /api/v1/mints { auth_jwt "test"; mint_relay local; }
        location = /metrics { metrics; }
    }
EOF

$t->run;

# blocks come when this test says so
$m->rpc('evm_setAutomine', JSON::PP::false);

my $path = '/api/v1/mints';

sub mint {
    my (%arg) = @_;

    my ($body) = $m->authorize(1, %arg);
    my $res = $t->request('POST', $path, $m->bearer, $body);

    is($res->{status}, 202, "accepted: $arg{tag}") or diag($res->{body});
    return $res->{json}{id};
}

sub api { return $t->get("$path/$_[0]", $m->bearer)->{json} }

sub becomes {
    my ($id, $state, $name) = @_;
    my $mint;

    $t->wait_until(sub { ($mint = api($id))->{state} eq $state }, 15);
    is($mint->{state}, $state, $name) or diag(explain($mint));
    return $mint;
}

# how often the bytes of a mint went out
sub sends {
    return scalar $t->sql('select a.sends from mint.attempt as a
        join mint.job as j using (tx_hash) where j.id = ?', $_[0]);
}

sub reorgs {
    my ($n) = $t->get('/metrics')->{body}
              =~ /^sallyport_mint_reorgs_total\{mint="local"\} (\d+)$/m;
    return $n;
}

# waits for the bytes to be out again, and buries them
sub again {
    my ($name, @sent) = @_;

    ok($t->wait_until(sub { !grep { sends($_->[0]) <= $_->[1] } @sent }, 10),
       "$name: the same bytes are sent again");
    $m->rpc('anvil_mine', '0x3');
    return;
}

# one Transfer for each of these mints, and what the API says of them
sub settled {
    my ($name, @ids) = @_;

    my @mints = map { becomes($_, 'confirmed', "$name: confirmed") } @ids;
    my %count;

    $count{ $_->[2] }{ $_->[1] }++ for $m->transfers;

    for my $mint (@mints) {
        is_deeply($count{ $mint->{tx_hash} },
                  { ($mint->{token_id} // 'none') => 1 },
                  "$name: one Transfer, of the token that the API names");
        is($mint->{block_number}, hex($m->rpc('eth_getTransactionReceipt',
                                       $mint->{tx_hash})->{blockNumber}),
           "$name: and of the block");
        is($t->sql('select count(*) from mint.attempt as a
                     join mint.slot as s using (lane, nonce)
                    where s.job_id = ?', $mint->{id}), 1,
           "$name: of one nonce and one transaction");
    }

    return;
}


# -- its block is replaced by an empty one

my $id = mint(tag => 'replaced');
becomes($id, 'sent', 'sent');
$m->rpc('anvil_mine', '0x1');

my $mint = becomes($id, 'mined', 'mined');
ok(!$mint->{final}, 'which is not final');
is($mint->{token_id}, 1, 'a token so far');

my $hash = $mint->{tx_hash};
my $sent = sends($id);

$m->rpc('anvil_reorg', 1, []);

$mint = becomes($id, 'sent', 'replaced: back to sent');
is_deeply([ @$mint{qw(final block_number token_id tx_hash)} ],
          [ JSON::PP::false, undef, undef, $hash ],
          'replaced: no block, no token, the same transaction');
is(scalar(() = $m->transfers), 0, 'replaced: the chain has none');
is(reorgs(), 1, 'replaced: counted');
ok($t->wait_log(qr/"$id" left the chain "local" in a reorganization/, 2),
   'replaced: in the log');

again('replaced', [ $id, $sent ]);
settled('replaced', $id);
is(api($id)->{tx_hash}, $hash, 'replaced: by the same transaction');
is(join(' ', map { $_->[0] } $t->sql('select state from mint.event
        where job_id = ? order by seq', $id)),
   'ready assigned signed sent mined sent mined confirmed',
   'replaced: the way it went');


# -- a node that says once that there is no receipt: one answer is no verdict

my $before = reorgs();

$id = mint(tag => 'missed');
becomes($id, 'sent', 'sent');
$m->rpc('anvil_mine', '0x1');
becomes($id, 'mined', 'mined');
$m->fault(method => 'eth_getTransactionReceipt', when => 'before',
          answer => 'null');
ok($t->wait_until(sub { !$m->faults }, 10), 'missed: a null instead of it');
$m->rpc('anvil_mine', '0x3');
settled('missed', $id);
is(reorgs(), $before, 'missed: not taken for a reorganization');
is(sends($id), 1, 'missed: not sent again');


# -- several of one lane, and the chain is shorter for a while

my $snapshot = $m->rpc('evm_snapshot');
my @ids = map { mint(tag => "shorter-$_") } 1 .. 3;

becomes($_, 'sent', 'sent') for @ids;
$m->rpc('anvil_mine', '0x1');
becomes($_, 'mined', 'mined') for @ids;

my @sent = map { [ $_, sends($_) ] } @ids;

ok($m->rpc('evm_revert', $snapshot), 'the chain is as it was before');

# a node that is behind gives no verdict: not in the next three looks
my $looks = $t->sql('select max(next_look) from mint.job');

for (1 .. 3) {
    ok($t->wait_until(sub {
        my ($row) = $t->sql('select min(next_look), min(next_look) > ?
                               from mint.job where id = any (?)',
                            $looks, \@ids);
        $looks = $row->[0] if $row->[1];
        return $row->[1];
    }, 5), 'shorter: it is looked at');
}

is(api($_)->{state}, 'mined', 'shorter: not while the node is behind')
    for @ids;

$m->rpc('anvil_mine', '0x1');
again('shorter', @sent);
settled('shorter', @ids);


# -- moved to a later block, by somebody who had heard of it

$id = mint(tag => 'moved');
becomes($id, 'sent', 'sent');
$m->rpc('anvil_mine', '0x2');

my $block = becomes($id, 'mined', 'mined')->{block_number};
my $raw = $t->sql("select '0x' || encode(a.raw, 'hex') from mint.attempt as a
                     join mint.job as j using (tx_hash) where j.id = ?", $id);

$sent = sends($id);
$m->rpc('anvil_reorg', 2, [ [ $raw, 1 ] ]);
ok($t->wait_until(sub { (api($id)->{block_number} // 0) == $block + 1 }, 10),
   'moved: the API says where it is now') or diag(explain(api($id)));
$m->rpc('anvil_mine', '0x3');
settled('moved', $id);
is(sends($id), $sent, 'moved: nothing was sent for it');


# -- on the chain that stays the first one comes too late

my ($late, $next) = map { mint(tag => $_->[0], deadline => $_->[1]) }
                    [ 'late', time + 300 ], [ 'next', 4102444800 ];

becomes($_, 'sent', 'sent') for $late, $next;
$m->rpc('anvil_mine', '0x1');

my $first = becomes($late, 'mined', 'mined')->{token_id};
is(becomes($next, 'mined', 'mined')->{token_id}, $first + 1,
   'late: a token each');

@sent = map { [ $_, sends($_) ] } $late, $next;
$m->rpc('anvil_reorg', 1, []);
$m->rpc('evm_increaseTime', 1000);
again('late', @sent);

$mint = becomes($late, 'reverted', 'late: reverted on the chain that stays');
is($mint->{token_id}, undef, 'late: without the token it had had');
settled('late', $next);
is(api($next)->{token_id}, $first, 'late: which is the other one\'s');


# -- what is true in the end

is_deeply([ $m->broken ], [], 'every nonce has its slot, every hash its row');
is(scalar(() = $m->transfers),
   $t->sql("select count(*) from mint.job where state = 'confirmed'"),
   'a token for each mint that is confirmed');
is(hex $m->rpc('eth_getTransactionCount', $chain->{relayer}, 'latest'),
   $t->sql('select next_nonce from mint.lane'), 'no nonce is left over');

$t->finish;
done_testing;
