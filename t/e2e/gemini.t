#!/usr/bin/perl

# The fake of Google's API has Google's shapes: the unmodified @google/genai
# reads of it what the unmodified openai reads of the gateway before it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Llm;
use Test::More;


plan skip_all => 'Node is not installed' if system('node -v >/dev/null 2>&1');
plan skip_all => 'the npm packages are not installed (t/npm)'
    if !-d "$FindBin::Bin/../node_modules/\@google/genai";

my ($t, $p) = Sallyport::Llm::gateway(
    http => 'llm_provider google {
                 dialect gemini;
                 url http://127.0.0.1:%%PORT1%%/v1beta;
                 key_file %%DIR%%/key;
                 model gemini-2.5-flash as=gemini;
             }');

my $urls = join ' ', map { "http://127.0.0.1:$_" } $t->port(1), $t->port;
my $tap = `timeout 120 node '$FindBin::Bin/gemini.mjs' $urls 2>&1`;
my $status = $?;

my $passed = () = $tap =~ /^ok /mg;
my ($plan) = $tap =~ /^1\.\.(\d+)$/m;

is($status, 0, 'the script ends');
is($passed, $plan // 'a plan', 'both SDKs have heard the same') or diag($tap);


# requests of the SDK and of the gateway have the same members

my %asked;

for my $request ($p->requests) {
    my ($method) = $request->{line} =~ /:(\w*[gG]enerateContent)\W/ or next;
    my $who = $request->{headers}{'user-agent'} eq 'sallyport' ? 'gateway'
                                                               : 'SDK';
    my $text = Sallyport::Gemini::asked($request->{json}) // '';

    $asked{"$text, $method"}{$who} = {
        line => $request->{line} =~ s{^POST /+}{POST /}r,
        key => $request->{headers}{'x-goog-api-key'},
        contents => $request->{json}{contents} };
}

for my $what (sort keys %asked) {
    is_deeply($asked{$what}{gateway}, $asked{$what}{SDK}, "asked: $what");
}

$p->stop;
$t->finish;
done_testing;
