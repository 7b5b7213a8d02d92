#!/usr/bin/perl

# llm_context_size: the context a request gets, by the tier of its token, and
# what of a history that leaves: whole turns.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;
use Sallyport::JWT qw(jwks);

my $key = Sallyport::JWT->new('HS256', kid => 'k');

my ($t, $p) = Sallyport::Llm::gateway(
    http => 'auth_jwt_key_file %%DIR%%/jwks.json;
             map $identity_tier $context_size {
                 premium  100k;
                 standard 400;
                 none     0;
                 broken   "8 KB";
                 negative -1;
                 huge     99999999999999999999k;
             }',
    location => 'auth_jwt "test" optional; llm_message_limit 0;
                 llm_context_size $context_size default=300;',
    server => 'location = /unset { auth_jwt "test" optional;
                                   llm_context_size $context_size;
                                   llm_message_limit 0; llm_pass default; }
               location = /fixed { llm_context_size 250; llm_message_limit 0;
                                   llm_pass default; }
               location = /v1/messages {
                   error_format anthropic; llm_context_size 300;
                   llm_message_limit 0; llm_pass default dialect=anthropic;
               }
               location = /v1/responses {
                   llm_context_size 300; llm_message_limit 0;
                   llm_pass default dialect=responses;
               }',
    prepare => sub { $_[0]->file('jwks.json', jwks($key), 0600) });

my $url = '/v1/chat/completions';
my $words = join ' ', ('lamp') x 20;
my @history = ((map { ({ role => 'user', content => "question $_ $words" },
                       { role => 'assistant', content => "answer $_" }) }
                1 .. 40), { role => 'user', content => 'last' });


# the messages that the provider got; or the code of an error

sub sent {
    my ($tier, $path, %more) = @_;

    my $res = $t->post($path || $url,
        { $tier ? (Authorization => 'Bearer ' . $key->token(
              { sub => 'u', tier => $tier, exp => time + 600 })) : () },
        { model => 'default', max_tokens => 20, messages => \@history,
          %more });

    return $res->{json}{error}{code} // $res->{json}{error}{type}
        if $res->{status} != 200;
    return scalar @{ $p->last_request->{json}{messages} };
}


# -- by tier

my %n = map { $_ => sent($_) } qw(premium standard);

is($n{premium}, 81, 'premium: all of it');
cmp_ok($n{standard}, '>', 1, 'standard: a part');
cmp_ok($n{standard}, '<', 40, '.. of the history');

my $default = sent();

cmp_ok($default, '<', $n{standard}, 'nobody: the default, which is less');
is(sent('unknown'), $default, 'a tier without a line: the default');
is(sent('none'), 81, '0: no limit here');
is(sent(undef, '/unset'), 81, 'without a default: no limit here');

is(sent('premium', undef, model => 'small'), sent('standard', undef,
       model => 'small'), 'the model has less than both');
cmp_ok(sent('premium', undef, model => 'small'), '<', $default, '.. and less');


# -- values that are none

my $says = qr/"llm_context_size" is no number of tokens: "(.*?)", its default/;

for my $tier (qw(broken negative huge)) {
    is(sent($tier), $default, "$tier: the default") for 1 .. 3;
}

my @said = grep { $_ =~ $says } split /\n/, $t->error_log;

cmp_ok(scalar @said, '>=', 1, 'the log says so');
cmp_ok(scalar @said, '<=', $t->workers, '.. once, of each worker');
like($said[0], qr/"8 KB", its default 300 is used/, '.. what it was');


# -- whole turns, the newest ones

my $long = $history[0]{content};

for my $tier (undef, 'standard') {
    my $name = $tier || 'default';
    my $n = sent($tier);
    my @got = @{ $p->last_request->{json}{messages} };

    is($n % 2, 1, "$name: whole turns and the last message");
    is_deeply(\@got, [ @history[ -$n .. -1 ] ], "$name: the newest ones");
}

my $call = { role => 'assistant', content => undef, tool_calls => [
    map { { id => "c$_", type => 'function', function => {
        name => 'look', arguments => '{"of":"' . 'x' x 200 . '"}' } } }
    1 .. 3 ] };
my @tools = ({ role => 'user', content => 'first' }, $call,
             (map { { role => 'tool', tool_call_id => "c$_",
                      content => 'y' x 200 } } 1 .. 3),
             { role => 'assistant', content => 'seen' });

sub roles {
    return join ' ', map { $_->{role} } @{ $p->last_request->{json}{messages} };
}

sent(undef, undef, messages => [ @tools, $history[-1] ]);
is(roles(), 'user', 'calls go with their results');
sent('premium', undef, messages => [ @tools, $history[-1] ]);
is(roles(), 'user assistant tool tool tool assistant user',
   'or stay with them');

sent(undef, undef, messages => [ @tools, map {
         { role => $_ % 2 ? 'assistant' : 'user', content => "m$_" } } 0 .. 6 ]);
is(roles(), 'user assistant user assistant user assistant user',
   'a turn of calls that reaches into the last eight goes as a whole');

is(sent(undef, undef, messages => [ @tools[0 .. 4] ]),
   'context_length_exceeded', 'the turn that is to be answered is never cut');


# -- words beside the results, in one message of an Anthropic client

my $old = join ' ', 'old', ($words) x 20;
my @blocks = ({ role => 'user', content => $old },
              { role => 'assistant', content => "old $words" },
              { role => 'user', content => 'go' },
              { role => 'assistant', content => [ { type => 'tool_use',
                    id => 'toolu_1', name => 'look', input => {} } ] },
              { role => 'user', content => [
                    { type => 'tool_result', tool_use_id => 'toolu_1',
                      content => "$words $words $words $words $words" },
                    { type => 'text', text => 'and now?' } ] });

sent(undef, '/v1/messages', messages => \@blocks);
is(roles(), 'user assistant tool user', 'results in the last message stay');

$blocks[4]{content}[0]{content} = join ' ', ($words) x 20;
is(sent(undef, '/v1/messages', messages => \@blocks),
   'context_length_exceeded', '.. or it is too long: they are not left out');


# -- items of the Responses API

my $res = $t->post('/v1/responses', {}, { model => 'default', input => [
    { role => 'user', content => $old },
    { type => 'function_call', call_id => 'c1', name => 'f',
      arguments => '{"x":"' . 'z' x 300 . '"}' },
    { type => 'function_call_output', call_id => 'c1',
      output => "$words $words" },
    { role => 'assistant', content => 'done' },
    { role => 'user', content => 'last' } ] });

is($res->{status}, 200, 'a long input of the Responses API');
is(roles(), 'user', '.. by turns as well');

is(sent(undef, '/fixed'), sent(undef, '/fixed'), 'a fixed number');
cmp_ok(sent(undef, '/fixed'), '<=', $default, '.. of tokens');


# -- what nginx -t says

$t->accepts($t->http_conf("llm_context_size $_;\n"), "llm_context_size $_")
    for '0', '8192', '8k', '1m', '$arg_x', '$arg_x default=4k', '${arg_x}k';

for my $case ([ 'x', 'invalid value "x" of "llm_context_size": allowed are' ],
              [ '-1', 'invalid value "-1"' ], [ '""', 'invalid value ""' ],
              [ '8k default=4k', 'invalid parameter "default=4k"' ],
              [ '$arg_x 4k', 'invalid parameter "4k"' ],
              [ '$arg_x default=', 'invalid value "default="' ],
              [ '$arg_x default=$arg_y', 'invalid value "default=\$arg_y"' ],
              [ "1;\nllm_context_size 2", 'is duplicate' ])
{
    $t->refuses($t->http_conf("llm_context_size $case->[0];\n"),
                $case->[1] =~ s/([\$"])/\\$1/gr =~ s/\\\\/\\/gr, $case->[0]);
}

$t->finish;
done_testing;
