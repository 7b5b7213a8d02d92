#!/usr/bin/perl

# POST /v1/embeddings: what is passed, and what is refused by its name.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;

my ($t, $p) = Sallyport::Llm::gateway(
    http => 'llm_provider down { url http://127.0.0.1:%%PORT2%%;
                                 model m as=down; }',
    server => 'location = /chat { llm_pass down; error_page 502 = @embed; }
               location @embed { llm_embeddings embedding; }');


for my $case ([ 'a text', 'x' ], [ 'texts', [ 'x', 'y' ] ],
              [ 'tokens', [ 1, 2, 3 ] ],
              [ 'lists of tokens', [ [ 1, 2 ], [ 3 ] ] ],
              [ '2048 texts', [ ('x') x 2048 ] ],
              [ '9000 tokens', [ (7) x 9000 ] ])
{
    my ($name, $input) = @$case;

    my $res = $t->post('/v1/embeddings', {}, { model => 'embedding',
        input => $input, encoding_format => 'float', dimensions => 2,
        user => 'u' });

    is($res->{status}, 200, $name);
    is_deeply($p->last_request->{json}, { model => 'real-embed',
        input => $input, encoding_format => 'float', dimensions => 2,
        user => 'u' }, "$name: as they came");
}

my $res = $t->post('/v1/embeddings', {}, { input => 'x',
                                           encoding_format => 'base64' });

is($res->{json}{data}[0]{embedding}, 'AAAAPwAAAL8=',
   'a vector as base64, of the model of the location');

for my $case ([ 'no input', {}, 'input_required input' ],
              [ 'an object', { input => {} }, 'input_required input' ],
              [ 'an empty text', { input => '' }, 'input_invalid input' ],
              [ 'no texts', { input => [] }, 'input_invalid input' ],
              [ 'one of them empty', { input => [ 'x', '' ] },
                'input_invalid input' ],
              [ 'a text and tokens', { input => [ 'x', [ 1 ] ] },
                'input_invalid input' ],
              [ 'a text and a token', { input => [ 'x', 1 ] },
                'input_invalid input' ],
              [ 'a negative token', { input => [ -1 ] },
                'input_invalid input' ],
              [ 'half a token', { input => [ 1.5 ] }, 'input_invalid input' ],
              [ 'an empty list of tokens', { input => [ [] ] },
                'input_invalid input' ],
              [ '2049 texts', { input => [ ('x') x 2049 ] },
                'input_too_many input' ],
              [ 'another format', { input => 'x', encoding_format => 'int8' },
                'encoding_format_invalid encoding_format' ],
              [ 'no dimensions', { input => 'x', dimensions => 0 },
                'dimensions_invalid dimensions' ],
              [ 'half a dimension', { input => 'x', dimensions => 1.5 },
                'dimensions_invalid dimensions' ],
              [ 'a user that is a number', { input => 'x', user => 7 },
                'user_invalid user' ],
              [ 'an unknown model', { input => 'x', model => 'nope' },
                'model_not_found model' ])
{
    my ($name, $body, $expected) = @$case;
    my $before = $p->requests;

    $res = $t->post('/v1/embeddings', {}, $body);

    is("$res->{json}{error}{code} $res->{json}{error}{param}", $expected,
       "$name: code and name");
    is(scalar $p->requests, $before, "$name: nothing is sent");
}

is($t->post('/v1/embeddings', {}, { input => 'x', encoding_format => undef,
     dimensions => undef })->{status}, 200, 'null is the same as nothing');

# what a chat was to the location before is none of this one's

$res = $t->post('/chat', {}, { input => 'x', stream => JSON::PP::true,
    messages => [ { role => 'user', content => 'hi' } ] });

is($res->{json}{data}[0]{object}, 'embedding',
   'an error_page leads here from a chat: the answer is whole, with vectors');
like($p->last_request->{line}, qr{^POST /v1/embeddings },
     'from where the provider has them');

$p->stop;
$t->finish;
done_testing;
