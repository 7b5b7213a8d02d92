#!/usr/bin/perl

# The scripts of ngx_http_sp_quota_redis.c on a real Redis: reserve all limits
# or none, settle up and down, once.  They are taken out of the source.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Test;
use Test::More;


my $source = Sallyport::Test::slurp("$FindBin::Bin/../../modules/quota/"
                                    . 'ngx_http_sp_quota_redis.c');
my %macro = $source =~ /^\#define\ (\w+_LUA_\w+)\s*\\\n((?:\s+".*?)+?)\n\n/gmx;
my ($reserve, $settle) = map { script($_) } qw(reserve settle);

my $t = Sallyport::Test->new;
my $redis = $t->redis;

# kind and window; requests have kind 0, concurrency 1, a later kind its own
my %id = (hour => 3600, day => 86400, held => 1 << 25, tokens => 2 << 25 | 86400);
my $us = 1_000_000;

# name, units, window in seconds
my $ten = [ hour => 10, 3600 ];
my $hundred = [ day => 100, 86400 ];
my $two = [ held => 2, 0 ];
my $budget = [ tokens => 600, 86400 ];


# all or nothing

is(left(reserve('a', [ [ $ten, 1 ], [ $hundred, 1 ] ])), '1: 9 99',
   'both are charged');
is(left(reserve('a', [ [ $ten, 3 ], [ $hundred, 20 ] ])), '1: 6 79',
   'by what each costs');
is(left(reserve('a', [ [ $ten, 7 ], [ $hundred, 20 ] ])), '0: 6 79',
   'one refuses: none is charged');
is(left(reserve('a', [ [ $ten, 0 ], [ $hundred, 80 ] ])), '0: 6 79',
   'a cost of none only looks');
is(left(reserve('a', [ [ $ten, 1 ], [ $hundred, 1 ] ], wanted => 9)),
   '6: 0 73', 'several at once: as often as all allow');
is(left(reserve('a', [ [ $ten, 1 ], [ $hundred, 1 ] ], unused => 4)),
   '1: 3 76', 'what was not used comes back');
is(left(reserve('b', [ [ $ten, 1, 20 ] ])), '1: 7',
   'a floor: what this machine has seen');

my $ttl = $redis->command('PTTL', 'k:a');
cmp_ok($ttl, '<=', 864 * 1000 * 24 + 2, "the key expires by itself: $ttl ms");
cmp_ok($ttl, '>', 0, '.. but not yet');


# tokens: what was estimated is settled with what it was

is(left(reserve('t', [ [ $budget, 200 ] ], id => 'x')), '1: 400',
   'an estimate is reserved');
is(settle('t', 'x', [ [ $budget, 50 ] ]), 1, 'it was less');
is(left(reserve('t', [ [ $budget, 0 ] ])), '1: 550', '.. the rest is back');
is(settle('t', 'x', [ [ $budget, 0 ] ]), 0, 'settled once');
is(left(reserve('t', [ [ $budget, 0 ] ])), '1: 550', '.. and for all');

is(left(reserve('t', [ [ $budget, 100 ] ], id => 'y')), '1: 450', 'another');
is(left(reserve('t', [ [ $budget, 100 ] ], id => 'y')), '1: 450',
   '.. which is asked for again: charged once');
is(settle('t', 'y', [ [ $budget, 250 ] ]), 1, 'it was more');
is(left(reserve('t', [ [ $budget, 0 ] ])), '1: 300', '.. and is charged');

is(left(reserve('t', [ [ $budget, 301 ] ], id => 'z')), '0: 300', 'too much');
is(settle('t', 'z', [ [ $budget, 10 ] ]), 0, 'refused: nothing to settle');
is(settle('t', 'nobody', [ [ $budget, 10 ] ]), 0, 'an id that nobody knows');
is(left(reserve('t', [ [ $budget, 0 ] ])), '1: 300', '.. changes nothing');

reserve('t', [ [ $budget, 100 ] ], id => 'over', lasts => 1);
ok($t->wait_until(sub { !$redis->command('EXISTS', 'k:t:over') }, 5),
   'a reservation is over');
is(settle('t', 'over', [ [ $budget, 0 ] ]), 0, '.. and not settled any more');
is(left(reserve('t', [ [ $budget, 0 ] ])), '1: 200',
   '.. what was reserved stays charged');

reserve('up', [ [ $budget, 1 ] ], id => 'x');
$redis->command('DEL', 'k:up');
is(settle('up', 'x', [ [ $budget, 601 ] ]), 1, 'of a limit that is free again');
is(left(reserve('up', [ [ $budget, 0 ] ])), '1: 0', '.. more is charged');

reserve('down', [ [ $budget, 600 ] ], id => 'x');
$redis->command('DEL', 'k:down');
settle('down', 'x', [ [ $budget, 0 ] ]);
is(left(reserve('down', [ [ $budget, 0 ] ])), '1: 600',
   '.. less is nobody\'s credit');


# concurrency: held until settled, or over

my $both = [ [ $two, 1 ], [ $ten, 1 ] ];
my $ended = [ [ $two, 0 ], [ $ten, 1 ] ];

is(left(reserve('c', $both, id => 'x')), '1: 1 9', 'in flight: one');
is(left(reserve('c', $both, id => 'y')), '1: 0 8', '.. two');
is(left(reserve('c', $both, id => 'y')), '1: 0 8', '.. the same again');
is(left(reserve('c', $both, id => 'z')), '0: 0 8',
   'the third is refused, and not charged as a request either');
is(settle('c', 'x', $ended), 1, 'one ends');
is(settle('c', 'x', $ended), 0, '.. once');
is(left(reserve('c', [ [ $two, 0 ], [ $ten, 0 ] ], id => 'look')), '1: 1 8',
   '.. the request was one');
is(left(reserve('c', $both, id => 'z')), '1: 0 7', 'another may go');

is(left(reserve('d', $both, id => 'x', lasts => 50)), '1: 1 9', 'a short one');
ok($t->wait_until(sub {
       left(reserve('d', [ [ $two, 0 ] ], id => 'look')) eq '1: 2'
   }, 5), 'one that nobody ends is over by itself');
is(join(' ', grep { $redis->command('PTTL', $_) == -1 }
             @{ $redis->command('KEYS', '*') }), '', 'every key expires');

$t->finish;
done_testing;


# the Lua of one script, out of C

sub script {
    my ($name) = @_;

    my ($c) = $source =~ /_${name}_script = \{\n    ngx_string\(".*?"\),\n(.*?)\n    \{ 0 \}/s
        or die "no script $name\n";

    $c =~ s/\b(\w+_LUA_\w+)\b/$macro{$1}/g;

    return join '', map { s/\\n/\n/gr } $c =~ /"((?:[^"\\]|\\.)*)"/g;
}


# limits: [ limit, cost, units of the floor ]

sub reserve {
    my ($key, $charges, %opt) = @_;

    my $packed = join '', map {
        my ($limit, $cost, $floor) = @$_;
        my ($name, $units, $window) = @$limit;
        my $interval = $window * $us / $units;

        pack 'Q>5', $id{$name}, $interval,
                    $window ? $window * $us : $units,
                    ($floor || 0) / 10 * $interval, $cost;
    } @$charges;

    my @keys = ("k:$key");
    my @args = ($packed, $opt{wanted} || 1, $opt{unused} || 0);

    if (defined $opt{id}) {
        push @keys, "k:$key:$opt{id}", "k:$key:open";
        push @args, $opt{id}, $opt{lasts} || 60000;
    }

    my @reply = unpack 'Q>*', $redis->command('EVAL', $reserve, scalar @keys,
                                              @keys, @args);

    return { granted => $reply[0], now => $reply[1],
             states => [ @reply[2 .. $#reply] ], charges => $charges };
}


sub settle {
    my ($key, $id, $charges) = @_;

    my $packed = join '', map {
        my ($limit, $cost) = @$_;
        my ($name, $units, $window) = @$limit;

        pack 'Q>3', $id{$name}, $window * $us / $units, $cost;
    } @$charges;

    return $redis->command('EVAL', $settle, 3, "k:$key", "k:$key:$id",
                           "k:$key:open", $packed, $id);
}


# "granted: what is left of each", as the module reads it

sub left {
    my ($res) = @_;

    my @left = map {
        my ($name, $units, $window) = @{ $res->{charges}[$_][0] };
        my $state = $res->{states}[$_];
        my $ahead = $state > $res->{now} ? $state - $res->{now} : 0;
        my $left = $window ? int(($window * $us - $ahead)
                                 / ($window * $us / $units))
                           : $units - $state;
        $left > 0 ? $left : 0;
    } 0 .. $#{ $res->{charges} };

    return "$res->{granted}: @left";
}
