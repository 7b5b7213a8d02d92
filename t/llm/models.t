#!/usr/bin/perl

# GET /v1/models and GET /v1/models/ID: from the configuration, in the form of
# the SDK that asks; and requests that the model cannot serve.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;

my ($t, $p) = Sallyport::Llm::gateway(
    http => 'llm_provider more {
                 url http://127.0.0.1:%%PORT1%%/v1;
                 model real-a as=team/seeing context=128k output=16k
                       capabilities=vision,tools,json_schema;
                 model real-b as=team/seeing context=32k output=64k
                       capabilities=tools,json_schema,vision;
                 model real-c as=plain output=4k capabilities=reasoning;
                 model real-d as=half context=8k;
                 model real-e as=half;
             }',
    server => '
        location = /v1/responses { error_format responses;
                                   llm_pass default dialect=responses; }
        location = /exact { llm_models; }
        location ~ ^/some/(models|others) { llm_models; }
        location /slash/ { llm_models; }');


# -- the list

my %listed = map { $_->{id} => $_ } @{ $t->get('/v1/models')->{json}{data} };

is_deeply($listed{'team/seeing'}, {
    id => 'team/seeing', object => 'model', created => 0, owned_by => 'more',
    kind => 'chat', context_window => 32768, max_output_tokens => 16384,
    capabilities => [ 'tools', 'vision', 'json_schema' ],
    modalities => { input => [ 'text', 'image' ], output => [ 'text' ] } },
    'a model with capabilities, and what each of its targets has');

is_deeply($listed{plain}{capabilities}, [ 'reasoning' ], 'another one');
is($listed{plain}{context_window}, undef, 'a size that is not known');
is($listed{half}{context_window}, undef, 'nor is one of some targets');
is($listed{default}{capabilities}, undef, 'capabilities that nobody has told');
is($listed{embedding}{kind}, 'embedding', 'a model for vectors');
ok(!$listed{hidden}, 'an internal one is not there');


# -- one of them

for my $case ([ '/v1/models/plain', 'plain' ],
              [ '/v1/models/team/seeing', 'team/seeing' ],
              [ '/v1/models/team%2Fseeing', 'team/seeing' ],
              [ '/slash/plain', 'plain' ],
              [ '/v1/models/embedding', 'embedding' ])
{
    my ($path, $id) = @$case;

    is_deeply($t->get($path)->{json}, $listed{$id}, "GET $path");
}

for my $path ('/v1/models/', '/v1/models?limit=1', '/exact', '/some/models',
              '/some/models/plain', '/slash/')
{
    is(scalar @{ $t->get($path)->{json}{data} }, keys %listed,
       "GET $path is the list");
}

for my $path ('/v1/models/nope', '/v1/models/hidden', '/v1/models/plain/',
              '/v1/models/real-c')
{
    my $res = $t->get($path);

    is("$res->{status} $res->{json}{error}{code} $res->{json}{error}{param}",
       '404 model_not_found model', "GET $path");
}

is($t->get('/v1/modelsx')->{json}{error}{code}, 'not_found',
   'nothing is behind the name itself');
is($t->post('/v1/models/plain', {}, {})->{status}, 405, 'a model takes GET');
is($t->request('HEAD', '/v1/models/plain')->{status}, 200, 'and HEAD');


# -- for an SDK of Anthropic

my %anthropic = ('Anthropic-Version' => '2023-06-01');
my $list = $t->get('/v1/models', \%anthropic)->{json};

is_deeply($list->{data}[-2], {
    type => 'model', id => 'plain', display_name => 'plain',
    created_at => '1970-01-01T00:00:00Z', max_input_tokens => undef,
    max_tokens => 4096 }, 'a model as Anthropic has it');
is("$list->{first_id} $list->{last_id}", 'default half', 'a page');
ok(defined $list->{has_more} && !$list->{has_more}, 'which is the only one');
is_deeply($t->get('/v1/models/plain', \%anthropic)->{json}, $list->{data}[-2],
          'one of them');


# -- what a model cannot do

my @image = ({ role => 'user', content => [ { type => 'text', text => 'x' },
    { type => 'image_url', image_url => { url => 'http://x/y.png' } } ] });
my @tools = ({ type => 'function', function => { name => 'f' } });

for my $case ([ 'an image', { messages => \@image },
                'unsupported_content messages' ],
              [ 'audio', { messages => [ { role => 'user', content => [
                  { type => 'input_audio', input_audio =>
                    { data => 'x', format => 'mp3' } } ] } ] },
                'unsupported_content messages' ],
              [ 'tools', { messages => [ { role => 'user', content => 'x' } ],
                           tools => \@tools },
                'unsupported_parameter tools' ])
{
    my ($name, $body, $expected) = @$case;
    my $before = $p->requests;
    my $res = $t->post('/v1/chat/completions', {},
                       { %$body, model => 'plain' });

    is("$res->{status} $res->{json}{error}{code} "
       . "$res->{json}{error}{param}", "400 $expected", "$name: refused");
    is(scalar $p->requests, $before, "$name: nothing is sent");

    is($t->post('/v1/chat/completions', {}, { %$body, model => 'default' })
         ->{status}, 200, "$name: passes where capabilities are not told");
}

is($t->post('/v1/chat/completions', {}, { model => 'team/seeing',
     messages => \@image, tools => \@tools })->{status}, 200,
   'a model that can');

my $res = $t->post('/v1/responses', {}, { model => 'plain', input => [ {
    role => 'user', content => [ { type => 'input_image',
                                   image_url => 'http://x/y.png' } ] } ] });
is("$res->{json}{error}{code} $res->{json}{error}{param}",
   'unsupported_content input', 'named as the client has it');

$p->stop;
$t->finish;
done_testing;
