#!/usr/bin/perl

# The quickstart as its users meet it: the openai SDK with ethers and siwe,
# and the page in a browser with a wallet, mint included.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Quickstart;
use Sallyport::Test;
use Test::More;


plan skip_all => 'runs with the release modules'
    if defined $ENV{SP_MODULES} && $ENV{SP_MODULES} eq '';
plan skip_all => 'Node is not installed' if system('node -v >/dev/null 2>&1');
plan skip_all => 'the npm packages are not installed (t/npm)'
    if !-d "$FindBin::Bin/../node_modules/openai";

my $t = Sallyport::Test->new;
my $q = Sallyport::Quickstart->new($t);

my ($status, $out) = $q->command('conf/quickstart/start');
is($status, 0, 'start') or die $out;

tour('sdk.mjs', 'the SDKs');

SKIP: {
    skip 'chromium is not installed', 1 if !-x '/usr/bin/chromium';

    my @mint = -e $q->dir . '/run/chain/chain.json' ? ('mint') : ();

    tour('browser.mjs', 'the browser',
         $ENV{SP_SHOTS} // $t->dir . '/shots', @mint);
}

($status, $out) = $q->command('conf/quickstart/stop');
is($status, 0, 'stop');

unlike(Sallyport::Test::slurp($q->dir . '/run/nginx/logs/error.log'),
       qr/\[(alert|emerg|crit)\]/, 'nothing alarming in the log');

$t->finish;
done_testing;


# a script that prints TAP is one subtest

sub tour {
    my ($script, $name, @args) = @_;

    my $tap = `timeout 240 node '$FindBin::Bin/$script' @{[ $q->url ]} @args 2>&1`;
    my $status = $?;

    my $passed = () = $tap =~ /^ok /mg;
    my ($plan) = $tap =~ /^1\.\.(\d+)$/m;

    ok($status == 0 && $passed && $plan && $passed == $plan,
       "$name: $passed checks")
        or diag($tap);
}
