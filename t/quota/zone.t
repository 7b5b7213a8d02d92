#!/usr/bin/perl

# quota_zone: its sizes, full, several workers at once, and one of them killed:
# no more than the limit passes, and nobody waits for the dead.

use strict;
use warnings;
no warnings 'portable';

use FindBin;
use lib "$FindBin::Bin/../lib";

use POSIX ();
use Sallyport::Test;
use Test::More;
use Time::HiRes qw(sleep time);


# of a size that no other mapping has
my $zone = 148 * 1024;
my $t = Sallyport::Test->new(workers => 4);

# any size above the least will do
for my $size (64 .. 80, 100, 1000) {
    my ($ok, $out) = $t->check_conf(<<"EOC");
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    quota_zone ${size}k;
    quota_policy all { requests 10/m; }
    server { listen 127.0.0.1:%%PORT%%; }
}
EOC
    ok($ok, "quota_zone ${size}k") or diag $out;
}

# a worker that is killed answers nobody
$t->allow(qr/exited on signal 9/, qr/shared memory zone.*was locked by/);
$t->file('www/a.txt', 'a');
$t->conf(<<"EOC");
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    quota_zone $zone;
    quota_policy many { requests 3000/d; requests 30000/30d; }
    server {
        listen 127.0.0.1:%%PORT%%;
        root %%DIR%%/www;
        location / { quota many by=\$http_x_key; }
    }
}
EOC
$t->run;

crowd();
fill();
dead();

$t->finish;
done_testing;


# eight clients for three seconds, while workers are killed

sub crowd {
    my @pipes = map { client($_) } 1 .. 8;
    my $killed = 0;

    for (1 .. 12) {

        # waits: the clients are at it meanwhile, whoever is killed
        sleep 0.25;
        $killed += kill 'KILL', ($t->workers)[0];
    }

    my %sum = (200 => 0, 429 => 0, lost => 0);

    for my $pipe (@pipes) {
        my %count = split ' ', <$pipe>;

        $sum{$_} += $count{$_} for keys %count;
        close $pipe;
    }

    is($killed, 12, 'workers are killed meanwhile');

    # the rest, one by one
    while (($sum{200} + $sum{429}) < 20000 && ask('crowd') == 200) {
        $sum{200}++;
    }

    cmp_ok($sum{200}, '<=', 3000, "no more than the limit passes: $sum{200}");
    cmp_ok($sum{200} + $sum{lost}, '>=', 3000, '.. and but for the '
           . "$sum{lost} whose worker was killed, not fewer");
    is(ask('crowd'), 429, '.. and the others are denied');
    return;
}


sub client {
    my ($n) = @_;

    my $pid = open my $pipe, '-|';

    die "cannot fork: $!\n" unless defined $pid;

    return $pipe if $pid;

    my %count;
    my $until = time + 3;

    $count{ ask('crowd') }++ while time < $until;
    print join(' ', %count), "\n";
    close STDOUT;
    POSIX::_exit(0);
}


# more clients than have room: the one that is free the earliest goes

sub fill {
    my $busy = 0;

    $busy += ask('busy') == 200 for 1 .. 500;

    my $passed = grep { ask("one-$_") == 200 } 1 .. 2000;

    is($passed, 2000, 'a full table fails nobody');

    my $res = $t->get('/a.txt', { 'X-Key' => 'busy' });

    is($res->{headers}{ratelimit} =~ /r=(\d+)/ && $1, 3000 - $busy - 1,
       '.. and keeps who has used up the most');
    return;
}


# a worker dies while it holds the lock, which is its first word

sub dead {
    my ($worker) = $t->workers;
    my $size = sprintf '%x', $zone;

    open my $maps, '<', "/proc/$worker/maps" or die "maps: $!\n";
    my ($start) = map { /^([0-9a-f]+)-([0-9a-f]+) rw-s/
                        && hex($2) - hex($1) == hex($size) ? hex $1 : () }
                  <$maps>;
    close $maps;

    ok($start, 'the zone is found') or return;

  SKIP: {
        open my $mem, '+<:raw', "/proc/$worker/mem"
            or skip "the memory of a worker: $!", 2;
        sysseek $mem, $start, 0;
        syswrite($mem, pack 'Q', $worker) == 8
            or skip "the memory of a worker: $!", 2;

        my $pipe = waiter();

        vec(my $read = '', fileno $pipe, 1) = 1;
        is(select($read, undef, undef, 0.2), 0, 'while it is locked all wait');
        kill 'KILL', $worker;
        is(scalar(<$pipe>), '200', 'NGINX frees the lock of a dead worker');
        close $pipe;
    }

    return;
}


sub waiter {
    my $pid = open my $pipe, '-|';

    die "cannot fork: $!\n" unless defined $pid;

    return $pipe if $pid;

    my $status = 0;
    my $until = time + 5;

    # the worker that is killed may have been asked
    $status = ask('waiter') while $status ne '200' && time < $until;
    print $status;
    close STDOUT;
    POSIX::_exit(0);
}


sub ask {
    my ($key) = @_;
    my $res = eval { $t->get('/a.txt', { 'X-Key' => $key }) };

    return $res && $res->{status} ? $res->{status} : 'lost';
}
