#!/usr/bin/perl

# memory_embedder and memory_extractor: which keys and dialects are refused.

use strict;
use warnings;

use JSON::PP ();
use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::JWT;
use Sallyport::Test;


my $t = Sallyport::Test->new;
my $jwks = JSON::PP::encode_json(
    { keys => [ Sallyport::JWT->new('EdDSA')->public ] });

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

for my $directive ('memory_embedder', 'memory_extractor') {
    for my $name (sort keys %keys) {
        my ($text, $mode, $refusal) = @{ $keys{$name} };

        unlink $t->dir . '/api.key';
        my $file = $t->file('api.key', $text, $mode);

        my ($accepted, $said) = $t->check_conf(<<"EOF");
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    pg_server main "host=/nonexistent user=u";
    memory_server main;
    $directive openai model=m url=http://127.0.0.1:1 key_file=$file;
}
EOF
        is($accepted ? 1 : 0, $refusal ? 0 : 1, "$directive: $name");
        like($said, qr/$refusal.*check\.conf:\d+/s, '.. with why and where')
            if $refusal;
        unlike($said, qr/sk-test/, '.. without the key');
    }
}

# dialects; "say" is that of t/modules/dialect_probe

for my $case (
    [ 'memory_extractor say model=m url=http://127.0.0.1:1;' ],
    [ 'memory_extractor openai model=m;' ],
    [ 'memory_extractor say model=m;', qr/"memory_extractor" needs "url="/ ],
    [ 'memory_extractor talk model=m;',
      qr/unknown dialect "talk", allowed: openai, say/ ],
    [ 'memory_embedder say model=m url=http://127.0.0.1:1;',
      qr/dialect "say" cannot serve "memory_embedder"/ ])
{
    my ($directive, $refusal) = @$case;

    my ($accepted, $said) = $t->check_conf(<<"EOF");
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    pg_server main "host=/nonexistent user=u";
    memory_server main;
    $directive
}
EOF
    is($accepted ? 1 : 0, $refusal ? 0 : 1, $directive) or diag $said;
    like($said, qr/$refusal.*check\.conf:\d+/s, '.. with why and where')
        if $refusal;
}


# memory for nobody

for my $case (
    [ 'memory on;', '', 0 ],
    [ 'memory on; auth_jwt r;', '', 1 ],
    [ 'memory on;', 'auth_jwt r;', 1 ],
    [ 'memory on; auth_jwt off;', 'auth_jwt r;', 0 ],
    [ '', 'memory on;', 1 ],
    [ 'memory off;', 'memory on;', 1 ])
{
    my ($location, $server, $good) = @$case;

    my ($accepted, $said) = $t->check_conf(<<"EOF");
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    pg_server main "host=/nonexistent user=u";
    memory_server main;
    auth_jwt_key_file @{[ $t->file('jwks.json', $jwks, 0600) ]};
    server {
        listen 127.0.0.1:%%PORT%%;
        $server
        location /chat { $location }
    }
}
EOF
    is($accepted ? 1 : 0, $good, "server: $server location: $location")
        or diag $said;
    like($said, qr/"memory on" in \S+:\d+ has nobody to remember: .*"\/chat"/,
         '.. with where and why') if !$good;
}

$t->finish;
done_testing;
