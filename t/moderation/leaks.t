#!/usr/bin/perl

# moderation output, and a provider that is odd or hostile: whatever it sends,
# what the client puts together and what is stored hold no blocked or masked
# term.

use strict;
use utf8;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Encode ();
use Sallyport::Llm;
use Test::More;

binmode Test::More->builder->$_, ':encoding(UTF-8)'
    for qw(output failure_output todo_output);

my $json = $Sallyport::Llm::json;
my $asked = 0;

my ($t, $p) = Sallyport::Llm::gateway(
    http => 'moderation_rules %%DIR%%/test.rules;
             pg_server main "%%PG%%" timeout=2s;
             turn_store main; turn_spool %%DIR%%/spool;
             log_format turn "$status $error_code";
             access_log %%DIR%%/logs/turns.log turn;',
    location => 'moderation output; llm_message_limit 1000000;',

    # the provider parses 200 KB of JSON first, byte by byte
    read_timeout => '10s',
    prepare => sub {
        $_[0]->pg;
        $_[0]->file('test.rules', <<'EOR');
[o.block category=abuse severity=4]
zebra
purple monkey
[o.mask category=profanity action=mask]
secret
EOR
    });


# -- texts of a choice that a client joins

for my $field (qw(content refusal reasoning_content)) {
    for my $word ('zebra', 'secret') {
        my ($a, $b) = $word =~ /(..)(.*)/;

        streamed("$field: $word after its end",
                 said({ $field => "a $a" }), said({}, 'stop'),
                 said({ $field => "$b c" }), said({}, 'stop'));
        streamed("$field: $word and no reason for its end",
                 said({ $field => "a $a" }, ''), said({ $field => "$b c" }, ''),
                 said({}, 'stop'));
        streamed("$field: $word, and the end in its middle",
                 said({ $field => "a $a" }, 'stop'),
                 said({ $field => "$b c" }, 'stop'));
        whole("$field: $word in two choices with one number",
              { index => 0, message => { $field => "a $a" } },
              { index => 0, message => { $field => "$b c" },
                finish_reason => 'stop' });
        whole("$field: $word in choices that are numbered late",
              { index => 1, message => { $field => "a $a" } },
              { message => { $field => "$b c" }, finish_reason => 'stop' });
    }
}

# the reason for no end is no end

my $out = streamed('an empty finish_reason',
                   said({ content => 'one ' }, ''),
                   said({ content => 'two' }, ''), said({}, 'stop'));
is($out->{'0 content'}, 'one two', 'an empty finish_reason ends nothing');


# -- a character in two events

for my $case ([ 'a pair', ['x \ud83d', '\ude00 y'], "x \x{1f600} y" ],
              [ 'a pair, and nothing between', ['\uD83D', '', '\uDE00'],
                "\x{1f600}" ],
              [ 'three pairs', ['\ud83d', '\ude00\ud83d', '\ude01\ud83d',
                                '\ude02'], "\x{1f600}\x{1f601}\x{1f602}" ],
              [ 'a first half, and no second', ['x\ud83d', 'y'],
                "x\x{fffd}y" ],
              [ 'two first halves', ['\ud83d', '\ud83d\ude00'],
                "\x{fffd}\x{1f600}" ],
              [ 'a first half at the end', ['x', '\ud83d'], "x\x{fffd}" ],
              [ 'a second half', ['x', '\ude00'], "x\x{fffd}" ],
              [ 'text that looks like one', ['x\\\\ud83d', '\\\\ude00'],
                'x\ud83d\ude00' ],
              [ 'a pair in a term', ['ze\ud83d', '\ude00bra'],
                "ze\x{1f600}bra" ])
{
    my ($name, $pieces, $expected) = @$case;

    for my $field (qw(content refusal)) {
        my $out = safe("$name: $field", 1,
            (map { qq({"choices":[{"index":0,"delta":{"$field":"$_"}}]}) }
             @$pieces),
            $json->encode(said({}, 'stop')), '[DONE]');
        is($out->{"0 $field"}, $expected, "$name: the $field");
    }
}


# -- calls

for my $live (0, 1) {
    my $kind = $live ? 'stream' : 'whole';

    both("$kind: a term is the name of a call", $live,
         call(0, 'c1', 'zebra', '{}'));
    both("$kind: a masked term is the name of a call", $live,
         call(0, 'c1', 'secret', '{}'));
    both("$kind: a term is the id of a call", $live,
         call(0, 'zebra', 'look_up', '{}'));
    both("$kind: a name in pieces", $live, call(0, 'c1', 'ze', ''),
         call(0, undef, 'bra', '{}'));
    both("$kind: a number twice", $live, call(0, 'c1', 'f', '{"a":"ze'),
         call(0, 'c1', 'f', 'bra"}'));
    both("$kind: escapes in arguments", $live,
         call(0, 'c1', 'f', '{"a":"z\u0065bra"}'));
    both("$kind: a broken escape in arguments", $live,
         call(0, 'c1', 'f', '{"a":"\u007\u0061ebra"}'));
    both("$kind: a line in arguments", $live,
         call(0, 'c1', 'f', '{"a":"x\nzebra"}'));
    both("$kind: a break in arguments", $live,
         call(0, 'c1', 'f', '{"a":"purple\nmonkey"}'));

    my $out = both("$kind: a call that is fine", $live,
                   call(0, 'c1', 'look_up', '{"a":"b\n\"c\\\\ \u00e9"}'));
    is($out->{'0 name 0'}, 'look_up', "$kind: its name");
    is($out->{'0 id 0'}, 'c1', "$kind: its id");
    is_deeply($json->decode(Encode::encode_utf8($out->{'0 arguments 0'})),
              { a => "b\n\"c\\ \x{e9}" }, "$kind: its arguments");
}



# -- bounds: what is not judged is not said

for my $case ([ 'as many calls as are judged', 256 ],
              [ 'more calls than are judged', 300 ])
{
    my ($name, $n) = @$case;
    my $res = raw(1, (map { $json->encode(said({ tool_calls => [
                                call($_, "c$_", 'f', '{}') ] })) } 1 .. $n),
                  '[DONE]');
    my %ids = map { $_ => 1 } $res->{body} =~ /"id":"(c\d+)"/g;

    is(keys %ids, 256, $name);
    is($res->{body} =~ /"code":"(\w+)"/ ? $1 : '',
       $n > 256 ? 'provider_invalid_event' : '', "$name: how it ends");
}

for my $filler (' ', "\x{200b}", "\x{301}") {
    my $out = streamed(sprintf('a term with U+%04X for ever', ord $filler),
                       said({ content => 'a purple' }),
                       (map { said({ content => $filler x 7000 }) } 1 .. 10),
                       said({ content => 'monkey' }), said({}, 'stop'));

    like($out->{'0 content'}, qr/^a [purple]{0,6}\z/, 'is not waited for');
}


# -- what a provider says of a request that it refuses

for my $code (400, 413, 422) {
    my $say = sub {
        $asked++;
        return $t->post('/v1/chat/completions', {}, Sallyport::Llm::body(
            "fault status code=$code $_[0]"))->{json}{error};
    };
    my $own = $code == 413 ? 'the request is too large for the model provider'
                           : 'the model provider refused the request';

    for my $case ('message=a_zebra', 'message=a_purple_monkey!',
                  'message=fine type=zebra', 'message=fine param=a.zebra',
                  'message=fine error=zebra', 'message=fine error=secret')
    {
        my $error = $say->($case);

        is($error->{message}, $own, "$code $case: our own message");
        is($error->{code}, 'provider_refused_request', "$code $case: code");
        is($error->{param}, undef, "$code $case: param");
        is($error->{details}, undef, "$code $case: nothing of the rule");
    }

    my $error = $say->('message=no_secret_here type=t param=p error=c');

    is_deeply({ map { $_ => $error->{$_} } qw(message type param code) },
              { message => "$own: no ****** here", type => 't', param => 'p',
                code => 'c' }, "$code: what is masked");
}


# -- what is stored of an answer beside its text

streamed('a reason of its own', said({ content => 'x' }), said({}, 'zebra'));
ok($t->wait_until(sub {
       $t->sql('select count(*) from gateway.ledger') == $asked
   }, 10), 'turns are stored');
is($t->sql("select count(*) from gateway.ledger l
                where l::text ~ 'zebra|secret|purple monkey'"), 0,
   'without a term');

$t->finish;
done_testing;


sub said {
    my ($delta, $finish) = @_;
    return { choices => [ { index => 0, delta => $delta,
                            finish_reason => $finish } ] };
}


sub call {
    my ($index, $id, $name, $arguments) = @_;

    return { index => $index, type => 'function',
             defined $id ? (id => $id) : (),
             function => { name => $name, arguments => $arguments } };
}


sub both {
    my ($name, $live, @calls) = @_;

    return streamed($name, (map { said({ tool_calls => [ $_ ] }) } @calls),
                    said({}, 'tool_calls')) if $live;
    return whole($name, { index => 0, finish_reason => 'tool_calls',
                          message => { tool_calls => \@calls } });
}


sub streamed {
    my ($name, @events) = @_;
    return safe($name, 1, (map { $json->encode($_) } @events), '[DONE]');
}


sub whole {
    my ($name, @choices) = @_;
    return safe($name, 0, $json->encode({ choices => \@choices }));
}


# what a client has in the end, by choice and field; none of it is a term

sub safe {
    my ($name, $live, @lines) = @_;

    my $res = raw($live, @lines);
    my %out;

    for my $choice (map { @{ $_->{choices} || [] } }
                    $live ? map { $json->decode($_) }
                            $res->{body} =~ /^data: (\{.*)$/mg
                          : $res->{json} || ())
    {
        my $i = $choice->{index};
        my $say = $choice->{delta} || $choice->{message};
        my $n = 0;

        $out{"$i $_"} .= $say->{$_} // ''
            for qw(content refusal reasoning_content);

        for my $call (@{ $say->{tool_calls} || [] }) {
            my $k = $call->{index} // $n++;

            $out{"$i id $k"} .= $call->{id} // '';
            $out{"$i $_ $k"} .= $call->{function}{$_} // ''
                for qw(name arguments);
        }
    }

    my $all = join "\n", map { "$_: $out{$_}" } sort keys %out;
    my $read = $all =~ s/(?<!\\)\\u([0-9a-f]{4})/chr hex $1/ger
                    =~ s/\\n/ /gr;

    is($res->{status}, 200, "$name: status");
    unlike($read, qr/zebra|secret|purple monkey/, $name) or diag($res->{body});

    return \%out;
}


sub raw {
    my ($live, @lines) = @_;

    $asked++;

    return $t->post('/v1/chat/completions', {},
        { %{ Sallyport::Llm::body(Encode::decode_utf8(
              join "\n", 'fault raw', @lines)) },
          $live ? (stream => \1) : () });
}
