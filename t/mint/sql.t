#!/usr/bin/perl

# The functions of the schema "mint": one authorization is one job, a job has
# one nonce, and who lost the lane writes nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Sallyport::Test;


my $t = Sallyport::Test->new;

$t->pg;

my $lane = '31337:0x' . 'a' x 40;
my $user = '00000000-0000-4000-8000-0000000000aa';
my $other = '00000000-0000-4000-8000-0000000000bb';

$t->sql('insert into auth.users (id) values (?), (?)', $user, $other);


sub as_gateway {
    my ($text, @values) = @_;

    my $dbh = $t->dbh;

    $dbh->begin_work;
    my $rows = eval {
        $dbh->do('set local role sallyport_gateway');
        my $sth = $dbh->prepare($text);
        $sth->execute(@values);
        $sth->fetchall_arrayref({});
    };
    my $error = $@;
    my $state = $dbh->state;

    if (defined $rows) {
        $dbh->commit;
        return $rows;
    }

    $dbh->rollback;
    return $state || $error;
}


sub accept_mint {
    my ($digit, $key, $sha, $who) = @_;

    my $rows = as_gateway('select * from mint.accept(?, ?, ?, ?, ?, ?, ?, ?, '
                          . '?, ?, ?, ?, ?, ?)',
        $who || $user, $lane, 'local', 31337, '0x' . 'a' x 40,
        '0x' . 'b' x 40, '0x' . 'c' x 40, 'ipfs://x', 4102444800,
        '0x' . '1' x 64, '0x' . '2' x 130, '0x' . $digit x 64, $key,
        $sha x 64);

    return ref $rows ? @{ $rows->[0] }{qw(outcome job)} : $rows;
}


sub call {
    my ($function, @values) = @_;

    my $rows = as_gateway("select * from mint.$function("
                          . join(', ', ('?') x @values) . ')', @values);

    return ref $rows ? $rows->[0] : $rows;
}


# -- intake

my ($outcome, $job) = accept_mint('1', 'k1', 'a');

is($outcome, 'created', 'an authorization is accepted');
like($job, qr/"state": "ready"/, 'and ready');
my ($first) = $job =~ /"id": "([^"]+)"/;

($outcome, $job) = accept_mint('1', 'k1', 'a');
is($outcome, 'same', 'the same request is the same job');
like($job, qr/$first/, 'of the same id');

is((accept_mint('1', 'k1', 'b'))[0], 'key_conflict',
   'the key with another request');
is((accept_mint('1', undef, 'a'))[0], 'used', 'the authorization again');

($outcome, $job) = accept_mint('1', 'k1', 'a', $other);
is($outcome, 'used', 'the authorization by somebody else');
is($job, undef, 'who is not told whose it is');

is((accept_mint('2', 'k1', 'c', $other))[0], 'created',
   'the key of another user is another key');
is((accept_mint('3', undef, 'd'))[0], 'created', 'no key');

is($t->sql('select count(*) from mint.job'), 3, 'three jobs are stored');
is($t->sql("select count(*) from gateway.job where kind = 'mint' "
           . "and lane = ? and state = 'ready'", $lane), 1,
   'one runner is asked for');


# -- the lane

my $runner = $t->sql("update gateway.job set state = 'running', epoch = 7 "
                     . "where kind = 'mint' returning id");
my @fence = ($lane, $runner, 7);

is(call('lane_next', $lane, $runner, 6, 16), 'SP001', 'an old epoch');
is(call('lane_next', "$lane-", $runner, 7, 16), 'SP001', 'another lane');

is(call('lane_next', @fence, 16)->{work}, 'init', 'no nonce is known yet');
call('lane_init', @fence, 5);
call('lane_init', @fence, 3);
is($t->sql('select next_nonce from mint.lane'), 5,
   'the first nonce is set once');

my $next = call('lane_next', @fence, 16);

is($next->{work}, 'ready', 'the oldest is next');
is($next->{id}, $first, 'which is the first');

is(call('assign', $lane, $runner, 6, $first, 100000), 'SP001',
   'a nonce for who lost the lane');
is($t->sql('select next_nonce from mint.lane'), 5, 'is not taken');

is(call('assign', @fence, $first, 100000)->{assign}, 5, 'a nonce');
is(call('assign', @fence, $first, 100000), 'SP002', 'a second one');
is($t->sql('select next_nonce from mint.lane'), 6, 'is not taken either');

is(call('lane_next', @fence, 16)->{work}, 'assigned',
   'what has a nonce is next');

my $hash = '0x' . 'f' x 64;

is(call('sent', @fence, $first, 'signed', 't', 0), 'SP002',
   'sent before it is signed');
call('sign', @fence, $first, $hash, '\x02f8', 1, 2);
is(call('sign', @fence, $first, '0x' . 'e' x 64, '\x02f9', 1, 2), 'SP002',
   'other bytes for the nonce');
is($t->sql('select count(*) from mint.attempt'), 1, 'one attempt');

$next = call('lane_next', @fence, 16);
is("$next->{work} $next->{tx_hash}", "signed $hash", 'its bytes are next');

call('sent', @fence, $first, 'signed', 'f', 0);
is($t->sql('select acknowledged from mint.attempt'), 0, 'nobody said yes');
call('sent', @fence, $first, 'sent', 't', 60000);
call('sent', @fence, $first, 'sent', 'f', 60000);
is($t->sql('select acknowledged from mint.attempt'), 1,
   'who said yes once has it');
is($t->sql('select sends from mint.attempt'), 3, 'three sends');

is(call('lane_next', @fence, 1)->{work}, 'wait',
   'one in flight and no more');
is(call('lane_next', @fence, 2)->{work}, 'ready', 'two in flight');


# -- to the end

my $block = '{"block_number":9,"block_hash":"0x99","succeeded":true,'
            . '"token_id":"7"}';

is(call('move', @fence, $first, 'sent', 'confirmed', '{}', 0), 'P0001',
   'no short cut to confirmed');
call('move', @fence, $first, 'sent', 'mined', $block, 0);
is(call('lane_next', @fence, 2)->{work}, 'mined', 'mined is looked after');
call('move', @fence, $first, 'mined', 'sent', '{"block_number":null,'
     . '"block_hash":null,"succeeded":null,"token_id":null}', 0);
is($t->sql('select token_id from mint.job where id = ?', $first), undef,
   'a reorganization takes the token');
call('move', @fence, $first, 'sent', 'mined', $block, 0);
call('move', @fence, $first, 'mined', 'confirmed', '{}', 0);
is($t->sql('select token_id from mint.job where id = ?', $first), 7,
   'confirmed with its token');
is(call('move', @fence, $first, 'confirmed', 'sent', '{}', 0), 'P0001',
   'confirmed is final');

is(join(' ', map { $_->[0] } $t->sql('select state from mint.event '
        . 'where job_id = ? order by seq', $first)),
   'ready assigned signed sent mined sent mined confirmed',
   'every change is recorded');

call('move', @fence, call('lane_next', @fence, 2)->{id}, 'ready', 'failed',
     '{"reason":"no"}', 0) for 1 .. 2;
is(call('lane_next', @fence, 2)->{work}, 'none', 'nothing is left');
is($t->sql('select next_nonce from mint.lane'), 6,
   'what failed took no nonce');


# -- who sees what

sub seen_by {
    my ($role, $sub, $query) = @_;

    my $dbh = $t->dbh;

    $dbh->begin_work;
    $dbh->do("set local role $role");
    $dbh->do("select set_config('request.jwt.claims', ?, true)", {},
             qq({"sub":"$sub"}));
    my $value = eval { $dbh->selectrow_array($query) };
    my $state = $dbh->state;
    $dbh->rollback;
    return defined $value ? $value : $state;
}

my $count = 'select count(*) from mint.job';

is(seen_by('sallyport_user', $user, $count), 2, "one's own mints");
is(seen_by('sallyport_user', $other, $count), 1, 'another user: others');
is(seen_by('sallyport_anon', $user, $count), '42501', 'nobody: none');
is(seen_by('sallyport_user', $user, 'select count(*) from mint.attempt'),
   '42501', 'attempts are not for users');
is(seen_by('sallyport_user', $user, "select mint.wake('x')"), '42501',
   'nor are functions');
like(seen_by('sallyport_user', $user, "select reply from api.call('GET', "
             . "'/v1/mints', '{\"limit\":\"1\"}', null)"),
     qr/"page": \{"next": "\w+", "limit": 1\}/, 'a page');
is(seen_by('sallyport_user', $other, "select reply from api.call('GET', "
           . "'/v1/mints/$first', '{}', null)"), 'PT404',
   "another's mint is not found");

$t->finish;
done_testing;
