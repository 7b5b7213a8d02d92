#!/usr/bin/perl

# moderation input before llm_pass: what the model gets.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Test;
use Test::More;


my $t = Sallyport::Test->new;

$t->file('test.rules', "[m category=x action=mask]\nsecret\n"
                       . "[b category=x]\nzebra\n");
$t->conf(<<'EOC');
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    moderation_rules test.rules;
    llm_provider fake {
        dialect openai;
        url     http://127.0.0.1:%%PORT1%%/v1;
        model   real as=default;
    }
    log_format body escape=none '$request_body';
    server {
        listen 127.0.0.1:%%PORT%%;
        location = /v1/chat/completions {
            error_format openai;
            moderation input;
            llm_pass default;
        }
    }
    server {
        listen 127.0.0.1:%%PORT1%%;
        access_log %%DIR%%/logs/body.log body;
        location / { proxy_pass http://127.0.0.1:%%PORT2%%; }
    }
    server {
        listen 127.0.0.1:%%PORT2%%;
        default_type application/json;
        location / { return 200 '{"id":"x","object":"chat.completion",
            "created":1,"model":"real","choices":[{"index":0,"message":
            {"role":"assistant","content":"hello"},"finish_reason":"stop"}],
            "usage":{"prompt_tokens":1,"completion_tokens":1,
            "total_tokens":2}}'; }
    }
}
EOC
$t->run;

my $res = chat('my secret is out');
is($res->{status}, 200, 'passes');
is($res->{headers}{'x-moderation'}, 'masked', 'masked');
is($res->{json}{choices}[0]{message}{content}, 'hello', 'is answered');
is(sent()->{messages}[0]{content}, 'my ****** is out', 'as the model got it');
is(sent()->{model}, 'real', 'with its model');

chat([ { type => 'text', text => 'a sec' },
       { type => 'text', text => 'ret b' } ]);
is_deeply([ map { $_->{text} } @{ sent()->{messages}[0]{content} } ],
          [ 'a ***', '*** b' ], 'over parts');

# what a part holds beside its text is read by models, too

my $image = { type => 'image_url',
              image_url => { url => 'data:image/png;base64,/zebra/' } };

for ([ 'the name of a file',
       { type => 'file', file => { filename => 'a zebra.txt' } } ],
     [ 'a result', { type => 'tool_result', content => 'a zebra' } ],
     [ 'a document', { type => 'document', source => {
           type => 'text', data => 'a zebra' } } ],
     [ 'beside text', { type => 'text', text => 'x', title => 'zebra' } ],
     [ 'a name', { type => 'thing', zebra => 1 } ],
     [ 'not an image', { %$image, type => 'text', text => 'x' } ])
{
    my ($what, $part) = @$_;
    is(chat([ $part ])->{status}, 422, "blocked: $what of a part");
}

chat([ { type => 'file', file => { filename => 'my secret' } } ]);
is(sent()->{messages}[0]{content}[0]{file}{filename}, 'my ******',
   'masked there');

is(chat([ $image, { type => 'text', text => 'x' } ])->{status}, 200,
   'the bytes of an image are no text');
sent();

chat('nothing');
is(sent()->{messages}[0]{content}, 'nothing', 'unchanged');

my $before = lines();

$res = chat('a zebra');
is($res->{status}, 422, 'blocked');
is($res->{json}{error}{code}, 'content_blocked', 'in the OpenAI shape');
is(lines(), $before, 'and never forwarded');

$t->finish;
done_testing;


my $count;

sub chat {
    my ($content) = @_;
    $count = lines();
    return $t->post('/v1/chat/completions', {},
                    { model => 'default',
                      messages => [ { role => 'user',
                                      content => $content } ] });
}


sub sent {
    $t->wait_until(sub { lines() > $count });
    return Sallyport::HTTP::decode_json_or_undef(
        (split /\n/, Sallyport::Test::slurp($t->dir . '/logs/body.log'))[-1]);
}


sub lines {
    my $n = () = Sallyport::Test::slurp($t->dir . '/logs/body.log') =~ /\n/g;
    return $n;
}
