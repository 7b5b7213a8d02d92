#!/usr/bin/perl

# /v1/responses with the SDKs that speak it, unmodified.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Llm;
use Test::More;


plan skip_all => 'Node is not installed' if system('node -v >/dev/null 2>&1');
plan skip_all => 'the npm packages are not installed (t/npm)'
    if !-d "$FindBin::Bin/../node_modules/ai";

my ($t, $p) = Sallyport::Llm::gateway(read_timeout => '5s', server => '
    location = /v1/responses { error_format responses;
                               llm_pass default dialect=responses; }');

for my $script ('openai_responses.mjs', 'ai_openai.mjs') {
    my $tap = `timeout 120 node '$FindBin::Bin/$script' http://127.0.0.1:@{[ $t->port ]} token 2>&1`;
    my $status = $?;

    my $passed = () = $tap =~ /^ok /mg;
    my ($plan) = $tap =~ /^1\.\.(\d+)$/m;

    ok($status == 0 && $plan && $passed == $plan, "$script: $passed cases")
        or diag($tap);
}

$p->stop;
$t->finish;
done_testing;
