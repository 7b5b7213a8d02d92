#!/usr/bin/perl

# llm_provider: which keys are refused, and what an alias may be.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Test;


my $t = Sallyport::Test->new;

my %keys = (
    'one line' => [ "sk-test\n", 0600, undef ],
    'read by others' => [ "sk-test\n", 0644, qr/mode is 0644, allowed are/ ],
    'nothing' => [ "\n", 0600, qr/is empty/ ],
    'two lines' => [ "sk-test\r\nX-Evil: yes\n", 0600, qr/one line of/ ],
    map({ ("the placeholder $_" => [ "$_\n", 0600,
                                    qr/placeholder, not a key: put the key/ ]) }
        qw(sk-... changeme your_api_key your_api_key_here YOUR-API-KEY-HERE
           sk-your-key-here sk-xxxxxxxxxxxx xxxx 00000000 <api-key> ${API_KEY}
           $OPENAI_API_KEY {{key}} REPLACE_ME Replace-With-Your-Key
           insert_key_here TOKEN_HERE __PLACEHOLDER__ ToDo fixme none
           sk-proj-xxxxxxxxxxxx your-openai-api-key YOUR_HF_TOKEN
           OPENAI_API_KEY sk-...your_key)),
    map({ ("the key $_" => [ "$_\n", 0600, undef ]) }
        qw(sk-proj-9sKq2xYbT3 sk-ant-api03-x1Y2 0123456789abcdef
           AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY monkey-business-here1
           todo-list-7f3a9 your1-4f9b2c sk-1111abcd tokenizer-x2)),
);

sub check {
    my ($http) = @_;
    return $t->check_conf("%%LOAD%%\n%%GLOBALS%%\nevents { }\n"
                          . "http { %%HTTP%%\n$http\n}\n");
}

for my $name (sort keys %keys) {
    my ($text, $mode, $refusal) = @{ $keys{$name} };

    unlink $t->dir . '/api.key';
    my $file = $t->file('api.key', $text, $mode);

    my ($accepted, $said) = check("llm_provider x { url http://127.0.0.1:1;
        model m; key_file $file; }");

    is($accepted ? 1 : 0, $refusal ? 0 : 1, $name);
    like($said, qr/$refusal.*check\.conf:\d+/s, '.. with why and where')
        if $refusal;
    unlike($said, qr/sk-test/, '.. without the key');
}


# dialects: "say" and "hush" are those of t/modules/dialect_probe, and "hush"
# has no embeddings

my $url = 'url http://127.0.0.1:1;';

for my $case (
    [ "llm_provider x { dialect say; $url model m kind=embedding; }" ],
    [ "llm_provider x { dialect hush; $url model m kind=chat; }" ],
    [ "llm_provider x { dialect talk; $url model m; }",
      qr/unknown dialect "talk", allowed: openai, .*say, hush/ ],
    [ "llm_provider x { $url model m kind=embedding; dialect hush; }",
      qr/"x" cannot have a model with kind=embedding: dialect "hush" has no/ ],
    [ "llm_provider x { $url model m kind=video; }",
      qr/invalid parameter "kind=video" .*, kind=chat, kind=embedding, / ],
    [ "llm_provider x { $url model m as=a; model e as=a kind=embedding; }",
      qr/"a" is kind=embedding here and kind=chat in llm_provider "x"/ ],
    [ "llm_provider x { $url model m as=a; model n as=a internal; }",
      qr/"a" is internal here or in llm_provider "x": say it in both/ ],
    [ "llm_provider x { $url model m as=a kind=chat context=8k weight=2 backup;
       model m as=a; }", qr/model "m" is named twice for "a" in llm_provide/ ])
{
    my ($http, $refusal) = @$case;
    my ($accepted, $said) = check($http);

    is($accepted ? 1 : 0, $refusal ? 0 : 1, $http) or diag $said;
    like($said, qr/$refusal.*check\.conf:\d+/s, '.. with why and where')
        if $refusal;
}

$t->finish;
done_testing;
