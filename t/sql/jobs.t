#!/usr/bin/perl

# What the functions of jobs, lanes and housekeeping say to odd callers: an
# argument that is missing is an error, never an answer; a rule of retention
# bounds what one run deletes.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::SQL;
use Sallyport::Test;
use Test::More;


my $t = Sallyport::Test->new;

$t->pg;

my $db = Sallyport::SQL->new($t->pg);
my $lane = '1:0x' . 'a' x 40;

sub sqlstate {
    my ($text, @values) = @_;
    return eval { $db->gateway($text, @values); 1 } ? 'none'
           : $Sallyport::SQL::state;
}


# -- jobs

$db->gateway("select gateway.job_enqueue('k', '{}')") for 1 .. 3;

is($db->gateway("select gateway.job_due('other')"), undef, 'no job is due');
is($db->gateway("select gateway.job_due('k') <= 0"), 1, 'one is due');
is(sqlstate('select gateway.job_due(null)'), '22004', 'no kind: an error');

my @claim = ("array['k']", "'me'", "interval '9 s'", '1');

for my $i (0 .. $#claim) {
    my $values = join ', ', map { $_ == $i ? 'null' : $claim[$_] }
                                0 .. $#claim;

    is(sqlstate("select gateway.job_claim($values)"), '22004',
       "a claim with ($values)");
}

is($db->gateway("select count(*) from gateway.job where state = 'running'"),
   0, 'nothing was claimed');

my ($job) = $db->gateway('select id, epoch from gateway.job_claim('
                         . join(', ', @claim) . ')');

is(sqlstate("select gateway.job_renew(?, 'me', ?, null)", @$job), '22004',
   'a lease is not renewed for ever');
is($db->gateway("select gateway.job_renew(?, 'me', ?, '9 s')", @$job), 1,
   'but for a while');


# -- lanes

my ($runner) = $db->gateway("insert into gateway.job
    (kind, lane, state, epoch) values ('mint', ?, 'running', 7) returning id",
    $lane);

sub next_in {
    my @row = $db->gateway('select work, wait_ms
                              from mint.lane_next(?, ?, ?, ?)', @_);
    return $row[0];
}

my @fence = ($lane, $runner->[0], 7);
my $next = 'select mint.lane_next(?, ?, ?, ?)';

is_deeply(next_in(@fence, 16), [ 'none', undef ], 'no lane: no work');

$db->gateway('insert into mint.lane (id, chain_id, signer, next_nonce)
              values (?, 1, ?, 5)', $lane, '0x' . 'a' x 40);

is_deeply(next_in(@fence, 16), [ 'none', undef ],
          'no work: nothing to wait for');
is(sqlstate($next, @fence, undef), '22004', 'how many in flight: an error');

for my $i (0 .. 2) {
    my @values = @fence;

    $values[$i] = undef;
    is(sqlstate($next, @values, 16), 'SP001', 'who names '
       . (qw(no-lane no-job no-epoch))[$i] . ' has none');
}


# -- housekeeping

$t->sql('create table gateway.note (at timestamptz)');
$t->sql('grant select, update, delete on gateway.note to sallyport_gateway');
$t->sql("insert into gateway.note select now() - interval '1 day'
           from generate_series(1, 25)");
$t->sql("insert into gateway.retention (name, relation, since, keep, batch)
         values ('notes', 'gateway.note', 'at', '1 hour', 10)");

for my $left (15, 5, 0) {
    is($db->gateway('select gateway.housekeeping()'), $left > 0 ? 1 : 0,
       $left > 0 ? 'a whole batch: there may be more' : 'less: no more');
    is($t->sql('select count(*) from gateway.note'), $left,
       'a batch of this rule');
}

for my $batch ('0', '100001', 'null') {
    ok(!eval { $t->sql("update gateway.retention set batch = $batch"); 1 },
       "not a batch: $batch");
}

$t->finish;
done_testing;
