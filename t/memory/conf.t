#!/usr/bin/perl

# memory_embedder and memory_extractor: which models fit; memory for nobody.

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

# what is said of a model, after a provider with the aliases "chat", "vectors",
# "two" (of two names) and "same" (of two providers)

my $providers = <<'EOP';
    llm_provider a { url http://127.0.0.1:1/v1; model c as=chat;
                     model v as=vectors kind=embedding;
                     model v as=two kind=embedding;
                     model w as=two kind=embedding;
                     model v as=same kind=embedding; }
    llm_provider b { dialect say; url http://127.0.0.1:1; model s as=saying;
                     model v as=same kind=embedding; }
    llm_provider c { url http://unix:/tmp/x.sock:/v1; model x as=socket; }
    llm_provider d { url http://api.test; upstream pool; model x as=pool; }
    upstream pool { server 127.0.0.1:1; }
EOP

for my $case (
    [ 'memory_extractor chat;' ],
    [ 'memory_extractor saying timeout=1s lease=5;' ],
    [ 'memory_extractor off; memory_embedder off;' ],
    [ 'memory_embedder vectors dimensions=256 cache=0 timeout=2s;' ],
    [ 'memory_embedder same;' ],
    [ 'memory_embedder two;',
      qr/"two", which is "v" of llm_provider "a" and "w" of "a": vectors of/ ],
    [ 'memory_embedder chat;',
      qr/"chat" with kind=embedding for "memory_embedder", allowed: vectors, / ],
    [ 'memory_extractor vectors;',
      qr/kind=chat for "memory_extractor", allowed: chat, saying, socket, p/ ],
    [ 'memory_extractor nothing;', qr/no llm_provider has a model "nothing"/ ],
    [ 'memory_extractor "";', qr/"memory_extractor" needs the name of a mo/ ],
    [ 'memory_extractor socket;', qr/provider "c" of model "socket" has a unix/ ],
    [ 'memory_extractor pool;', qr/"d" of model "pool" has an "upstream", "m/ ],
    [ 'memory_extractor chat; memory_extractor chat;', qr/is duplicate/ ],
    [ 'memory_embedder vectors; memory_embedder off;', qr/is duplicate/ ],
    [ 'memory_extractor chat url=http://x;',
      qr/parameter "url=http:\/\/x" .*; the name of a model, lease=, timeout= / ],
    [ 'memory_embedder vectors lease=5;', qr/model, dimensions=, cache=, ti/ ],
    [ 'memory_embedder vectors dimensions=3901;', qr/from 1 to 3900/ ],
    [ 'memory_extractor chat lease=0;', qr/from 1 to 100000/ ],
    [ 'memory_extractor chat timeout=soon;', qr/"timeout=soon"/ ])
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
    $providers
}
EOF
    is($accepted ? 1 : 0, $refusal ? 0 : 1, $directive) or diag $said;
    like($said, qr/$refusal.*$/m, '.. with why') if $refusal;
    like($said, qr/ in \S*check\.conf:\d+/, '.. and where') if $refusal;
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
