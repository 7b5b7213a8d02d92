#!/usr/bin/perl

# llm_provider and its siblings: what nginx -t accepts and what it refuses.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Test;

my $t = Sallyport::Test->new;

$t->file('key', "sk-test\n", 0600);
$t->file('open.key', "sk-test\n", 0644);
$t->file('empty.key', "\n", 0600);
$t->file('lines.key', "sk-test\nX-Evil: 1\n", 0600);
$t->file('holder.key', "your-api-key\n", 0600);
$t->file('long.key', 'x' x 5000, 0600);


sub check {
    my ($provider, $location, $more) = @_;

    $location = 'llm_pass default;' unless defined $location;
    $more = '' unless defined $more;

    return $t->check_conf(<<"EOF");
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    $more
    $provider
    server { listen 127.0.0.1:%%PORT%%; location /v1 { $location } }
}
EOF
}

sub block {
    my ($inside) = @_;
    return "llm_provider x { model m as=default; $inside }";
}

my $url = 'url http://127.0.0.1:9/v1;';


# -- accepted

my %good = (
    'the shortest one' => block($url),
    'everything' => block("dialect openai; $url key_file %%DIR%%/key;
                           connect_timeout 1s; send_timeout 1s;
                           read_timeout 10m; keepalive 4; buffer_size 16k;
                           stream_usage off; model n as=b context=128k;"),
    'azure' => block("dialect azure; $url api_version 2025-04-01-preview;
                      max_tokens_name max_completion_tokens;
                      stream_usage continuous;"),
    'gemini' => block("dialect gemini; $url stream_usage off;
                       model e as=e kind=embedding;"),
    'prices' => block("$url model n as=b price=2.5/10;
                       model o as=c price=0.075/0.3/0.01875;
                       model p as=d kind=chat context=8k weight=2 backup
                             internal price=3/15/0.3/3.75;"),
    'a currency' => block($url) . 'llm_currency EUR;',
    'a unix socket' => block('url http://unix:/tmp/x.sock:/v1;'),
    'https' => block('url https://127.0.0.1;'),
    'a host that does not exist' => block('url http://no.such.invalid/;'),
    'no keepalive' => block("$url keepalive 0;"),
    'an upstream of the operator' => 'upstream pool { server 127.0.0.1:9;
        keepalive 8; } ' . block('url http://api.test; upstream pool;'),
);

for my $name (sort keys %good) {
    my ($ok, $out) = check($good{$name});

    ok($ok, "accepted: $name") or diag($out);
}

like((check(block('url http://no.such.invalid/;')))[1],
     qr/\[warn\].* "no\.such\.invalid" of "llm_provider x"; .*check\.conf:\d+/,
     'a host that does not exist is named');

my ($ok, $out) = check('', undef, '') ;

ok(!$ok && $out =~ /no llm_provider has a model "default" with kind=chat for "llm_pass", allowed: none is there in \S+:\d+/,
   'llm_pass names a model that exists') or diag($out);

# the provider may stand behind the server
($ok, $out) = $t->check_conf(<<'EOF');
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    server { listen 127.0.0.1:%%PORT%%; location / { llm_pass default; } }
    llm_provider x { url http://127.0.0.1:9; model m as=default; }
}
EOF
ok($ok, 'a provider behind its server') or diag($out);


# -- refused: [block, what is said]

my %bad = (
    'a price' => [ block("$url model n price=10;"),
                   qr{invalid price in "price=10" of "model", expected price=}
                 ],
    'a price below 0' => [ block("$url model n price=-1/1;"),
                           qr/invalid price/ ],
    'a currency' => [ block($url) . 'llm_currency euro;',
                      qr/invalid currency "euro", expected a code of ISO/ ],
    'two currencies' => [ block($url) . 'llm_currency EUR; llm_currency USD;',
                          qr/"llm_currency" directive is duplicate/ ],
    'no url' => [ block(''), qr/has no "url"/ ],
    'no model' => [ "llm_provider x { $url }", qr/has no "model"/ ],
    'twice' => [ block($url) . "llm_provider x { $url model n; }",
                 qr/duplicate llm_provider "x"/ ],
    'a model twice' => [ block("$url model m as=a; model m as=a backup;"),
                         qr/model "m" is named twice for "a" in llm_provider "x"/ ],
    'too many models' => [ block(join ' ', $url, map { "model m$_ as=a;" }
                                                      1 .. 17),
                           qr/"a" has more than 16 models/ ],
    'a dialect' => [ block("$url dialect klingon;"), qr/allowed: openai/ ],
    'a url' => [ block('url ftp://x/;'), qr/expected http/ ],
    'two urls' => [ block("$url $url"), qr/"url" of llm_provider is dupl/ ],
    'two timeouts' => [ block("$url read_timeout 1s; read_timeout 2s;"),
                        qr/"read_timeout" of llm_provider is duplicate/ ],
    'two upstreams' => [ block("$url upstream a; upstream b;"),
                         qr/"upstream" of llm_provider is duplicate/ ],
    'two values' => [ block("$url keepalive 1 2;"),
                      qr/"keepalive" of llm_provider has a wrong number of/ ],
    'a port' => [ block('url http://x:99999/;'), qr/invalid port/ ],
    'an unknown upstream' => [ block("$url upstream nobody;"),
                               qr/upstream "nobody"/ ],
    'an unknown parameter' => [ block("$url color red;"),
        qr/unknown parameter "color" in llm_provider, expected .* or model/ ],
    'a key for all to read' => [ block("$url key_file %%DIR%%/open.key;"),
                                 qr/mode is 0644, allowed are 0600/ ],
    'no key' => [ block("$url key_file %%DIR%%/none;"), qr/No such file/ ],
    'an empty key' => [ block("$url key_file %%DIR%%/empty.key;"),
                        qr/is empty/ ],
    'a key of two lines' => [ block("$url key_file %%DIR%%/lines.key;"),
                              qr/one line of printable/ ],
    'a placeholder' => [ block("$url key_file %%DIR%%/holder.key;"),
                         qr/placeholder, not a key/ ],
    'a long key' => [ block("$url key_file %%DIR%%/long.key;"),
                      qr/longer than/ ],
    'a certificate without TLS' =>
        [ block("$url trusted_certificate /x.pem;"), qr/is not https/ ],
    'keepalive beside upstream' =>
        [ block("$url upstream p; keepalive 4;"), qr/set it in upstream "p"/ ],
    'a timeout of 0' => [ block("$url read_timeout 0;"),
                          qr/expected a time above 0/ ],
    'a buffer' => [ block("$url buffer_size 1;"), qr/expected 1k to 1m/ ],
    'stream_usage' => [ block("$url stream_usage maybe;"),
                        qr/"maybe" of "stream_usage", expected on, off or continuous/ ],
    'two of stream_usage' => [ block("$url stream_usage on; stream_usage off;"),
                               qr/"stream_usage" of llm_provider is dupl/ ],
    'max_tokens_name' => [ block("$url max_tokens_name limit;"),
        qr/"limit" of "max_tokens_name", expected max_tokens or max_completion_tokens/ ],
    'api_version' => [ block("$url dialect azure; api_version 2024/10;"),
        qr{"2024/10" of "api_version", expected 1 to 32 of} ],
    'api_version of another dialect' =>
        [ block("$url api_version 1;"),
          qr/"api_version" of llm_provider "x" has no effect with dialect "openai"/ ],
    'max_tokens_name of another dialect' =>
        [ block("$url dialect gemini; max_tokens_name max_tokens;"),
          qr/"max_tokens_name" of llm_provider "x" has no effect/ ],
    'continuous usage of another dialect' =>
        [ block("$url dialect gemini; stream_usage continuous;"),
          qr/"stream_usage continuous" of llm_provider "x" has no effect/ ],
    'a url of azure' =>
        [ block('dialect azure; url https://127.0.0.1/openai/v1;'),
          qr{"url" of llm_provider "x" must end before "/openai"} ],
    'a model parameter' => [ block("$url model n color=2;"),
                             qr/expected as=ALIAS, kind=chat, kind=embedding, kind=image, kind=speech, kind=transcription, context=TOKENS, output=TOKENS, capabilities=LIST, tokenizer=NAME, weight=NUMBER, price=INPUT\/OUTPUT, unit_price=AMOUNT, backup or internal/ ],
    'an empty list' => [ block("$url model n capabilities=;"),
        qr/invalid word "" in "capabilities=" of "model", allowed, each once: tools, vision, audio, files, json_schema, reasoning in/ ],
    'an unknown capability' => [ block("$url model n capabilities=tools,song;"),
                                 qr/invalid word "song" in/ ],
    'a capability twice' => [ block("$url model n capabilities=tools,tools;"),
                              qr/invalid word "tools" in/ ],
    'capabilities of vectors' =>
        [ block("$url model n kind=embedding capabilities=tools;"),
          qr/are of models with kind=chat, "n" is kind=embedding/ ],
    'capabilities that differ' =>
        [ block("$url model n as=a capabilities=tools; model m as=a;"),
          qr/"a" has other capabilities here than in llm_provider/ ],
    'an output' => [ block("$url model n output=0;"),
                     qr/invalid parameter "output=0" of "model"/ ],
    'a weight' => [ block("$url model n weight=0;"),
                    qr/invalid value "weight=0" in "model", a number from 1 to 1000 / ],
);

for my $name (sort keys %bad) {
    my ($block, $expected) = @{ $bad{$name} };
    my ($accepted, $said) = check($block);

    ok(!$accepted, "refused: $name");
    like($said, $expected, "$name: says why");
    like($said, qr/check\.conf:\d+/, "$name: says where");
    unlike($said, qr/sk-test/, "$name: shows no key");
}


# -- location directives

my %location = (
    'llm_pass default; llm_pass default;' => qr/is duplicate/,
    'llm_pass "";' => qr/needs the name of a model/,
    'llm_pass default; llm_models;' => qr/content/,
    'llm_pass default; llm_system_messages maybe;' => qr/invalid value/,
    'llm_pass default; llm_message_limit -1;' => qr/invalid number/,
    'llm_pass default; llm_characters nopg;' => qr/pg_server nopg/,
    'llm_embeddings other;' =>
        qr/no llm_provider has a model "other" with kind=embedding/,
    'llm_embeddings default;' =>
        qr/"default" with kind=embedding for "llm_embeddings", allowed: n/,
    'llm_pass other;' => qr/"other" with kind=chat .*, allowed: default in /,
);

for my $text (sort keys %location) {
    my ($accepted, $said) = check(block($url), $text);

    ok(!$accepted, "refused: $text");
    like($said, $location{$text}, "$text: says why");
}

$t->finish;
done_testing;
