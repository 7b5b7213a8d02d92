#!/usr/bin/perl

# What moderation refuses is neither stored nor remembered, and what it masks
# is stored, extracted and recalled as the model saw it.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Memory;


my $m = Sallyport::Memory->new(
    gates => 1,
    extractor => 'http://127.0.0.1:%%PORT4%%/v1',
    http => 'memory_timeout 2s; moderation_rules test.rules;',
    location => 'moderation input;',
    files => { 'test.rules' => "[m category=x action=mask]\nsecret\n"
                               . "[b category=x]\nzebra\n" });
my $t = $m->t;
my $anna = $m->user(1);

$m->{model}->open;

# the blocked ones and what follows them are asked by the same client, which
# keeps its history as clients do

my $blocked = 'My zebra is called Zoe.';

for my $h2 (0, 1) {
    my $res = $m->chat($anna, $blocked, http2 => $h2);

    is($res->{status}, 422, 'blocked');
    is($res->{json}{error}{code}, 'content_blocked', 'by moderation');
}

is($m->chat($anna, 'What did I say?',
            messages => [ { role => 'user', content => $blocked } ])->{status},
   422, 'in what is said to have been said, too');

is($m->chat($anna, 'My secret dog is called Rex.')->{status}, 200, 'masked');
like($m->prompt, qr/user: My \*{6} dog is called Rex\./, 'as the model sees it');

my @parts = ({ type => 'text', text => 'My sec' },
             { type => 'text', text => 'ret town is Lisbon.' });
is($m->chat($anna, \@parts)->{status}, 200, 'masked over parts');

is($m->chat($anna, "Nothing much, $_.")->{status}, 200, 'chat') for 1 .. 8;

ok($t->wait_until(sub {
       scalar $t->sql("select count(*) from gateway.job
                        where kind = 'memory_extract' and state = 'done'") },
   20), 'ten turns are extracted');

my $all = sub {
    my ($sql) = @_;
    return join "\n", map { $_->[0] } $t->sql($sql);
};

my $messages = $all->('select content from chat.message order by scope_seq');
my $memories = $all->('select content from mem.memory order by content');
my $rest = $all->('select row_to_json(x)::text from gateway.job as x
                   union all
                   select row_to_json(x)::text from gateway.ledger as x');

like($messages, qr/^My \*{6} dog is called Rex\.$/m, 'stored as masked');
like($messages, qr/^My \*{3}\s?\*{3} town is Lisbon\.$/m, 'over parts, too');
like($memories, qr/^My \*{6} dog is called Rex\.$/m, 'remembered as masked');
unlike("$messages\n$memories\n$rest", qr/secret/i, 'the raw text is nowhere');
unlike("$messages\n$memories\n$rest", qr/zebra|Zoe/i,
       'what was blocked is nowhere');
is(scalar $t->sql('select count(*) from gateway.ledger
                   where kind = \'chat\' and outcome = \'complete\''), 10,
   'and is no turn');

like($m->chat($anna, 'what is my dog called?')->{headers}{'x-memory'},
     qr/used/, 'recalled');
unlike($m->prompt, qr/secret|zebra/i, 'as masked');

# memories that people write themselves

my $write = sub {
    return $m->api($anna, 'POST', '/api/v1/memories',
        { character_id => $Sallyport::Memory::mira, content => $_[0] });
};

is($write->('Anna has a zebra.')->{status}, 422, 'a memory is refused');
is($write->('Anna keeps a secret garden.')->{status}, 201, 'another masked');
like($all->('select content from mem.memory where user_edited'),
     qr/^Anna keeps a \*{6} garden\.$/, 'before it is stored');

$m->finish;
done_testing;
