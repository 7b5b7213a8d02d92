#!/usr/bin/perl

# llm_cache beside memory: what was made with a user's notes is that user's.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Memory;

my $m = Sallyport::Memory->new(
    http => 'memory_timeout 2s; redis_server cache %%REDIS%% timeout=1s;
             llm_cache cache shared;');
my $t = $m->t;
my ($anna, $ben, $cleo, $dan) = map { $m->user($_) } 1 .. 4;
my $question = 'What is my dog called?';
my ($hit, $miss) = ('sallyport; hit', 'sallyport; fwd=miss');


sub status {
    my ($user, $text) = @_;

    my $res = $m->chat($user, $text);

    is($res->{status}, 200, 'answered');
    return $res->{headers}{'cache-status'};
}

sub stored {
    my ($user, $n) = @_;

    ok($t->wait_until(sub {
        $t->sql('select count(*) from chat.message where user_id = ?', $user)
            >= $n;
    }, 5), "$n messages are stored");
    return;
}


is(status($anna, 'My dog is called Rex.'), $miss, 'without notes: asked');
stored($anna, 2);

is(status($anna, $question), $miss, 'with notes: asked');
like($m->prompt, qr/Rex/, 'with them');
stored($anna, 4);

is(status($ben, $question), $miss, 'who has none is not given that answer');
unlike($m->prompt, qr/Rex/, 'nor those notes');
is(status($cleo, $question), $hit, 'but one without, as all are');

is(status($dan, 'My dog is called Rex.'), $hit, 'one who says the same');
stored($dan, 2);
is(status($dan, $question), $miss, 'and has the same notes: asked');
like($m->prompt, qr/Rex/, 'with his own');

done_testing();
