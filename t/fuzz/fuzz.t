#!/usr/bin/perl

# Every fuzz target over its corpus, which says the same on every run.  What
# has not been found yet is looked for by `make fuzz`, and here with SP_LONG=1.

use strict;
use warnings;

use Cwd ();
use File::Basename qw(basename dirname);
use Test::More;


my $fuzz = Cwd::realpath(dirname(__FILE__));
my $top = Cwd::realpath("$fuzz/../..");

# the targets carry their own sanitizers: once is enough
plan skip_all => 'runs with the sanitizers'
    if defined $ENV{SP_SANITIZE} && $ENV{SP_SANITIZE} eq '0';
plan skip_all => 'clang is not installed'
    if system('command -v clang >/dev/null') != 0;

chdir $top or die "$top: $!\n";

my $seconds = $ENV{SP_LONG} ? 10 : 0;
my $built = is(system("$fuzz/run", '--build'), 0, 'the fuzz targets compile');

for my $name (map { basename($_, '.c') } sort glob "$fuzz/*.c") {
    last unless $built;

    my @seeds = glob "$fuzz/corpus/$name/*";
    my $out = `$fuzz/run $seconds $name 2>&1`;

    is($?, 0, "$name, " . @seeds . ' seeds') or diag($out);
    ok(@seeds > 0, "$name has a corpus");
}

done_testing;
