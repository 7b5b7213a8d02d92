#!/usr/bin/perl

# The unmodified @anthropic-ai/sdk with a provider of each API.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::JWT;
use Sallyport::Llm;


plan skip_all => 'Node is not installed' if system('node -v >/dev/null 2>&1');
plan skip_all => 'the npm packages are not installed (t/npm)'
    if !-d "$FindBin::Bin/../node_modules/\@anthropic-ai/sdk";

my $key = Sallyport::JWT->new('HS256', kid => 'k');

my ($t, $p) = Sallyport::Llm::gateway(read_timeout => '5s',
    http => 'auth_jwt_key_file %%DIR%%/jwks.json;
        map $http_authorization $messages_token {
            "~*^bearer (.+)" $1; default $http_x_api_key; }
        llm_provider claude { dialect anthropic;
            url http://127.0.0.1:%%PORT1%%/v1; key_file %%DIR%%/key;
            read_timeout 5s; model real-claude as=claude; }',
    server => 'location = /v1/messages { error_format anthropic;
            auth_jwt "test" token=$messages_token;
            llm_pass default dialect=anthropic; }
        location = /v1/messages/count_tokens { error_format anthropic;
            auth_jwt "test" token=$messages_token; llm_count_tokens default; }',
    prepare => sub {
        $_[0]->file('jwks.json', Sallyport::JWT::jwks($key), 0600) });

my $token = $key->token({ sub => '00000000-0000-4000-8000-00000000000a',
                          exp => int(time) + 600 });
my $url = 'http://' . $t->address;
my $tap = `timeout 120 node '$FindBin::Bin/anthropic.mjs' '$url' '$token' default claude 2>&1`;
my $status = $?;

for my $line (split /\n/, $tap) {
    ok($1 eq 'ok', $2) if $line =~ /^((?:not )?ok) \d+ - (.*)/;
    diag($line) if $line =~ /^#|Error/;
}

my ($plan) = $tap =~ /^1\.\.(\d+)$/m;

is($status, 0, 'the SDK was done') or diag $tap;
is($plan, Test::More->builder->current_test - 1, 'with all of its cases');

$p->stop;
$t->finish;
done_testing;
