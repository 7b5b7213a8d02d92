#!/usr/bin/perl

# prompt_canary: the example plugin, with a step, a stream filter, an end hook
# and a job; on HTTP/1.1 and HTTP/2.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Llm;
use Test::More;


my ($t, $p) = Sallyport::Llm::gateway(
    http => 'pg_server main "%%PG%%" timeout=2s;
             turn_store main; turn_spool %%DIR%%/spool;
             prompt_canary main http://127.0.0.1:%%PORT2%%/hook;
             log_format hook escape=none "$status $request_body";
             server {
                 listen 127.0.0.1:%%PORT2%%;
                 location = /hook {
                     access_log %%DIR%%/logs/hook.log hook;
                     proxy_pass http://127.0.0.1:%%PORT3%%;
                 }
             }
             server {
                 listen 127.0.0.1:%%PORT3%%;
                 if (-f %%DIR%%/away) { return 503; }
                 location / { return 204; }
             }',
    prepare => sub { $_[0]->pg });

my @told;


# -- the step: the word is in the prompt

ask('hello');

my ($word) = prompt() =~ /(canary-\d+)/;
ok($word, 'the model gets a word') or diag(prompt());

ask('hello again');
like(prompt(), qr/\b\Q$word\E\b/, 'the same for all requests');

is($t->get('/metrics')->{status}, 200, 'other requests pass');


# -- the filter: it does not come out, however it is cut

my $leaks = 0;

for my $opt ({}, { http2 => 1 }) {
    for my $size (1, 3, 100) {
        my $name = ($opt->{http2} ? 'h2: ' : '') . "by $size";
        my $out = Sallyport::Llm::parse(
            ask("fault echo size=$size\nwell, $word it is", 1, $opt)->{body});

        is($out->{text}, 'well, ', "$name: the answer ends before it");
        is($out->{finish}, 'content_filter', "$name: with a reason");
        is($out->{done}, 1, "$name: properly");
        $leaks++;
    }

    my $json = ask("fault echo\n$word", 0, $opt)->{json};
    is($json->{choices}[0]{finish_reason}, 'content_filter', 'whole');
    $leaks++;

    for my $said ('canary-canary-1x', substr($word, 0, -1), "x$word" =~ s/y//r)
    {
        my $out = Sallyport::Llm::parse(
            ask("fault echo size=2\n$said", 1, $opt)->{body});

        is($out->{text}, $said, "$said is another word");
    }
}


# -- the end hook and the job: each leak is told once

ok($t->wait_until(sub { told() == $leaks }, 10), 'each leak is told')
    or diag(scalar(told()) . " of $leaks");

my %turns = map { Sallyport::HTTP::decode_json_or_undef($_)->{turn} => 1 }
            told();
is(keys %turns, $leaks, 'once');
is($t->sql('select count(*) from gateway.ledger where id::text = any (?)',
           [ keys %turns ]), $leaks, 'by the id of its turn');

$t->file('away', '');
ask("fault echo\n$word");
ok($t->wait_until(sub {
       $t->sql("select count(*) from gateway.job where kind = 'prompt_canary'
                    and attempt > 0 and state <> 'done'") == 1
   }, 10), 'a receiver that is away is asked again');
unlink $t->dir . '/away';
ok($t->wait_until(sub { told() == $leaks + 1 }, 10),
   'and told when it is back');


# -- configuration

for my $case ([ 'prompt_canary main;', qr/invalid number of arguments/ ],
              [ 'prompt_canary nope http://127.0.0.1/;',
                qr/there is no "pg_server nope \.\.\." above this line/ ],
              [ 'prompt_canary main http://127.0.0.1/;' x 2,
                qr/job kind "prompt_canary" is registered twice/ ])
{
    my ($line, $expected) = @$case;

    $t->refuses($t->http_conf("pg_server main \"%%PG%%\";\n$line\n"),
                $expected, $line);
}

# -- what the plugin is for: to be copied

my $code = join '', map { Sallyport::Test::slurp($_) }
           glob "$Sallyport::Test::top/modules/example/*.[ch]";
$code =~ s{/\*.*?\*/}{}gs;
cmp_ok(scalar(() = $code =~ /^.*\S/mg), '<', 150, 'lines of code');

$p->stop;
$t->finish;
done_testing;


sub ask {
    my ($text, $live, $opt) = @_;

    return $t->post('/v1/chat/completions', {},
                    Sallyport::Llm::body($text, $live ? (stream => \1) : ()),
                    $opt);
}


sub prompt {
    return join "\n", map { $_->{content} }
           @{ $p->last_request->{json}{messages} };
}


# the payloads that the receiver has taken

sub told {
    return map { /^204 (.*)/ ? $1 : () }
           split /\n/, Sallyport::Test::slurp($t->dir . '/logs/hook.log');
}
