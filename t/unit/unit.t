#!/usr/bin/perl

# Every t/unit/*.c as one subtest.  Each must end with status 0 and a plan,
# so that one that dies half way is seen.

use strict;
use warnings;

use Cwd ();
use File::Basename qw(basename dirname);
use Test::More;


my $unit = Cwd::realpath(dirname(__FILE__));
my $top = Cwd::realpath("$unit/../..");

chdir $top or die "$top: $!\n";

my $out = `$unit/run --build 2>&1`;

is($?, 0, 'the unit tests compile') or diag($out);

if ($? == 0 && $out !~ /^1\.\.0/) {
    chomp $out;
    run($_) for map { basename($_, '.c') } sort glob "$unit/*.c";
}

done_testing;


sub run {
    my ($name) = @_;

    my @lines = split /\n/, `timeout 120 $out/$name 2>&1`;
    my $status = $?;
    my @failed = grep { /^not ok|^#|Sanitizer|runtime error|^ +#\d/ } @lines;
    my $passed = grep { /^ok / } @lines;
    my ($plan) = map { /^1\.\.(\d+)$/ ? $1 : () } @lines;
    my $count = $passed + grep { /^not ok / } @lines;

    my $ok = ok($status == 0 && defined $plan && $plan == $count && $count > 0
                && $passed == $count, "$name ($count checks)");

    diag("status $status, plan ", defined $plan ? $plan : 'missing', "\n",
         join "\n", @failed) unless $ok;
}
