#!/usr/bin/perl

# memory on for a server: chats are remembered, and other locations are what
# they are without.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Memory;

my $m = Sallyport::Memory->new(
    http => 'memory_timeout 2s; llm_provider more { key_file %%DIR%%/key;
                 url http://127.0.0.1:%%PORT1%%/v1;
                 model painter as=image kind=image;
                 model vectors as=other kind=embedding; }',
    server => 'memory on;
        location = /images { auth_jwt "test"; llm_images image; }
        location = /embeddings { auth_jwt "test"; llm_embeddings other; }
        location = /models { auth_jwt "test"; llm_models; }');
my $user = $m->user(1);

for my $case ([ 'POST', '/images', { model => 'image', prompt => 'a cat' } ],
              [ 'POST', '/embeddings', { model => 'other',
                                         input => 'a cat' } ],
              [ 'GET', '/models' ])
{
    my ($method, $path, $body) = @$case;
    my $res = $m->api($user, $method, $path, $body);

    is($res->{status}, 200, "$path: answered") or diag $res->{content};
    is($res->{headers}{'x-memory'}, undef, "$path: nothing of memory");
}

is($m->chat($user, 'hello')->{status}, 200, 'a chat');

$m->finish;
done_testing;
