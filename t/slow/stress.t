#!/usr/bin/perl

# The whole gateway under load while its parts fail: what a client was told is
# in the database, once and word for word; nobody waits for what is away.
#
# SP_LONG=1: PostgreSQL is away for 20 seconds instead of 5.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use JSON::PP;
use POSIX ();
use Sallyport::HTTP2;
use Sallyport::JWT;
use Sallyport::Test;
use Test::More;
use Time::HiRes qw(sleep time);


my $mira = '00000000-0000-4000-8000-0000000000c1';
my $url = '/v1/chat/completions';
my $json = JSON::PP->new->canonical->utf8;
my $key = Sallyport::JWT->new('HS256', kid => 'test');
my $t = Sallyport::Test->new(workers => 2);

# a worker that was killed closes nothing
$t->allow(qr/exited on signal 9/);

$t->redis;
$t->pg;
chmod 0600, $t->file('jwks.json', jwks($key));
$t->file('www/page', 'protected');
$t->file('rules', "[rude category=abuse severity=4 action=block]\nforbidden "
                  . "words\n");
$t->dbh->do("insert into auth.users (id) values (?)", undef, user($_))
    for 0 .. 9;
$t->dbh->do("insert into chat.character (id, name, is_public)
             values ('$mira', 'Mira', true)");

$t->conf(<<"EOF");
%%LOAD%%
%%GLOBALS%%
events { worker_connections 1024; }
http {
    %%HTTP%%
    log_format  path '\$uri';
    redis_server main %%REDIS%% timeout=20ms;
    pg_server main "%%PG%%" connections=4 timeout=2s;
    turn_store main;
    turn_spool %%DIR%%/spool;
    auth_jwt_key_file %%DIR%%/jwks.json;
    error_format openai;

    quota_redis main;
    quota_policy plenty { requests 100000/m; }
    moderation_rules %%DIR%%/rules;
    memory_server main;
    memory_embedder embedding dimensions=256;
    llm_characters main;
    llm_provider demo {
        url http://127.0.0.1:%%PORT1%%/v1;
        model demo as=default;
        model demo-embedding as=embedding kind=embedding;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORTH2%% http2;
        client_max_body_size 1m;
        body_max_size 1m;
        root %%DIR%%/www;

        location = $url {
            auth_jwt "test";
            quota plenty;
            moderation input;
            memory on;
            llm_pass default;
        }

        location = /page { auth_jwt "test"; quota plenty; }
        location = /metrics { metrics; }
    }

    server {
        listen 127.0.0.1:%%PORT1%%;
        access_log %%DIR%%/logs/provider.log path;
        location /v1/ { demo_model delay=3ms; }
    }
}
EOF

$t->run;


# -- bad input: first, while the provider has heard of nobody

my $long = $json->encode(chat('x' x 2_000_000));
my $good = $json->encode(chat('hi'));

# [name, status, changes of the request]

my @bad = (
    [ 'no token', 401, authorization => undef ],
    [ 'garbage for a token', 401, authorization => 'Bearer garbage' ],
    [ 'an expired token', 401, authorization => bearer(0, exp => time - 99) ],
    [ 'garbage for JSON', 400, body => '{"model": [' ],
    [ 'a body of 2 MB', 413, body => $long ],
    [ 'an unknown character', 404, body => $json->encode(chat('hi',
        metadata => { character_id => user(77) })) ],
    [ 'invalid UTF-8', 400, body => $good =~ s/hi/\xc3\x28/r ],
    [ 'duplicate keys', 400, body => $good =~ s/^\{/{"model":"default",/r ],
    [ 'a wrong content type', 415, type => 'text/plain' ],
    [ 'no content type', 415, type => undef ],
    [ 'a blocked text', 422, body => $json->encode(
        chat('such forbidden words')) ],
    map { [ "method $_", 405, method => $_, body => undef ] }
        qw(GET DELETE),
);

for my $case (@bad) {
    my ($name, $status, %change) = @$case;
    my %r = (method => 'POST', type => 'application/json', body => $good,
             authorization => bearer(0), %change);
    my %headers = (
        defined $r{authorization} ? (Authorization => $r{authorization}) : (),
        defined $r{type} ? ('Content-Type' => $r{type}) : ());

    my $h2 = Sallyport::HTTP2->connect($t->address({ port => 'H2' }));
    my %res = (
        'HTTP/1.1' => eval {
            $t->request($r{method}, $url, \%headers, $r{body})
        } || { status => $@ },
        'HTTP/2' => $h2->reply($h2->request($r{method}, $url, \%headers,
                                            $r{body})));

    for my $protocol (sort keys %res) {
        my $res = $res{$protocol};
        my $error = ref $res->{json} eq 'HASH' ? $res->{json}{error} : undef;

        is($res->{status}, $status, "$name, $protocol: status");
        ok(ref $error eq 'HASH' && $error->{message} && $error->{type}
           && $error->{code}, "$name, $protocol: OpenAI's error")
            or diag($res->{body});
    }

    $h2->close;
}

is(scalar(grep { m{/chat/} } provider_log()), 0, 'nothing was forwarded');
is($t->sql("select count(*) from gateway.ledger
             where kind = 'chat' and outcome <> 'refused'"), 0,
   'and nothing but the refusal stored');


# -- reloads

my $load = load('reload', 6);

for my $round (1 .. 4) {
    ok(progress($load, 15), "reload $round: chats go on");
    $t->reload;
}

ended($load, failed => 0);
$t->wait_until(sub { $t->workers(all => 1) == 2 }, 20);


# -- a worker is killed

$load = load('kill', 6);

for my $round (1 .. 3) {
    ok(progress($load, 15), "kill $round: chats go on");
    kill 'KILL', ($t->workers)[$round % 2];
    ok($t->wait_until(sub { $t->workers == 2 }, 10), 'a new worker');
}

ok(progress($load, 15), 'and serves');

# each worker has a few chats at a time
ended($load, failed => 3 * 6);


# -- Redis hangs

my @allowed = ('sallyport_quota_decisions_total',
               'policy="plenty",result="allowed"');
my @before = sort { $a <=> $b } map { (page($_))[0] } 1 .. 200;

$load = load('redis', 2);
ok(progress($load, 4), 'chats go on');
$t->suspend('redis');

my (@took, $refused);

for (1 .. 300) {
    my ($took, $status) = page($_);

    push @took, $took;
    $refused++ if $status != 200;
}

ok(progress($load, 10), 'Redis is stopped: chats go on');
$t->resume('redis');
ended($load, failed => 0);

@took = sort { $a <=> $b } @took;

ok(!$refused, 'Redis is stopped: served');

# a busy machine is not the gateway's fault
cmp_ok($took[0.99 * @took], '<', 0.1 + $before[0.99 * @before],
       sprintf 'p99 %.1f ms, %.1f ms with Redis', 1000 * $took[0.99 * @took],
       1000 * $before[0.99 * @before]);

my $asked = metric(@allowed);

ok($t->wait_until(sub {
    page(1);
    return metric(@allowed) > $asked;
}, 10), 'it goes on: asked again');


# -- PostgreSQL is away

my $away = $ENV{SP_LONG} ? 20 : 5;

$load = load('postgres', 4);
ok(progress($load, 20), 'chats go on');
$t->stop_server('pg');

my $until = time + $away;

ok(progress($load, 10), 'PostgreSQL is stopped: chats go on');
# waits: for as long as it is to be away
sleep $until - time if $until > time;
ok(progress($load, 10), "and on, $away seconds later");
$t->start_server('pg');
ok(progress($load, 10), 'it is back: chats go on');
ended($load, failed => 0);


# -- clients that leave at random moments

srand 1;

my @open;

for my $i (1 .. 200) {
    my $s = $t->stream('POST', $url, { Authorization => bearer($i % 10) },
        chat("leaving $i", stream => $i % 3 ? \1 : \0));

    push @open, $s;
    sleep rand 0.02;    # waits: the moments are random
    (splice @open, rand @open, 1)->close(abrupt => $i % 2) if @open > 8;
}

$_->close for @open;

my $h2 = Sallyport::HTTP2->connect($t->address({ port => 'H2' }));

for my $i (1 .. 60) {
    my $id = $h2->request('POST', $url, { Authorization => bearer($i % 10),
        'Content-Type' => 'application/json' },
        $json->encode(chat("reset $i", stream => \1)));

    sleep rand 0.02;    # waits: the moments are random
    $h2->reset($id);
}

my $id = $h2->request('GET', '/page', { Authorization => bearer(0) });

is($h2->reply($id)->{body}, 'protected', 'the connection has survived');
$h2->close;

$load = load('after', 4);
ok(progress($load, 10), 'chats go on');
ended($load, failed => 0);

is(metric('sallyport_spool_dropped_total', 'kind="turns"'), 0, 'no turn was dropped');
ok($t->wait_until(sub { metric('sallyport_spool_bytes', 'kind="turns"') == 0 }, 10),
   'and none waits');

$t->finish;
done_testing;


# -- requests

sub user { return sprintf '00000000-0000-4000-8000-%012d', $_[0] }


sub bearer {
    my ($n, %claims) = @_;
    return 'Bearer ' . $key->token({ sub => user($n), exp => time + 600,
                                     %claims });
}


sub chat {
    my ($text, %more) = @_;
    return { model => 'default', metadata => { character_id => $mira },
             messages => [ { role => 'user', content => $text } ], %more };
}


sub page {
    my ($n) = @_;

    my $start = time;
    my $res = $t->get('/page', { Authorization => bearer($n % 10) });

    return (time - $start, $res->{status});
}


sub provider_log {
    return split /\n/, Sallyport::Test::slurp($t->dir
                                              . '/logs/provider.log');
}


sub metric {
    my ($name, $labels) = @_;

    my $text = $t->get('/metrics')->{body};

    $labels = $labels ? "{$labels}" : '';
    return $text =~ /^\Q$name$labels\E (\S+)$/m ? $1 : undef;
}


# -- load: clients that chat one turn after the other until they are stopped

sub load {
    my ($name, $n) = @_;

    my $load = { name => $name, stop => $t->dir . "/stop-$name" };

    for my $i (1 .. $n) {
        my $file = $t->dir . "/load-$name-$i";
        my $pid = fork;

        die "cannot fork: $!\n" unless defined $pid;

        if ($pid == 0) {
            eval { client($load, $i, $file); 1 } or warn $@;
            POSIX::_exit(0);
        }

        push @{ $load->{pids} }, $pid;
        push @{ $load->{files} }, $file;
    }

    return $load;
}


sub client {
    my ($load, $i, $file) = @_;

    my $end = time + 120;

    open my $fh, '>', $file or die "$file: $!\n";
    $fh->autoflush;

    for (my $n = 1; time < $end && !-e $load->{stop}; $n++) {
        my $stream = ($n + $i) % 2;
        my $text = "$load->{name} $i $n";
        my $res = eval {
            $t->post($url, { Authorization => bearer($i) },
                     chat($text, stream => $stream ? \1 : \0));
        };

        print $fh $json->encode({ text => $text, error => $@ ? "$@" : undef,
            status => $res ? $res->{status} : 0,
            reply => reply($res, $stream),
            body => $res ? $res->{body} : '' }), "\n";
    }

    return;
}


# the text of a complete reply

sub reply {
    my ($res, $stream) = @_;

    return undef unless $res && $res->{status} == 200 && $res->{complete};

    return ref $res->{json} ? $res->{json}{choices}[0]{message}{content}
                            : undef unless $stream;

    my ($text, $finish) = ('');

    for ($res->{body} =~ /^data: (\{.*)$/mg) {
        my $choice = $json->decode($_)->{choices}[0] or next;

        $text .= $choice->{delta}{content}
            if defined $choice->{delta}{content};
        $finish = 1 if $choice->{finish_reason};
    }

    return $finish && $res->{body} =~ /^data: \[DONE\]\n\n\z/m ? $text
                                                               : undef;
}


sub results {
    my ($load) = @_;
    return map { $json->decode($_) } grep { /\}$/ }
           map { split /\n/, Sallyport::Test::slurp($_) }
           @{ $load->{files} };
}


# that many more complete chats

sub progress {
    my ($load, $n) = @_;

    my $want = $n + grep { defined $_->{reply} } results($load);

    return $t->wait_until(sub {
        $want <= grep { defined $_->{reply} } results($load)
    }, 30);
}


# ends the load and compares what clients have read with what is stored

sub ended {
    my ($load, %arg) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $name = $load->{name};

    open my $fh, '>', $load->{stop} or die "$load->{stop}: $!\n";
    waitpid $_, 0 for @{ $load->{pids} };

    my @all = results($load);
    my %said = map { $_->{text} => $_->{reply} }
               grep { defined $_->{reply} } @all;
    my @failed = grep { !defined $_->{reply} } @all;

    cmp_ok(scalar @failed, '<=', $arg{failed}, sprintf
           '%s: %d of %d chats failed', $name, scalar @failed, scalar @all)
        or diag(join "\n", map { $json->encode($_) }
                           @failed[0 .. ($#failed < 3 ? $#failed : 3)]);

    my (%stored, %twice);

    $t->wait_until(sub {
        %stored = %twice = ();

        for ($t->sql("select u.content, a.content
                        from chat.message u
                        join chat.message a on a.turn_id = u.turn_id
                             and a.role = 'assistant'
                       where u.role = 'user' and u.content like ?
                         and a.finish not in ('partial', 'failed')", "$name %"))
        {
            $twice{$_->[0]}++ if defined $stored{$_->[0]};
            $stored{$_->[0]} = $_->[1];
        }

        return !grep { !defined $stored{$_} } keys %said;
    }, 25);

    my @lost = grep { !defined $stored{$_} } sort keys %said;
    my @other = grep { defined $stored{$_} && $stored{$_} ne $said{$_} }
                sort keys %said;

    is("@lost[0 .. ($#lost < 9 ? $#lost : 9)]", '',
       "$name: " . keys(%said) . ' turns, none is lost');
    is(scalar @other, 0, "$name: word for word");
    is(join(' ', sort keys %twice), '', "$name: none twice");
    return;
}
