#!/usr/bin/perl

# Persona and notes in requests of Anthropic's API, for a provider of the same
# and of another one; and what is stored of them.

use strict;
use warnings;

use JSON::PP;
use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Memory;

my $location = 'error_format anthropic; auth_jwt "test" optional; memory on;';
my $m = Sallyport::Memory->new(
    models => 'llm_provider embedder { url http://127.0.0.1:%%PORT2%%/v1;
                   model demo-embedding as=embedding kind=embedding; }
               llm_provider claude { dialect anthropic;
                   url http://127.0.0.1:%%PORT1%%/v1; key_file %%DIR%%/key;
                   model real-claude as=claude; }',
    server => "location = /v1/messages { $location
                   llm_pass claude dialect=anthropic; }");
my $t = $m->t;
my $anna = $m->user(1);

$t->dbh->do("update chat.character set system_prompt = 'Always rhyme.'");


sub say_it {
    my ($text, %more) = @_;

    return $t->request('POST', '/v1/messages', {
        'Content-Type' => 'application/json',
        Authorization => 'Bearer ' . $m->{key}->token(
            { sub => $anna, exp => time + 600 }) },
        JSON::PP->new->encode({ model => 'claude', max_tokens => 50,
            metadata => { character_id => $Sallyport::Memory::mira,
                          user_id => 'u-1' },
            messages => [ { role => 'user', content => $text } ], %more }));
}


my $res = say_it('My dog is called Rex.');
is("$res->{status} $res->{headers}{'x-memory'}", '200 none', 'the first one');
ok($m->stored(2), 'the turn is in the database');
is(scalar $t->sql('select content from chat.message where role = ?', 'user'),
   'My dog is called Rex.', 'as it was said');
my $sent = $m->{provider}->last_request->{json};
is_deeply($sent->{metadata}, { user_id => 'u-1' }, 'what is ours stays here');
like($sent->{system}, qr/Always rhyme/, 'the persona is the system prompt');

for my $case ([ 'claude', 'the same API' ], [ 'default', 'another one' ]) {
    my ($model, $name) = @$case;

    $res = say_it('What is my dog called?', model => $model,
                  stream => JSON::PP::true,
                  system => [ { type => 'text', text => 'Be brief.',
                                cache_control => { type => 'ephemeral' } } ]);
    like($res->{headers}{'x-memory'}, qr/^used=/, "$name: recalled");

    $sent = $m->{provider}->last_request->{json};

    if ($model eq 'claude') {
        like($sent->{system}[0]{text}, qr/Always rhyme/, 'the persona first');
        is_deeply($sent->{system}[1], { type => 'text', text => 'Be brief.',
                  cache_control => { type => 'ephemeral' } },
                  'then the client\'s, with its marker');
        like($sent->{messages}[-1]{content}[0]{text}, qr/called Rex/,
             'notes before the last text');
        is($sent->{messages}[-1]{content}[1]{text}, 'What is my dog called?',
           'which is as it was');

    } else {
        like($sent->{messages}[0]{content}, qr/Always rhyme/, 'the persona');
        is($sent->{messages}[1]{content}[0]{text}, 'Be brief.',
           'then the client\'s');
        like($sent->{messages}[2]{content}, qr/called Rex/, 'notes');
        is($sent->{messages}[3]{content}, 'What is my dog called?',
           'before the last message');
    }
}

$res = say_it('hi', metadata => { character_id =>
                                  '00000000-0000-4000-8000-0000000000ff' });
is($res->{status}, 404, 'an unknown character');
is(JSON::PP->new->decode($res->{body})->{error}{type}, 'not_found_error',
   'is not found');

$m->finish;
done_testing;
