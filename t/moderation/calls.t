#!/usr/bin/perl

# moderation input: the tool calls of a chat's history.  Their arguments are
# JSON in a string, whose reader sees through its escapes; the names that the
# API itself gives its members are nobody's text.

use strict;
use utf8;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP ();
use Sallyport::Test;
use Test::More;

my $json = JSON::PP->new->utf8;
my $t = Sallyport::Test->new;

$t->conf(<<'EOC');
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    moderation_rules test.rules;
    log_format body escape=none '$request_body';
    server {
        listen 127.0.0.1:%%PORT%%;
        moderation input;
        location / { proxy_pass http://127.0.0.1:%%PORT1%%; }
    }
    server {
        listen 127.0.0.1:%%PORT1%%;
        access_log %%DIR%%/logs/body.log body;
        location / { proxy_pass http://127.0.0.1:%%PORT2%%; }
    }
    server {
        listen 127.0.0.1:%%PORT2%%;
        location / { return 200 "passed\n"; }
    }
}
EOC

$t->file('test.rules', <<'EOR');
[t.block category=test severity=4 roles=user,assistant,system,tool]
zebra
purple monkey
[t.mask category=test action=mask roles=user,assistant,system,tool]
secret
[t.words category=test action=mask roles=system,tool]
function
arguments
name
tools
string
EOR

$t->run;


# -- what is found in arguments

for my $case ([ 'plain', '{"a":"zebra"}' ],
              [ 'an escape', '{"a":"z\u0065bra"}' ],
              [ 'all of it escaped',
                '{"a":"\u007a\u0065\u0062\u0072\u0061"}' ],
              [ 'a break', '{"a":"purple\nmonkey"}' ],
              [ 'a term behind a break', '{"a":"x\nzebra"}' ],
              [ 'a broken escape', '{"a":"\u007\u0061 \u007aebra"}' ],
              [ 'a member name', '{"z\u0065bra":1}' ],
              [ 'no JSON', 'z"\u0065' . '"bra zebra' ],
              [ 'no end', '{"a":"z\u0065bra' ])
{
    my ($name, $arguments) = @$case;

    is(call($arguments)->{status}, 422, "$name: a tool call");
    is(post({ messages => [ { role => 'assistant', function_call => {
                  name => 'f', arguments => $arguments } } ] })->{status},
       422, "$name: a function call");
    is(post({ input => [ { type => 'function_call', name => 'f',
                           arguments => $arguments } ] })->{status},
       422, "$name: a body that is no chat");
}

is(call('{"a":"z\\\\u0065bra"}')->{status}, 200,
   'a backslash that is escaped begins no escape');


# -- what a mask leaves

for my $case ([ '{"a":"my secret"}', { a => 'my ******' } ],
              [ '{"a":"my s\u0065cret"}', { a => 'my ******' } ],
              [ '{"a":"\ud83d\ude00 secret\n\"c\\\\ \u00e9"}',
                { a => "\x{1f600} ******\n\"c\\ \x{e9}" } ],
              [ '{"a":"x\nsecret\u0000\ud800"}', undef ],
              [ '{"secret":1}', { '******' => 1 } ],
              [ '{"name":"secret","b":2}', { name => '******', b => 2 } ])
{
    my ($arguments, $expected) = @$case;
    my $got = forwarded($arguments);

    unlike($got, qr/secret/, "masked: $arguments");
    is_deeply($json->decode($got), $expected, 'and still JSON') if $expected;
}

is(forwarded('{"a":"\u00e9\/\n"}'), '{"a":"\u00e9\/\n"}',
   'what is not masked stays as it is written');


# -- the API's own words

is(post({ messages => [
              { role => 'tool', tool_call_id => 'c1', name => 'f',
                content => 'x', tool_calls => [
                    { id => 'c1', type => 'function', function => {
                      name => 'f', arguments => '{"a":1}' } } ] } ] })
   ->{status}, 200, 'masked words that name the members');
is($t->{last}{headers}{'x-moderation'}, undef, 'nothing is said of them');
is(post({ messages => [ { role => 'user', content => 'hi' } ],
          tools => [ { type => 'function', function => { name => 'f',
              parameters => { type => 'object', properties => {
                  x => { type => 'string' } } } } } ] })->{status}, 200,
   'tools and their schema');
is(post({ messages => [ { role => 'user', content => 'hi' } ],
          tools => [ { type => 'function', function => { name => 'f',
              parameters => { type => 'object', properties => {
                  secret => { type => 'string' } } } } } ] })->{status}, 422,
   'a name that is the client\'s own blocks');
is(post({ messages => [ { role => 'user', content => 'hi' } ],
          metadata => { type => 'zebra' } })->{status}, 422,
   'a type that no API has');
is(post({ messages => [ { role => 'assistant', tool_calls => [
              { id => 'zebra', type => 'function', function => {
                name => 'f', arguments => '{}' } } ] } ] })->{status}, 422,
   'the id of a call');
is(post({ arguments => [ 'zebra' ] })->{status}, 422, 'arguments of another kind');

$t->finish;
done_testing;


sub call {
    my ($arguments) = @_;

    return post({ messages => [
        { role => 'user', content => 'hi' },
        { role => 'assistant', tool_calls => [
            { id => 'c1', type => 'function', function => {
              name => 'f', arguments => $arguments } } ] } ] });
}


sub post { return $t->{last} = $t->post('/', {}, $_[0]) }


# the arguments as the upstream got them

sub forwarded {
    my ($arguments) = @_;

    my $log = $t->dir . '/logs/body.log';
    my $before = () = Sallyport::Test::slurp($log) =~ /\n/g;

    call($arguments)->{status} == 200 or return "status $t->{last}{status}";

    $t->wait_until(sub {
        $before < (() = Sallyport::Test::slurp($log) =~ /\n/g)
    });

    my @lines = split /\n/, Sallyport::Test::slurp($log);
    my $got = Sallyport::HTTP::decode_json_or_undef($lines[-1]);

    my $text = $got->{messages}[1]{tool_calls}[0]{function}{arguments};

    utf8::encode($text);
    return $text;
}
