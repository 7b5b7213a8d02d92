#!/usr/bin/perl

# Unmodified SDKs pass over the event of a character's extras.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;


plan skip_all => 'Node is not installed' if system('node -v >/dev/null 2>&1');
plan skip_all => 'the npm packages are not installed (t/npm)'
    if !-d "$FindBin::Bin/../node_modules/ai";

my $mira = '00000000-0000-4000-8000-0000000000d1';

my ($t, $p) = Sallyport::Llm::gateway(read_timeout => '5s',
    http => 'pg_server main "%%PG%%" timeout=2s; llm_characters main;',
    server => 'location = /v1/messages { error_format anthropic;
                                         llm_pass default dialect=anthropic; }
               location = /v1/responses { llm_pass default dialect=responses; }',
    prepare => sub {
        $_[0]->sql('insert into chat.character (id, owner_id, name,
                        system_prompt, is_public)
                    values (?, null, ?, ?, true)', $mira, 'Mira',
                   'You are {{char}}. {{extras}}');
    });

my $url = 'http://' . $t->address;
my $tap = `timeout 120 node '$FindBin::Bin/extras.mjs' '$url' default $mira 2>&1`;
my $status = $?;

for my $line (split /\n/, $tap) {
    ok($1 eq 'ok', $2) if $line =~ /^((?:not )?ok) \d+ - (.*)/;
    diag($line) if $line =~ /^#|Error/;
}

my ($plan) = $tap =~ /^1\.\.(\d+)$/m;

is($status, 0, 'the SDKs were done') or diag $tap;
is($plan, Test::More->builder->current_test - 1, 'with all of their cases');

$p->stop;
$t->finish;
done_testing;
