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
                       . "[b category=x]\nzebra\n"
                       . "[n category=x action=mask]\nuser\ntext\nthing\n");
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

my $count = 0;

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

# what the API has words for is no text; other words are not edited

chat('a user');
is_deeply(sent()->{messages}, [ { role => 'user', content => 'a ****' } ],
          'a role is no text');

chat([ $image, { type => 'text', text => 'a text' } ]);
is_deeply(sent()->{messages}[0]{content},
          [ $image, { type => 'text', text => 'a ****' } ],
          'nor is the type of a part');

is(chat([ { type => 'thing', name => 'x' } ])->{status}, 422,
   'one that is not known is');

chat('nothing');
is(sent()->{messages}[0]{content}, 'nothing', 'unchanged');

# all but the text is passed on as it was spelled

for my $text ('my secret', 'nothing') {
    $count = lines();
    $t->post('/v1/chat/completions', { 'Content-Type' => 'application/json' },
             '{"seed":9223372036854775808,"top_p": 1e400,"x\u0041":1.0e-3,'
             . '"messages":[{"role":"user","content":"' . $text . '"}]}');

    my $raw = raw();
    like($raw, qr/"seed":9223372036854775808\D/, "$text: a large integer");
    like($raw, qr/"top_p":1e400\D/, "$text: a number beyond a double");
    like($raw, qr/"x\\u0041":1\.0e-3\D/, "$text: and the rest");
    unlike($raw, qr/secret/, "$text: masked where it must be");
}

my $before = lines();

$res = chat('a zebra');
is($res->{status}, 422, 'blocked');
is($res->{json}{error}{code}, 'content_blocked', 'in the OpenAI shape');
is(lines(), $before, 'and never forwarded');

$t->finish;
done_testing;


sub chat {
    my ($content) = @_;
    $count = lines();
    return $t->post('/v1/chat/completions', {},
                    { model => 'default',
                      messages => [ { role => 'user',
                                      content => $content } ] });
}


sub sent { return Sallyport::HTTP::decode_json_or_undef(raw()) }


sub raw {
    $t->wait_until(sub { lines() > $count });
    return (split /\n/,
            Sallyport::Test::slurp($t->dir . '/logs/body.log'))[-1];
}


sub lines {
    my $n = () = Sallyport::Test::slurp($t->dir . '/logs/body.log') =~ /\n/g;
    return $n;
}
