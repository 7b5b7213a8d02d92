#!/usr/bin/perl

# The fault suite, aimed at this gateway: all cases pass.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;

my ($t, $p) = Sallyport::Llm::gateway(http => <<'EOC');
    llm_provider faulty { url http://127.0.0.1:%%PORT2%%/v1; key_file %%DIR%%/key;
                          read_timeout 2s; model m as=faulty; }
    llm_provider tls { url https://127.0.0.1:%%PORT3%%/v1; model m as=tls; }
EOC

$p->stop;

my @command = ('node', "$FindBin::Bin/main.mjs", '--format', 'json',
    '--url', 'http://127.0.0.1:' . $t->port . '/v1',
    '--http2', 'http://127.0.0.1:' . $t->port('H2') . '/v1',
    '--model', 'faulty', '--tls-model', 'tls', '--token', 'any',
    '--port', $t->port(2), '--tls-port', $t->port(3));

open my $out, '-|', @command or die "cannot run node: $!\n";

my $n = 0;

while (my $line = <$out>) {
    my $case = $Sallyport::Llm::json->decode($line);

    is($case->{verdict}, 'pass', "$case->{name}: $case->{what}")
        or diag($case->{why});
    $n++;
}

close $out;

is($?, 0, 'no case fails');
cmp_ok($n, '>=', 41, "$n cases");

$t->finish;
done_testing;
