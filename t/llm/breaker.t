#!/usr/bin/perl

# A target that has failed several times is passed over by all workers, tried
# by one request after a while, and asked again when that one was answered.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Provider;
use Sallyport::Test;
use Sallyport::Llm;


my $t = Sallyport::Test->new(workers => 2);
my $p = Sallyport::Provider->new($t->port(1), $t->dir);

my $url = 'url http://127.0.0.1:%%PORT1%%/v1; connect_timeout 200ms;'
        . ' send_timeout 200ms; read_timeout BYTE;';

my $http = <<"EOC";
    error_format openai;

    llm_provider one {
        $url
        cooldown 500ms;
        max_fails 3;
        fail_timeout TIME;
        model first as=pair;
        model alone as=alone;
    }

    llm_provider two {
        $url
        max_fails 0;
        model second as=pair backup;
    }

    llm_provider down {
        url http://127.0.0.1:%%PORT2%%;
        max_fails 1;
        fail_timeout 1h;
        model third as=down;
    }

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORTH2%% http2;

        location = /v1/chat/completions {
            llm_pass pair;
            add_header X-Worker \$pid always;
        }

        location = /metrics { metrics; }
        location = /ready   { health ready; }
    }
EOC

sub conf {
    my ($time, $byte) = @_;

    $byte //= '300ms';
    return "%%LOAD%%\n%%GLOBALS%%\nevents { worker_connections 256; }\n"
           . "http {\n    %%HTTP%%\n" . $http =~ s/TIME/$time/r =~ s/BYTE/$byte/gr . "}\n";
}

$t->conf(conf('1h'));
$t->run;


my %workers;

sub chat {
    my (%opt) = @_;

    my $model = delete $opt{model} // 'pair';
    my $stream = delete $opt{stream};
    my $res = $t->post('/v1/chat/completions', {}, Sallyport::Llm::body('hi',
        model => $model, $stream ? (stream => \1) : ()), \%opt);

    $workers{$res->{headers}{'x-worker'} // ''}++;
    return $res;
}

sub asked {
    my ($before, $model) = @_;
    my @requests = $p->requests;

    return scalar grep { $_->{json}{model} eq $model }
                  @requests[$before .. $#requests];
}

sub up {
    my ($model) = @_;
    return $t->get('/metrics')->{body}
           =~ /^sallyport_llm_target_up\{provider="\w+",model="$model"\} (\d)/m
           ? $1 : undef;
}

sub failures {
    my ($class, $provider) = @_;

    $provider //= 'one';
    return Sallyport::Llm::metric($t, 'sallyport_llm_failures_total',
                                  qq{provider="$provider",class="$class"});
}

# a new life, with memory of its own
sub restart {
    my ($time, $byte) = @_;

    $t->stop;
    $p->mood;
    $t->conf(conf($time, $byte));
    $t->run;
    return scalar $p->requests;
}


# -- what opens it: [fault, class, is a stream that begins]

for my $case ([ 'status code=500', 'server_error' ],
              [ 'status code=408', 'server_error' ],
              [ 'status code=302', 'server_error' ],
              [ 'status code=404', 'not_found' ],
              [ 'status code=503', 'overloaded' ],
              [ 'status code=529', 'overloaded' ],
              [ 'stall at=accept', 'first_byte_timeout' ],
              [ 'stall at=header', 'first_byte_timeout' ],
              [ 'cut at=header', 'unreachable' ],
              [ 'type', 'invalid_answer' ],
              [ 'gzip', 'invalid_answer' ],
              [ 'header', 'invalid_answer' ],
              [ 'error at=0', 'provider_error' ],
              [ 'error', 'provider_error', 1 ],
              [ 'garbage', 'invalid_answer', 1 ],
              [ 'cut at=mid', 'cut', 1 ],
              [ 'stall at=mid', 'read_timeout', 1 ])
{
    my ($fault, $class, $begins) = @$case;
    my $before = restart('1h');

    $p->mood(first => $fault);

    my @res = map { chat(stream => 1) } 1 .. 8;
    my @seen = grep { $_->{status} != 200
                      || Sallyport::Llm::parse($_->{body})->{error} } @res;

    is(scalar(@seen), $begins ? 3 : 0, "$fault: what clients see");
    is(asked($before, 'first'), 3, "$fault: asked until it opens");
    is(failures($class), 3, "$fault: $class");
    is(up('first'), 0, "$fault: the gauge");
}


# -- all workers, a reload, another model of the provider

my $before = $p->requests;
$p->mood;
%workers = ();

chat(stream => $_ % 2, $_ % 3 ? () : (http2 => 1)) for 1 .. 40;
is(scalar(keys %workers), 2, 'both workers were asked');
is(asked($before, 'first'), 0, 'none of them asks it');

$t->reload;
chat() for 1 .. 10;
is(asked($before, 'first'), 0, 'nor after a reload');

is(chat(model => 'alone')->{status}, 200, 'another model of it is asked');
is(up('alone'), 1, 'and is up');


# -- what does not open it

for my $fault ('status code=400', 'status code=413', 'status code=422') {
    $before = restart('1h');
    $p->mood(first => $fault);
    chat() for 1 .. 5;
    is(asked($before, 'first'), 5, "$fault: the client's own");
    is(failures('request'), 5, "$fault: counted");
}

$before = restart('1h');

for my $round (1 .. 3) {
    $p->mood(first => 'status code=500');
    chat() for 1, 2;
    $p->mood;
    is(chat()->{status}, 200, 'a success between failures');
}

is(asked($before, 'first'), 9, 'those before it count no more');


# -- the one that has failed longest ago, when there is no other

$before = restart('1h');
$p->mood('*' => 'status code=500');
chat(model => 'alone') for 1 .. 5;
is(up('alone'), 0, 'the only target has failed');
is(asked($before, 'alone'), 5, 'it is tried all the same');
$p->mood;
is(chat(model => 'alone')->{status}, 200, 'and may answer');
is(up('alone'), 1, 'which closes it');

is($t->get('/ready')->{json}{status}, 'ready', 'ready, while a model is');


# -- Retry-After of a target

$before = restart('1h');
$p->mood(first => 'status code=503 retry=60');
chat() for 1 .. 5;
is(asked($before, 'first'), 1, 'a target that asks for time gets it');


# -- one probe at a time, and what becomes of it

sub open_it {
    my ($byte) = @_;
    my $before = restart('400ms', $byte);

    $p->mood(first => 'status code=500');
    chat() for 1 .. 3;
    is(up('first'), 0, 'it is open');
    ok($t->wait_until(sub { up('first') }, 5), 'until its time is over');
    return scalar $p->requests;
}

sub stream {
    return $t->stream('POST', '/v1/chat/completions', {},
        Sallyport::Llm::body('hi', model => 'pair', stream => \1));
}

$before = open_it();
$p->mood(first => 'stall at=accept');

my @open = map { stream() } 1 .. 12;
my @out = map { Sallyport::Llm::parse($_->rest(10)) } @open;

is(scalar(grep { $_->{done} == 1 && !$_->{error} } @out), 12,
   'of twelve at once nobody sees the probe fail');
is(asked($before, 'first'), 1, 'one of them has asked');
is(up('first'), 0, 'its failure opens it again');

$before = open_it('4s');
$p->mood(first => 'slow delay=40');
@open = map { stream() } 1 .. 3;
ok($t->wait_until(sub { asked($before, 'first') }, 5), 'a probe');
$_->read_until(qr/data:/, 5) for @open;
chat() for 1 .. 4;
cmp_ok(asked($before, 'first'), '>=', 4,
       'it is asked by all as soon as the probe is answered');
$_->rest(10) for @open;

$before = open_it('4s');
$p->mood(first => 'stall at=accept');
my $s = stream();
ok($t->wait_until(sub { asked($before, 'first') == 1 }, 5), 'a probe');
$s->close;
ok($p->wait_event('closed', ($p->last_request)->{n}), 'its client leaves');
$p->mood;
chat();
is(asked($before, 'first'), 2, 'the next request is the probe');
is(failures('client_closed'), 1, 'it is nobody else\'s fault');


# what is found out of something else leaves no probe behind

for my $code (400, 401, 429) {
    $before = open_it('4s');
    $p->mood(first => "status code=$code");
    chat();
    is(asked($before, 'first'), 1, "$code: the probe");
    $p->mood;
    ok($t->wait_until(sub { chat(); asked($before, 'first') > 1 }, 10),
       "$code: it is asked again");
}


# -- the workers are killed, and one of them had the probe in its hand

$before = open_it('4s');
$p->mood(first => 'stall at=accept');
$s = stream();
ok($t->wait_until(sub { asked($before, 'first') == 1 }, 5), 'a probe');

my %old = map { $_ => 1 } $t->workers;

$t->allow(qr/exited on signal 9/);
kill 'KILL', keys %old;
ok($t->wait_until(sub { my @now = $t->workers;
                        @now == 2 && !grep { $old{$_} } @now }, 10),
   'they are killed');
$p->mood;
ok($t->wait_until(sub { chat(); asked($before, 'first') > 1 }, 10),
   'its lease ends, another request asks');
ok($t->wait_until(sub { up('first') }, 5), 'and closes it');
$s->close;


# -- nothing is ready

restart('1h');
$t->conf(<<'EOC');
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    error_format openai;
    llm_provider down { url http://127.0.0.1:%%PORT2%%; max_fails 1; fail_timeout 1h; model third as=down; }
    server {
        listen 127.0.0.1:%%PORT%%;
        location /v1/ { llm_pass down; }
        location = /ready { health ready; }
        location = /skip  { health ready ignore=models; }
        location = /metrics { metrics; }
    }
}
EOC
$t->reload;

is($t->get('/ready')->{status}, 200, 'ready');
is(chat(model => 'down')->{json}{error}{code}, 'provider_unreachable', 'down');
is(failures('unreachable', 'down'), 1, 'by its class');
my $ready = $t->get('/ready');
is($ready->{status}, 503, 'no model has a target');
is($ready->{json}{checks}[0]{name}, 'models', 'by the name of the check');
is($t->get('/skip')->{status}, 200, 'which an operator may ignore');

$t->finish;
done_testing;
