#!/usr/bin/perl

# concurrency, quota_hold: no more requests in flight than the limit, and every
# way that a request can end gives its place back.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Sallyport::HTTP2;
use Sallyport::Test;
use Test::More;
use Time::HiRes qw(sleep time);


my $conf = <<'EOC';
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    %%REDISCONF%%
    quota_hold %%HOLD%%;
    quota_policy two { requests 1000/d; concurrency 2; }
    quota_policy long { concurrency 1; }
    quota_policy ten { requests 10/d; }
    quota_policy shadow { concurrency 1; shadow; }
    moderation_rules %%DIR%%/rules;
    proxy_http_version 1.1;
    proxy_buffering off;
    proxy_read_timeout 20s;
    log_format key '$uri $status $http_x_key';

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORTH2%% http2;
        root %%DIR%%/www;
        access_log %%DIR%%/logs/access.log key;
        add_header X-Result $quota_result always;

        location /now/ { quota two by=$http_x_key; }
        location /two/ { quota two by=$http_x_key;
                         proxy_pass http://127.0.0.1:%%PORT1%%; }
        location /shadow/ { quota shadow by=$http_x_key;
                            proxy_pass http://127.0.0.1:%%PORT1%%; }
        location /said/ { quota two by=$http_x_key; moderation input;
                          proxy_pass http://127.0.0.1:%%PORT1%%; }
        location /back/ { quota two by=$http_x_key; error_page 502 = @again;
                          proxy_pass http://127.0.0.1:1; }
        location @again { quota two by=$http_x_key;
                          proxy_pass http://127.0.0.1:%%PORT1%%; }
        location /parts/ { quota two by=$http_x_key; auth_request /check;
                           proxy_pass http://127.0.0.1:%%PORT1%%; }
        location = /check { quota two by=$http_x_key; try_files /now/a =500; }
        location /drop/ { ssi on; ssi_types *; }
        location = /refused { set $policy $arg_policy; test_steps on;
                              set $args admit=wait:50,refuse;
                              quota $policy by=$http_x_key; test_content; }
        location = /once { set $policy $arg_policy;
                           quota $policy by=$http_x_key; test_content; }
        location /metrics { metrics; }
    }
}
EOC

my $redisconf = 'redis_server main unix:%s timeout=2s; quota_redis main;';
my ($listen, $t, $redis, $keys);

for my $name ('local: ', 'redis: ') {
    $t = gateway($name eq 'redis: ');
    $listen = upstream();

    answers($name);
    ends($name);
    dropped($name) if $redis;
    outage($name) if $redis;
    $listen->close;
    $t->finish;

    $t = gateway($name eq 'redis: ', hold => '2s');
    $listen = upstream();
    killed($name);
    $listen->close;
    $t->finish;
}

crowd();
done_testing;


sub gateway {
    my ($with_redis, %opt) = @_;

    my $gateway = Sallyport::Test->new(workers => $opt{workers} || 1);

    $redis = $with_redis && ($opt{redis} || $gateway->redis);
    $gateway->allow(qr/exited on signal 9/);
    $gateway->file('www/now/a', 'a');
    $gateway->file("www/drop/$_", "<!--# include virtual=\"/refused?policy=$_"
                                  . '" -->'
                                  . "<!--# include virtual=\"/once?policy=$_"
                                  . '" -->') for qw(long ten);
    $gateway->file('rules', "[w category=word]\nforbidden\n");

    my $lines = $redis ? sprintf $redisconf, $redis->{socket} : '';

    my $hold = $opt{hold} || '10m';

    (my $text = $conf) =~ s/%%REDISCONF%%/$lines/;
    $text =~ s/%%HOLD%%/$hold/;
    $gateway->conf($text);
    $gateway->run;

    ok($gateway->wait_until(sub { asked($gateway, 'warm') }, 5),
       'Redis is asked') if $redis;

    return $gateway;
}


sub asked {
    my ($gateway, $key) = @_;

    my $res = eval { $gateway->get('/now/a', { 'X-Key' => $key }) };

    return $res && ($res->{headers}{'x-result'} || '') eq 'allowed';
}


sub upstream {
    return IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64,
                                 Timeout => 5, LocalPort => $t->port(1), ReuseAddr => 1)
        || die "cannot listen: $!\n";
}


# what is said to the third of two

sub answers {
    my ($name) = @_;

    my @flying = map { begin('/two/', 'a') } 1, 2;
    my $res = key('/now/a', 'a');

    is($res->{status}, 429, "${name}two in flight: the third is denied");
    is($res->{json}{error}{code}, 'quota_exceeded', "${name}its code");
    is($res->{json}{error}{message}, 'more than 2 requests at once, try again '
       . 'when one has ended', "${name}its message");
    is_deeply($res->{json}{error}{details}{limits}, [ 'concurrency' ],
              "${name}the limit that denies");
    is($res->{headers}{'ratelimit-policy'}, '"requests-86400";q=1000;w=86400, '
       . '"concurrency";q=2;qu="concurrent-requests"',
       "${name}RateLimit-Policy");
    like($res->{headers}{ratelimit},
         qr/^"concurrency";r=0, "requests-86400";r=998;/,
         "${name}RateLimit: the denied was not charged as a request");
    like($res->{headers}{'retry-after'}, qr/^[12]$/, "${name}Retry-After");
    is(key('/now/a', 'b')->{status}, 200, "${name}another key");

    is(finish(shift @flying)->{status}, 200, "${name}one ends well");
    free('a', 1, "${name}its place is free");
    is(finish(shift @flying)->{headers}{ratelimit},
       '"concurrency";r=0, "requests-86400";r=998;t=173',
       "${name}what its answer said");
    free('a', 2, "${name}both are");

    my $shadow = begin('/shadow/', 's');

    my $denied = begin('/shadow/', 's');

    is(finish($denied)->{headers}{'x-result'}, 'shadow', "${name}shadow");
    is(finish($shadow)->{headers}{'x-result'}, 'allowed', "${name}.. allowed");
    return;
}


# every way to end gives the place back

sub ends {
    my ($name) = @_;

    my $json = { 'X-Key' => 'end', 'Content-Type' => 'application/json' };

    is(join(' ', map { $t->post('/said/', $json, '{"a":"forbidden"}')
                       ->{status} } 1 .. 5), '422 422 422 422 422',
       "${name}refused by a later step");
    free('end', 2, "${name}.. leaves nothing");

    for my $abrupt (0, 1) {
        my ($client, $up) = @{ begin('/two/', 'end') };

        $client->close(abrupt => $abrupt);
        free('end', 2, "${name}the client left" . ($abrupt ? ' (reset)' : ''));
        $up->close;

        ($client, $up) = @{ begin('/two/', 'end') };
        print $up "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf";
        $up->flush;
        $client->read_until(qr/half/);
        $client->close(abrupt => $abrupt);
        free('end', 2, "${name}.. in the answer" . ($abrupt ? ' (reset)' : ''));
        $up->close;
    }

    my $h2 = Sallyport::HTTP2->connect($t->address({ port => 'H2' }));
    my $id = $h2->begin('GET', '/two/', { 'X-Key' => 'end' }, 1);

    $h2->reply($id, 0.1);
    my $up = $listen->accept;
    $h2->reset($id);
    free('end', 2, "${name}a stream that is reset");
    $h2->close;
    $up->close;

    my $flying = begin('/two/', 'end');

    $flying->[1]->close;
    is($flying->[0]->reply->{status}, 502, "${name}the upstream fails");
    free('end', 2, "${name}.. free");

    $flying = begin('/back/', 'end');
    free('end', 1, "${name}redirected: one place");
    is(finish($flying)->{status}, 200, "${name}.. served by another");
    free('end', 2, "${name}.. free");

    $flying = begin('/parts/', 'end');
    free('end', 1, "${name}with a subrequest: one place");
    is(finish($flying)->{status}, 200, "${name}.. served");
    free('end', 2, "${name}.. free");

    $flying = begin('/two/', 'end');
    $t->reload;
    free('end', 1, "${name}a reload: still in flight");
    is(finish($flying)->{status}, 200, "${name}.. served by the old worker");
    free('end', 2, "${name}.. free");

    is(finish(begin('/two/', 'end'))->{status}, 200, "${name}on it goes");
    return;
}


# who asks Redis may be gone before the answer

sub dropped {
    my ($name) = @_;

    $t->suspend('redis');

    my $client = $t->stream('GET', '/two/', { 'X-Key' => 'gone' });

    ok(!defined eval { $client->head(0.1); 1 }, "${name}Redis is slow");
    $client->close;
    ok($t->wait_until(sub { Sallyport::Test::slurp(
           $t->dir . '/logs/access.log') =~ m{^/two/ 499 gone$}m }, 5),
       "${name}.. and the client leaves");
    $t->resume('redis');
    free('gone', 2, "${name}.. free");

    # a part that is refused beside its question drops it, the next asks again
    for my $policy (qw(long ten)) {
        $t->suspend('redis');
        $client = $t->stream('GET', "/drop/$policy", { 'X-Key' => 'part' });
        ok(!defined eval { $client->head(0.3); 1 }, "${name}two parts wait");
        $t->resume('redis');
        like($client->reply->{body}, qr/429 Too.*done/s, "${name}$policy: one "
             . 'is refused beside its question, the other is not denied by it');
    }

    is($t->get('/once?policy=ten', { 'X-Key' => 'part' })
       ->{headers}{ratelimit}, '"requests-86400";r=8;t=17280',
       "${name}.. and both were charged once");
    return;
}


# the socket of Redis is not there, nor is who was connected

sub away {
    my ($gone) = @_;
    my @path = ($redis->{socket}, "$redis->{socket}.away");

    @path = reverse @path unless $gone;
    rename $path[0], $path[1] or die "rename: $!\n";

    return unless $gone;

    local $redis->{socket} = $path[1];
    $redis->command(qw(CLIENT KILL TYPE normal SKIPME yes));
    return;
}


# what a killed worker held is over in time

sub killed {
    my ($name) = @_;

    my @flying = map { begin('/two/', 'dead') } 1, 2;
    my ($worker) = $t->workers;

    kill 'KILL', $worker;
    $t->wait_until(sub { my ($new) = $t->workers; $new && $new != $worker });

    my $killed = time;

    $_->[1]->close for @flying;
    ok($t->wait_until(sub { asked($t, 'up') }, 5), "${name}a worker is killed");
    is(key('/now/a', 'dead')->{status}, 429, "${name}its requests count");
    ok($t->wait_until(sub { key('/now/a', 'dead')->{status} == 200 }, 6),
       "${name}.. until they are over");

    my $took = time - $killed;

    cmp_ok($took, '<', 4.5, sprintf "${name}.. by quota_hold: %.1f s", $took);
    free('dead', 2, "${name}.. both");
    return;
}


# Redis goes while requests are in flight, and comes back

sub outage {
    my ($name) = @_;

    my $first = begin('/two/', 'out');

    $t->stop_server('redis');
    $t->wait_until(sub { !asked($t, 'down') });

    my $second = begin('/two/', 'out');

    is(key('/now/a', 'out')->{headers}{'x-result'}, 'local_denied',
       "${name}Redis is away: what it was told counts here");
    finish($second);
    is(key('/now/a', 'out')->{headers}{'x-result'}, 'local',
       "${name}.. and what ends is free");
    finish($first);
    $t->start_server('redis');
    ok($t->wait_until(sub { asked($t, 'down') }, 5), "${name}Redis is back");
    free('out', 2, "${name}all are free");

    # it cannot be reached for a while, and forgets nothing
    $first = begin('/two/', 'out');
    away(1);
    $t->wait_until(sub { !asked($t, 'down') });
    finish($first);
    away(0);
    ok($t->wait_until(sub { asked($t, 'down') }, 5), "${name}reached again");
    free('out', 2, "${name}.. and told what has ended meanwhile");
    unlike($t->get('/metrics')->{body},
           qr/^sallyport_quota_unsettled_total [1-9]/m, "${name}all of it");

    # what Redis does not take is not sent again
    $first = begin('/two/', 'bad');
    my ($record) = grep { !/:open$/ }
                   @{ $redis->command('KEYS', 'quota3:{v:*}:two:*') };

    $redis->command('DEL', $record);
    $redis->command('RPUSH', $record, 'not a string');
    finish($first);
    ok($t->wait_until(sub { $t->get('/metrics')->{body}
                            =~ /^sallyport_quota_unsettled_total 1$/m }),
       "${name}.. counted if it is refused");
    return;
}


# two gateways of two workers, 24 clients, some of whom leave

sub crowd {
    my $one = gateway(1, workers => 2);
    my $other = gateway(1, workers => 2, redis => $redis);
    my $most = counting(map { $_->port(1) } $one, $other);

    $t = $one;

    my @pipes;

    for my $n (1 .. 24) {
        my $pid = open my $pipe, '-|';

        die "cannot fork: $!\n" unless defined $pid;

        if ($pid == 0) {
            my %count = (200 => 0, 429 => 0);
            my $until = time + 3;

            while (time < $until) {
                my $s = ($n % 2 ? $one : $other)
                        ->stream('GET', '/two/', { 'X-Key' => 'crowd' });

                if ($n % 6 == 0) {
                    eval { $s->head(0.02) };

                } else {
                    $count{ $s->reply->{status} }++;
                }

                $s->close;
            }

            print join(' ', %count), "\n";
            close STDOUT;
            POSIX::_exit(0);
        }

        push @pipes, $pipe;
    }

    my %sum;

    for my $pipe (@pipes) {
        my %count = split ' ', <$pipe>;

        $sum{$_} += $count{$_} for keys %count;
        close $pipe;
    }

    is(join(' ', sort keys %sum), '200 429', 'passed or denied');
    cmp_ok($sum{200}, '>', 20, "some pass: $sum{200} of "
           . ($sum{200} + $sum{429}));

    is($most->(), 2, 'never more than the limit in flight');
    free('crowd', 2, 'all are free');
    $_->finish for $other, $one;
    return;
}


# an upstream that counts what is in flight; returns what ends it and says the
# most that it has seen

sub counting {
    my @listen = map {
        IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $_,
                              Listen => 64, ReuseAddr => 1, Blocking => 0)
            or die "cannot listen: $!\n"
    } @_;

    my $pid = open my $pipe, '-|';

    die "cannot fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        print count(@listen), "\n";
        close STDOUT;
        POSIX::_exit(0);
    }

    return sub {
        kill 'TERM', $pid;
        my $most = <$pipe>;
        close $pipe;
        chomp $most;
        return $most;
    };
}


sub count {
    my @listen = @_;
    my (%flying, $ended);
    my $most = 0;
    my $ready = IO::Select->new(@listen);

    local $SIG{TERM} = sub { $ended = 1 };
    local $SIG{PIPE} = 'IGNORE';

    until ($ended) {
        $ready->can_read(0.002);

        for my $socket (@listen) {

            # whoever has left did so before this one came
            my $new = $socket->accept;

            delete @flying{ grep { gone($flying{$_}[0]) } keys %flying };

            next unless $new;

            $new->blocking(0);
            next if gone($new);
            $flying{$new} = [ $new, time + 0.005 + rand 0.015 ];
            $most = keys %flying if keys %flying > $most;
        }

        for (values %flying) {
            my ($s, $due) = @$_;

            next if time < $due;

            # it ends here before the gateway can know
            delete $flying{$s};
            $s->blocking(1);
            syswrite $s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
                         . "Connection: close\r\n\r\nok";
            close $s;
        }
    }

    return $most;
}


# the gateway has closed the connection

sub gone {
    my ($s) = @_;
    my $n;

    1 while $n = sysread $s, my $bytes, 65536;
    return defined $n;
}


# a request in flight: the client's end and the upstream's

sub begin {
    my ($path, $key) = @_;

    my $client = $t->stream('GET', $path, { 'X-Key' => $key });
    my $up = $listen->accept or die "nobody comes for $path\n";

    sysread $up, my $request, 65536;
    return [ $client, $up ];
}


sub finish {
    my ($client, $up) = @{ $_[0] };

    print $up "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
              . "Connection: close\r\n\r\nok";
    close $up;

    my $res = $client->reply;

    $client->close;
    return $res;
}


# one more takes its place: how many are left then?

sub free {
    my ($key, $n, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $left = 'none';

    ok($t->wait_until(sub {
           my $res = key("/now/a", $key);

           $left = "$res->{status} $res->{headers}{ratelimit}";
           $left =~ /^200 .*"concurrency";r=(\d+)/ && $1 == $n - 1
       }, 5), $name) or diag($left);
    return;
}


sub key {
    my ($path, $key) = @_;
    return $t->get($path, { 'X-Key' => $key });
}
