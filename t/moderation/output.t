#!/usr/bin/perl

# moderation output: what a model says, as a stream and whole.  However it is
# cut into pieces, the client gets the same, and that is what is stored.

use strict;
use utf8;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Llm;
use Test::More;

binmode Test::More->builder->$_, ':encoding(UTF-8)'
    for qw(output failure_output todo_output);

my ($t, $p) = Sallyport::Llm::gateway(
    http => 'moderation_rules %%DIR%%/test.rules;
             llm_provider sayer {
                 dialect say;
                 url http://127.0.0.1:%%PORT1%%/say;
                 read_timeout 1s;
                 model great-sayer as=sayer;
             }
             log_format turn "$status $error_code";
             access_log %%DIR%%/logs/turns.log turn;',
    location => 'moderation output; llm_message_limit 100000;',
    server => 'location = /both { moderation input output;
                                  llm_pass default; }
               location = /say { error_format say; moderation output;
                                 llm_pass default dialect=say; }
               location = /asked { error_format say; moderation input;
                                   llm_pass default dialect=say; }
               location = /off { llm_pass default; }',
    prepare => sub { $_[0]->file('test.rules', <<'EOR') });
[o.block category=abuse severity=4]
zebra
purple monkey
злой кот
[o.mask category=profanity action=mask]
secret
secret sauce
крот
привет
cursed
!cursed thing
[o.flag category=watch action=flag]
flagword
[o.input category=x stage=input]
inputword
[o.output category=x stage=output]
outputword
[o.user category=x roles=user]
userword
EOR


# -- a corpus: what the model says, what the client reads, how it ends

my @corpus = (
    [ 'nothing to see here', undef ],
    [ "\"quoted\"\n\ttab \\ back /slash", undef ],
    [ 'a secret.', 'a ******.' ],
    [ 'secret', '******' ],
    [ 'secrets are fine', undef ],
    [ 'the secret sauce is secret', 'the ************ is ******' ],
    [ 'secret sauces', '****** sauces' ],
    [ 'se cre t and sec', undef ],
    [ 'ein Крот, два', 'ein ****, два' ],
    [ "кр\x{200b}от и привет", '***** и ******' ],
    [ 'a cursed thing is cursed', 'a cursed thing is ******' ],
    [ 'cursed thin', '****** thin' ],
    [ 'flagword', undef ],
    [ 'inputword', undef ],
    [ 'a zebra runs', 'a ', 'content_filter' ],
    [ 'zebra', '', 'content_filter' ],
    [ 'zeb', undef ],
    [ 'zebras and purple monkeys', undef ],
    [ "purple \n monkey business", '', 'content_filter' ],
    [ 'my secret: a purple monkey, a secret', 'my ******: a ',
      'content_filter' ],
    [ 'ты злой кот!', 'ты ', 'content_filter' ],
    [ "z\x{301}ebra ze\x{200b}bra", "z\x{301}ebra ", 'content_filter' ],
    [ "\x{1f600} ｚｅｂｒａ", "\x{1f600} ", 'content_filter' ],
    [ 'outputword', '', 'content_filter' ],
    [ 'userword', '', 'content_filter' ],
    [ ('long ' x 400) . 'secret ' . ('é ' x 400) . 'zebra',
      ('long ' x 400) . '****** ' . ('é ' x 400), 'content_filter' ],
    [ join(' ', ('secret') x 50), join(' ', ('******') x 50) ],
);

for my $case (@corpus) {
    my ($said, $read, $finish) = @$case;
    my $name = substr $said, 0, 24;

    $name =~ s/([^ -~])/sprintf '\\x{%x}', ord $1/ge;
    $read = $said unless defined $read;
    $finish ||= 'stop';

    my $whole = whole($said);
    is($whole->{status}, 200, "$name: status");
    is($whole->{text}, $read, "$name: whole");
    is($whole->{finish}, $finish, "$name: whole: how it ends");

    for my $size (length $said > 100 ? (7, 64) : (1 .. 5, 64)) {
        my $stream = stream($said, $size);

        is($stream->{text}, $read, "$name: by $size");
        is($stream->{finish}, $finish, "$name: by $size: how it ends");
        is($stream->{done}, 1, "$name: by $size: [DONE]");
        ok(!$stream->{error}, "$name: by $size: no error");
    }
}


# -- what goes on at once: only what may become a match waits

my $stream = stream('one zero zeal z', 1);

is($stream->{text}, 'one zero zeal z', 'prefixes of a term go on in the end');
cmp_ok($stream->{chunks}, '>', 8, 'in pieces');


# -- the provider is left when there is nothing more to hear

stream("a zebra\n" . ('and on ' x 200), 3);
ok($p->wait_event('closed', $p->last_request->{n}),
   'a blocked answer is not read to its end');


# -- every field, every choice

for my $field ('reasoning_content', 'refusal', 'tool_calls') {
    my $text = $field eq 'tool_calls' ? '{"q":"a secret"}' : 'a secret, so';

    for my $live (0, 1) {
        my $res = ask("fault echo size=2 field=$field\n$text", $live);
        my $read = fields($res, $live)->{$field};

        is($read, $text =~ s/secret/******/r,
           "$field" . ($live ? ', stream' : ''));
    }

    $text = '{"q":"a zebra"}';
    is(fields(ask("fault echo size=2 field=$field\n$text", 1), 1)->{$field},
       '{"q":"a ', "$field: blocked");
}

for my $live (0, 1) {
    my $res = ask("fault echo size=2\nall is fine\n--\na zebra\n--\nthe end",
                  $live, n => 3);
    my @choices = choices($res, $live);

    is_deeply([ map { $_->{text} } @choices ],
              [ 'all is fine', 'a ', 'the end' ],
              'a choice is blocked, others are not' . ($live ? ', live' : ''));
    is_deeply([ map { $_->{finish} } @choices ],
              [ 'stop', 'content_filter', 'stop' ], 'each has its end');
    is($res->{status}, 200, 'status');
}


# -- usage, ends, faults

$stream = Sallyport::Llm::parse(
    ask("fault echo size=3\na secret", 1,
        stream_options => { include_usage => \1 })->{body});
is($stream->{usage}{completion_tokens}, 3, 'usage is told');

$stream = Sallyport::Llm::parse(ask("fault echo size=3\na secret", 1)->{body});
is($stream->{usage}, undef, 'where it was asked for');

for my $fault ('short', 'short finish=0', 'no_blank', 'bytes', 'comments') {
    $stream = Sallyport::Llm::parse(
        $t->post('/v1/chat/completions', {},
                 { model => 'default', stream => \1, messages => [
                     { role => 'user', content => "fault $fault" } ] })
        ->{body});

    is($stream->{text}, $Sallyport::Llm::hello, "fault $fault: the text");
    is($stream->{done}, $fault =~ /finish=0/ ? 0 : 1, "fault $fault: [DONE]");
    is($stream->{error} ? 1 : 0, $fault =~ /finish=0/ ? 1 : 0,
       "fault $fault: an error where one is due");
}


# -- dialects

for my $live (0, 1) {
    my $res = ask("fault echo size=2\na secret, a zebra", $live,
                  model => 'sayer');
    my $got = $live ? Sallyport::Llm::parse($res->{body}) : message($res);

    is($got->{text}, 'a ******, a ', 'from another dialect');
    is($got->{finish}, 'content_filter', 'and its end');
}

my $res = $t->post('/say', {}, { model => 'default', live => \1, talk => [
    { who => 'user', says => "fault echo size=2\na secret, a zebra" } ] });
is(join('', map { $Sallyport::Llm::json->decode($_)->{say} // '' }
            split /\n/, $res->{body}),
   'a ******, a ', 'to another dialect');

$res = $t->post('/asked', {}, { model => 'default', talk => [
    { who => 'user', says => 'my ' . ('secret ' x 50) } ] });
is($res->{status}, 200, 'asked in another dialect');
is($p->last_request->{json}{messages}[0]{content}, 'my ' . ('****** ' x 50),
   'masked') or diag($res->{body});


# -- both directions; none

is($t->post('/both', {}, Sallyport::Llm::body('inputword'))->{status}, 422,
   'input is refused');
is(message($t->post('/both', {},
                    Sallyport::Llm::body("fault echo\nan outputword")))
   ->{text}, 'an ', 'output is scanned');
is(message($t->post('/off', {}, Sallyport::Llm::body("fault echo\na zebra")))
   ->{text}, 'a zebra', 'off');


# -- what is counted

is(Sallyport::Llm::metric($t, 'sallyport_moderation_verdicts_total',
       'stage="input",category="x",action="block"'), 1, 'an input');
cmp_ok(Sallyport::Llm::metric($t, 'sallyport_moderation_verdicts_total',
           "stage=\"output\",category=\"$_->[0]\",action=\"$_->[1]\""),
       '>', 0, "an output: $_->[1]")
    for [ abuse => 'block' ], [ profanity => 'mask' ], [ watch => 'flag' ];
cmp_ok(Sallyport::Llm::metric($t, 'sallyport_moderation_scanned_total',
                              'stage="output"'), '>', 100, 'scanned');

unlike($t->error_log, qr/zebra|secret/, 'no text in the log');

$p->stop;
$t->finish;
done_testing;


sub ask {
    my ($text, $live, %more) = @_;

    return $t->post('/v1/chat/completions', {},
                    { %{ Sallyport::Llm::body($text, %more) },
                      $live ? (stream => \1) : () });
}


sub whole { return message(ask("fault echo\n$_[0]", 0)) }


sub message {
    my ($res) = @_;

    my $choice = ($res->{json} || {})->{choices}[0] || {};

    return { status => $res->{status}, text => $choice->{message}{content} // '',
             finish => $choice->{finish_reason} };
}


sub stream {
    my ($text, $size) = @_;

    my $parsed = Sallyport::Llm::parse(
        ask("fault echo size=$size\n$text", 1)->{body});

    return $parsed;
}


# the whole of a field

sub fields {
    my ($res, $live) = @_;

    my %out;

    for my $message (messages($res, $live)) {
        for my $field ('content', 'reasoning_content', 'refusal') {
            $out{$field} .= $message->{$field} if defined $message->{$field};
        }

        $out{tool_calls} .= $_->{function}{arguments}
            for @{ $message->{tool_calls} || [] };
    }

    return \%out;
}


sub messages {
    my ($res, $live) = @_;

    return map { $_->{message} } @{ $res->{json}{choices} } unless $live;
    return map { map { $_->{delta} } @{ $_->{choices} } } events($res);
}


sub events {
    my ($res) = @_;

    return map { $Sallyport::Llm::json->decode($_) }
           $res->{body} =~ /^data: (\{.*)$/mg;
}


sub choices {
    my ($res, $live) = @_;

    return map { { text => $_->{message}{content},
                   finish => $_->{finish_reason} } }
           @{ $res->{json}{choices} } unless $live;

    my @out;

    for my $choice (map { @{ $_->{choices} } } events($res)) {
        my $out = $out[$choice->{index}] ||= { text => '' };

        $out->{text} .= $choice->{delta}{content} // '';
        $out->{finish} = $choice->{finish_reason} if $choice->{finish_reason};
    }

    return @out;
}
