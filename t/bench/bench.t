#!/usr/bin/perl

# make bench runs: every case answers, none with an error.  How fast is not
# tested here.

use strict;
use warnings;

use FindBin;
use Test::More;


plan skip_all => 'load runs are for the release modules' if $ENV{SP_SANITIZE};

my $out = `$FindBin::Bin/run -q -s 'jwt + quota' features 2>&1`;

is($?, 0, 'it ends well') or diag $out;
like($out, qr/^Keyword scan, 4,500 terms: \d+ MB\/s/m, 'the scan');

# name, rate, ratios, errors
my @rows = $out =~ /^(\S.*?) {2,}(\d+)((?: +\d\.\d+){0,3}) +(\d+) +\d+\.\d +\d+/mg;
my %row;

while (my ($name, $rate, $ratios, $errors) = splice @rows, 0, 4) {
    $row{$name} = 1;
    cmp_ok($rate, '>', 0, "$name: requests");
    is($errors, 0, "$name: no errors");
    isnt($ratios, '', "$name: ratios") unless $name =~ /^bare/;
}

is_deeply([ sort keys %row ],
          [ 'all features, 1,000 users', 'bare proxy_pass, 1 KiB',
            'bare proxy_pass, 64 chunks', 'bare proxy_pass, POST, 1 KiB',
            'jwt + quota (Redis)', 'jwt + quota + llm, 64 chunks',
            'jwt + quota + moderation + llm', 'jwt + quota, 8,000 users' ],
          'all cases') or diag $out;

done_testing;
