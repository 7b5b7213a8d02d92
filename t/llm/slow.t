#!/usr/bin/perl

# A provider that is faster than its clients, and a client that is as fast:
# memory is bounded, and nobody waits for either.

use strict;
use warnings;

use IO::Socket::INET;
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;

my $readers = 200;

# the log tells each read
$ENV{SP_LOG} = 'debug';


# the fake is one process, which a stalled client would stop: this one has a
# process for each request, which sends events as fast as they are taken

sub flood {
    my ($port) = @_;

    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $port, Listen => 512, ReuseAddr => 1)
        or die "cannot listen: $!\n";

    my $pid = fork;

    return $pid if $pid;

    $SIG{CHLD} = 'IGNORE';
    $SIG{PIPE} = 'DEFAULT';
    $SIG{TERM} = 'DEFAULT';
    setpgrp;

    my $event = 'data: {"choices":[{"index":0,"delta":{"content":"'
              . 'x' x 1000 . '"}}]}' . "\n\n";
    my $chunk = $event x 60;

    $chunk = sprintf "%x\r\n%s\r\n", length $chunk, $chunk;

    for ( ;; ) {
        my $c = $listen->accept or next;

        if (fork) {
            close $c;
            next;
        }

        my $in = '';

        1 while !($in =~ /^Content-Length: (\d+)\r\n(?:.*?\r\n)?\r\n(.*)\z/ims
                  && length $2 == $1)
                && sysread $c, $in, 4096, length $in;

        syswrite $c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                     . "Transfer-Encoding: chunked\r\n\r\n";
        1 while defined syswrite $c, $chunk;
        POSIX::_exit(0);
    }
}


my ($t, $p) = Sallyport::Llm::gateway(read_timeout => '30s', http => <<'EOC');
    llm_answer_size 1k;
    llm_provider flood { url http://127.0.0.1:%%PORT2%%/v1; model m as=flood; }
EOC

my $pid = flood($t->port(2));
my $body = { model => 'flood', stream => \1,
             messages => [ { role => 'user', content => 'hi' } ] };

my ($worker) = $t->workers;

sub rss {
    open my $fh, '<', "/proc/$worker/status" or die "no worker: $!\n";
    return do { local $/; <$fh> } =~ /^VmRSS:\s+(\d+) kB/m ? $1 : die;
}


# ticks of the worker
sub cpu {
    open my $fh, '<', "/proc/$worker/stat" or die "no worker: $!\n";

    my @field = split ' ', <$fh> =~ s/.*\) //r;
    return $field[11] + $field[12];
}

# starts so many clients, each with something of its answer
sub clients {
    my ($n) = @_;

    return map {
        my $s = $t->stream('POST', '/v1/chat/completions', {}, $body);

        $s->head->{status} == 200 or die "no stream\n";
        $s;
    } 1 .. $n;
}


# -- a client that takes all that comes: others get their turn.  The log tells
# what the worker does between two looks at what has happened meanwhile

my ($s) = clients(1);
my ($most, $bytes, %turn) = (0, 0);

# takes so many bytes, or all that there is
sub take {
    my ($s, $n) = @_;

    while ($n > 0 && IO::Select->new($s->{socket})->can_read(0.2)) {
        $n -= sysread($s->{socket}, my $buf, 1 << 20) || last;
        $bytes += length $buf;
    }

    return;
}

for (1 .. 5) {
    take($s, 4_000_000);

    # while the worker stands still, megabytes wait for it, and a client that
    # has room for them
    kill 'STOP', $worker;
    take($s, 1e9);
    kill 'CONT', $worker;
}

take($s, 1_000_000);
$s->close(abrupt => 1);

for (split /\n/, $t->error_log) {
    %turn = () if /worker cycle/;

    # of the large buffer: what is read of the provider
    /recv: fd:(\d+) (\d+) of (\d+)/ && $3 > 20_000 or next;
    $turn{$1} += $2;
    $most = $turn{$1} if $turn{$1} > $most;
}

note("at most $most of $bytes bytes at a time");
cmp_ok($bytes, '>', 8_000_000, 'a fast stream flows');
cmp_ok($most, '<', 200_000, 'by turns with whatever else happens');


# -- clients that take nothing: what is held for each is bounded

my @warm = clients(20);
my $before = rss();
my @stalled = clients($readers);

# all buffers of the kernel are full: the worker has nothing to do
my $used = -1;

$t->wait_until(sub {
    my $before = $used;

    $used = cpu();
    select undef, undef, undef, 0.3;    # waits: for the streams to stand still
    $used == $before;
}, 30);

my $each = (rss() - $before) / $readers;

note(sprintf '%.1f KB for each of %d stalled readers', $each, $readers);
cmp_ok($each, '<', 80, 'a stalled reader costs less than 80 KB');

is($t->get('/v1/models')->{status}, 200, 'and stops nobody else');

$_->close(abrupt => 1) for @warm, @stalled;

kill 'TERM', -$pid;
waitpid $pid, 0;
$p->stop;
$t->finish;
done_testing;
