#!/usr/bin/perl

# Tokens of a prompt are counted with the vocabulary of its model: histories
# are trimmed to the token, by the word of gpt-tokenizer.

use strict;
use warnings;
use utf8;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Bpe;
use Sallyport::Llm;

binmode Test::More->builder->$_, ':utf8' for qw(output failure_output);

my $bpe = Sallyport::Bpe->new or plan skip_all => Sallyport::Bpe->missing;
my ($o200k, $cl100k) = map { $bpe->vocabulary($_) } qw(o200k_base cl100k_base);

# alias => [ the provider's name, arguments, what counts it ]

my %models = (
    omni => [ 'gpt-4o', 'context=300', 'o200k_base' ],
    turbo => [ 'gpt-3.5-turbo', 'context=300', 'cl100k_base' ],
    dated => [ 'openai/gpt-4o-2024-08-06', '', 'o200k_base' ],
    nano => [ 'gpt-4.1-nano', '', 'o200k_base' ],
    dot => [ 'gpt-5.1', '', 'o200k_base' ],
    three => [ 'o3-mini', '', 'o200k_base' ],
    four => [ 'gpt-4-turbo', '', 'cl100k_base' ],
    tuned => [ 'ft:gpt-3.5-turbo:org::id', '', 'cl100k_base' ],
    azure => [ 'gpt-35-turbo', '', 'cl100k_base' ],
    named => [ 'llama', 'tokenizer=mine', 'mine' ],
    unnamed => [ 'gpt-4o-mini', 'tokenizer=off', 'estimate' ],
    other => [ 'claude', 'context=300', 'estimate' ],
    later => [ 'gpt-4.9', '', 'estimate' ],
    longer => [ 'o1x', '', 'estimate' ],
);

my ($t, $p) = Sallyport::Llm::gateway(
    http => join("\n", 'log_format tokens "$uri $llm_prompt_tokens '
                       . '$llm_tokenizer";',
                 'pg_server main "%%PG%%" timeout=2s;',
                 'turn_store main; turn_spool %%DIR%%/spool;',
                 # above and below what names them
                 "llm_tokenizer o200k_base $o200k;",
                 'llm_provider counted {',
                 'url http://127.0.0.1:%%PORT1%%/v1; read_timeout 5s;',
                 (map { "model $models{$_}[0] as=$_ $models{$_}[1];" }
                  sort keys %models), '}',
                 "llm_tokenizer cl100k_base $cl100k;",
                 "llm_tokenizer mine $cl100k pattern=cl100k_base;"),
    location => 'llm_message_limit 0;
                 access_log %%DIR%%/logs/tokens.log tokens;');

my @log;

sub post {
    my ($model, $messages, %more) = @_;

    my $res = $t->post('/v1/chat/completions', {},
                       { model => $model, messages => $messages, %more });

    # the line is written once the answer is out
    $t->wait_until(sub { @log = split /\n/, Sallyport::Test::slurp(
                             $t->dir . '/logs/tokens.log');
                         @log > $t->{lines} }, 5);
    $t->{lines} = @log;

    my (undef, $tokens, $by) = split / /, $log[-1];

    return ($res, $tokens, $by);
}

sub oracle {
    my $file = $t->file('chats.json', join '', map {
        $Sallyport::Llm::json->encode($_) . "\n" } @_);

    return split /\n/, $bpe->node('chat.mjs', $file);
}

$t->{lines} = 0;


# -- who is counted by what

for my $alias (sort keys %models) {
    my (undef, $tokens, $by)
        = post($alias, [ { role => 'user', content => 'Hello, world!' } ]);

    is($by, $models{$alias}[2], "$models{$alias}[0]: by $models{$alias}[2]");
    cmp_ok($tokens, '>=', 9, '.. with its tokens') or diag($log[-1]);
}


# -- to the token

my @words = ('the harbour', 'lamps', 'don\'t', 'Привет', 'как дела?', '你好',
             '東京タワー', 'สวัสดีครับ', 'مرحبا', 'नमस्ते', '👩‍🚀🚀', 'é', 'naïve',
             '12345', '3.14', "\n\n", '    ', '<|endoftext|>', '{"a":[1]}',
             'internationalization', 'ÀÉ', '!!!', '한국어', 'ǅ');
my $seed = 11;

sub any {
    my ($n) = @_;
    $seed = ($seed * 1664525 + 1013904223) % 4294967296;
    return int($seed / 4294967296 * $n);
}

sub text { return join ' ', map { $words[any(scalar @words)] } 0 .. any(12) }

for my $case ([ 'omni', 'gpt-4o' ], [ 'turbo', 'gpt-3.5-turbo' ]) {
    my ($alias, $model) = @$case;
    my (@chats, @counted);
    my $wrong = 0;

    for my $i (1 .. 25) {
        my @messages = map { { role => $_ % 2 ? 'assistant' : 'user',
                               content => text() } } 0 .. 2 * (10 + any(10));

        my $max = 30 + any(60);
        my ($res, $tokens, $by) = post($alias, \@messages,
                                       max_tokens => $max);

        $res->{status} == 200 && $by ne 'estimate' or $wrong++;

        my $n = @{ $p->last_request->{json}{messages} };
        my @sent = @messages[ -$n .. -1 ];
        my @more = @messages[ -$n - 2 .. -1 ];

        $n < @messages or $wrong++;

        push @chats, { model => $model, messages => \@sent },
                     { model => $model, messages => \@more };
        push @counted, [ $tokens, 300 - $max ];
    }

    is($wrong, 0, "$model: answered, trimmed and counted");

    my @theirs = oracle(@chats);
    my ($same, $fits, $full) = (0, 0, 0);

    for my $chat (@counted) {
        my ($sent, $more) = splice @theirs, 0, 2;

        $same += ($chat->[0] == $sent);
        $fits += ($sent <= $chat->[1]);
        $full += ($more > $chat->[1]);
    }

    is($same, @counted, "$model: the same number as gpt-tokenizer's");
    is($fits, @counted, "$model: never over the context");
    is($full, @counted, "$model: not one turn more would fit");
}


# -- what does not fit

my $long = [ { role => 'user', content => join ' ', ('lamp') x 400 } ];
my ($count) = oracle({ model => 'gpt-4o', messages => $long });
my ($res) = post('omni', $long, max_tokens => 100);

is($res->{status}, 400, 'too long a message');
is($res->{json}{error}{code}, 'context_length_exceeded', '.. by its code');
is($res->{json}{error}{message},
   "the prompt has $count tokens, the context leaves 200",
   '.. says how many it has');

($res) = post('other', $long, max_tokens => 100);
like($res->{json}{error}{message},
     qr/^the prompt has about \d+ tokens, the context leaves 185$/,
     'an estimate says so, and keeps 5 % free');

($res) = post('omni', $long);
like($res->{json}{error}{message}, qr/leaves 285$/,
     'without max_tokens 5 % are for the answer');

($res) = post('omni', $long, max_tokens => 5000);
like($res->{json}{error}{message}, qr/leaves 1$/, 'more than all of it');


# -- names, system messages, tools

my @named = ({ role => 'system', content => 'Be kind.' },
             { role => 'user', name => 'ada_l', content => 'Who am I?' });
my (undef, $tokens) = post('omni', \@named);

is($tokens, (oracle({ model => 'gpt-4o', messages => \@named }))[0],
   'a name and a system message');

my @tools = map { { type => 'function', function => {
    name => "look_up_$_", description => 'Finds the weather of a place.',
    parameters => { type => 'object', required => [ 'place' ], properties => {
        place => { type => 'string', description => 'City and country' },
        unit => { type => 'string', enum => [ 'celsius', 'fahrenheit' ] },
        days => { type => 'integer', description => 'How many days' } } }
    } } } 1 .. 4;
my $by;

(undef, $tokens, $by) = post('omni', \@named, tools => \@tools);
($count) = oracle({ model => 'gpt-4o', messages => \@named,
                    tools => \@tools });

is($by, 'estimate', 'tools are estimated');
cmp_ok(abs($tokens / $count - 1), '<', 0.25,
       "tools: $tokens, gpt-tokenizer's own estimate is $count");


# an image is no text, however long its data are

my $image = [ { role => 'user', content => [
    { type => 'text', text => 'look' },
    { type => 'image_url', image_url => { detail => 'low',
      url => 'data:image/png;base64,' . 'iVBORw0KGgo' x 100_000 } } ] } ];

($res, $tokens) = post('omni', $image);
is($res->{status}, 200, 'an image of 1 MB in a context of 300 tokens');
is($tokens, 4 + 1 + 85 + 3, '.. counts as OpenAI has it');

# nothing but results of tools before the last message: none stays alone

my @tool = ({ role => 'user', content => join ' ', ('lamp') x 150 },
            { role => 'assistant', content => undef, tool_calls => [
              { id => 'c', type => 'function', function => {
                name => 'look_up', arguments => '{"a":"' . 'x ' x 60 . '"}' }
              } ] },
            { role => 'tool', tool_call_id => 'c', content => 'fine' },
            { role => 'user', content => 'and?' });

($res) = post('omni', \@tool, max_tokens => 200);
is($res->{status}, 200, 'arguments of a call are counted');
is_deeply([ map { $_->{role} } @{ $p->last_request->{json}{messages} } ],
          [ 'user' ], '.. and its result goes with it');


# -- what no provider has counted is in the ledger as exact as it gets

($res, $tokens) = post('omni', [ { role => 'user',
                                   content => 'fault nousage' } ],
                       stream => \1);

my $row;

$t->wait_until(sub { ($row) = $t->sql(
    "select estimated_prompt_tokens, estimated_completion_tokens
       from gateway.ledger where model = 'gpt-4o' and prompt_tokens is null
        and estimated_completion_tokens > 0 order by at desc limit 1") }, 10);
my @theirs = oracle({ model => 'gpt-4o', messages =>
                      [ { role => 'user', content => 'fault nousage' } ] },
                    { model => 'gpt-4o', text => $Sallyport::Llm::hello });

is_deeply($row, \@theirs, 'no usage: prompt and answer, counted');


# -- bounded: the rest of a long history is estimated, the answer comes

for my $text ('a' x 3_000_000, ' ' x 3_000_000, "\x{4f60}" x 1_000_000) {
    my $history = [ { role => 'user', content => $text },
                    { role => 'user', content => 'hi' } ];

    ($res, $tokens, $by) = post('dated', $history);

    is($res->{status}, 200, 'a history of 3 MB in one run');
    is($by, 'estimate', '.. is not counted to its end');
}


# -- in memory once

my ($worker) = $t->workers;
my @maps = split /^(?=[0-9a-f]+-[0-9a-f]+ )/m,
           Sallyport::Test::slurp("/proc/$worker/smaps");
my @pages = grep { /^\S+ r--p \S+ 00:00 0 *\n/ } @maps;
my $size = 0;

$size += $_ for map { /^Size: +(\d+)/m } @pages;

SKIP: {
    skip 'a sanitizer has maps of its own', 2
        if ($ENV{SP_SANITIZE} || '') eq '1';

    cmp_ok($size, '>', 20_000, "three vocabularies, read-only: $size KB");
    is(scalar(grep { !/^Private_Dirty: +0 kB/m } @pages), 0,
       'none is the worker\'s own copy');
}

$t->reload;
(undef, $tokens, $by) = post('omni', \@named);
is($by, 'o200k_base', 'after a reload');

unlike(Sallyport::Test::slurp($t->dir . '/logs/error.log'),
       qr/tokens of model .* are estimated/, 'no model misses its vocabulary');


# -- nginx -t

$t->file('twice.tiktoken', "IQ== 0\nIQ== 1\n");
$t->file('text', "not a vocabulary\n");
$t->file('empty', '');
$t->file('short', "IQ== 0\nIg== 1\n");

sub conf {
    my ($http, $model) = @_;

    return <<"EOF";
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    $http
    llm_provider x { url http://127.0.0.1:9; model gpt-4o as=default @{[ $model || '' ]}; }
    server { listen 127.0.0.1:%%PORT%%; location / { llm_pass default; } }
}
EOF
}

$t->accepts(conf("llm_tokenizer o200k_base $o200k;",
                 'tokenizer=o200k_base weight=2'), 'a tokenizer by name');
$t->accepts(conf('', 'tokenizer=off'), 'none at all');

my @refused = (
    [ 'a name alone', 'llm_tokenizer o200k_base;', '',
      qr/number of arguments in "llm_tokenizer"/ ],
    [ 'no such file', 'llm_tokenizer o200k_base %%DIR%%/none;', '',
      qr/none" failed \(2: No such file/ ],
    [ 'a folder', 'llm_tokenizer o200k_base %%DIR%%;', '',
      qr/is not a vocabulary: a file of at most 16m, one "base64 rank" a l/ ],
    [ 'an empty file', 'llm_tokenizer o200k_base %%DIR%%/empty;', '',
      qr/empty" is not a vocabulary: it is empty/ ],
    [ 'a text', 'llm_tokenizer o200k_base %%DIR%%/text;', '',
      qr/text:1" is not a vocabulary: a line is not "base64 rank"/ ],
    [ 'a token twice', 'llm_tokenizer o200k_base %%DIR%%/twice.tiktoken;', '',
      qr/twice\.tiktoken:2" is not a vocabulary: a token is there twice/ ],
    [ 'a part of one', 'llm_tokenizer o200k_base %%DIR%%/short;', '',
      qr/short" is not a vocabulary: not every byte is a token/ ],
    [ 'a name without a pattern', 'llm_tokenizer mine %%DIR%%/text;', '',
      qr/"mine" needs to know how texts are split: pattern=o200k_base or pat/ ],
    [ 'a pattern', 'llm_tokenizer mine %%DIR%%/text pattern=p50k_base;', '',
      qr/pattern=cl100k_base, not "p50k_base"/ ],
    [ 'a parameter', 'llm_tokenizer mine %%DIR%%/text size=1;', '',
      qr/invalid parameter "size=1" of "llm_tokenizer", expected pattern=/ ],
    [ 'off', 'llm_tokenizer off %%DIR%%/text;', '',
      qr/"off" is not the name of a tokenizer/ ],
    [ 'two of one name', ("llm_tokenizer o200k_base $o200k;") x 2, '',
      qr/duplicate llm_tokenizer "o200k_base"/ ],
    [ 'one that is not there', '', 'tokenizer=p50k_base',
      qr/no llm_tokenizer "p50k_base" for "model"/ ],
);

for my $case (@refused) {
    my ($name, @text) = @$case;
    my $pattern = pop @text;
    my $model = pop @text;

    $t->refuses(conf("@text", $model), $pattern, $name);
}

$t->stop;


# -- without a vocabulary it works, and says so once

($t, $p) = Sallyport::Llm::gateway(
    http => 'llm_provider counted { url http://127.0.0.1:%%PORT1%%/v1;
                                    model gpt-4o as=omni;
                                    model gpt-4o-mini as=mini; }');

is($t->post('/v1/chat/completions', {}, { model => 'omni', messages =>
            [ { role => 'user', content => 'hi' } ] })->{status}, 200,
   'a model whose vocabulary is not here');

my @said = Sallyport::Test::slurp($t->dir . '/logs/error.log')
           =~ /(\[notice\].*tokens of model .*)/g;

is(scalar @said, 1, 'said once') or diag("@said");
like($said[0], qr/"gpt-4o" are estimated: there is no llm_tokenizer "o200k_b/,
     '.. what is missing');

$t->finish;
done_testing;
