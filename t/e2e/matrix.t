#!/usr/bin/perl

# Each unmodified SDK with each provider's API behind the gateway, as a matrix:
# plain, as a stream, with calls and their results, an image, errors, an abort.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;


plan skip_all => 'Node is not installed' if system('node -v >/dev/null 2>&1');
plan skip_all => 'the npm packages are not installed (t/npm)'
    if !-d "$FindBin::Bin/../node_modules/\@ai-sdk/anthropic";

my @clients = ('openai, chat', 'openai, responses', '@anthropic-ai/sdk',
               map { "ai, \@ai-sdk/$_" } 'openai, chat', 'openai, responses',
                                         'anthropic');
my @dialects = qw(openai anthropic gemini);
my @cases = ('plain', 'stream', 'tools', 'tools, stream', 'image', 'error',
             'error, in a stream', 'abort');

my ($t, $p) = Sallyport::Llm::gateway(read_timeout => '5s',
    http => 'llm_provider claude { dialect anthropic;
                 url http://127.0.0.1:%%PORT1%%/v1; key_file %%DIR%%/key;
                 read_timeout 5s; model real-claude as=claude; }
             llm_provider google { dialect gemini;
                 url http://127.0.0.1:%%PORT1%%/v1beta; key_file %%DIR%%/key;
                 read_timeout 5s; model gemini-2.5-flash as=gemini; }',
    server => '
        location = /v1/messages { error_format anthropic;
                                  llm_pass default dialect=anthropic; }
        location = /v1/responses { error_format responses;
                                   llm_pass default dialect=responses; }');

my ($gateway, $provider) = map { "http://127.0.0.1:$_" } $t->port, $t->port(1);
my $out = `timeout 120 node '$FindBin::Bin/matrix.mjs' $gateway $provider default=openai claude=anthropic gemini=gemini 2>&1`;

is($?, 0, 'the SDKs were done') or diag($out);

my %cell;

for my $line (grep { /^\{/ } split /\n/, $out) {
    my $cell = $Sallyport::Llm::json->decode($line);
    $cell{"$cell->{column} $cell->{client} $cell->{what}"} =
        $cell->{problem} // 'ok';
}

for my $dialect (@dialects) {
    is($cell{"$dialect $_->[0] $_->[1]"}, 'ok',
       "$_->[0] to $dialect: $_->[1]")
        for map { my $client = $_; map { [ $client, $_ ] } @cases } @clients;

    my ($oracle) = map { /^\Q$dialect itself\E (.*) plain$/ ? $1 : () }
                   keys %cell;

    is($cell{"$dialect itself $oracle $_"}, 'ok',
       "$oracle to the fake of $dialect: $_") for @cases;
}

# an aborted stream ends at the provider as well, whoever gave it up

my @slow = grep { $Sallyport::Llm::json->encode($_->{json}) =~ /fault slow/ }
           $p->requests;

is(@slow, @dialects * (@clients + 1), 'streams that were given up');
is(grep({ $p->wait_event('closed', $_->{n}) } @slow), @slow,
   'and the provider has seen each of them go');

note(sprintf '%-30s %s', 'SDK', join ' ', map { sprintf '%-10s', $_ }
                                          @dialects);

for my $client (@clients) {
    for my $case (@cases) {
        note(sprintf '%-30s %s %s', $client, join(' ', map {
            sprintf '%-10s', $cell{"$_ $client $case"} // 'missing' }
            @dialects), $case);
    }
}

$p->stop;
$t->finish;
done_testing;
