#!/usr/bin/perl

# A reload while streams are open: each of them ends as if nothing had been,
# and no request fails meanwhile.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;

my ($t, $p) = Sallyport::Llm::gateway();


sub start {
    my ($fault) = @_;
    return $t->stream('POST', '/v1/chat/completions', {},
                      Sallyport::Llm::body($fault, stream => \1));
}

my ($failed, $requests) = (0, 0);

for my $round (1 .. 3) {
    my @open = map { start('fault slow words=30 delay=40') } 1 .. 10;

    ok($_->read_until(qr/w1 /, 5), 'a stream is open') for @open[0, 9];

    # requests go on while the workers change
    my $pid = fork;

    if ($pid == 0) {
        my ($bad, $n) = (0, 0);
        my $end = time + 20;

        while (time < $end && !-e $t->dir . "/stop$round") {
            my $res = eval { $t->post('/v1/chat/completions', {},
                                      Sallyport::Llm::body('hi')) };
            $n++;
            $bad++ if !$res || $res->{status} != 200 || !$res->{complete};
        }

        open my $fh, '>', $t->dir . '/load' or POSIX::_exit(1);
        print $fh "$bad $n\n";
        close $fh;
        POSIX::_exit(0);
    }

    $t->reload;

    my @out = map { Sallyport::Llm::parse($_->rest(10)) } @open;

    is(scalar(grep { $_->{done} == 1 && !$_->{error} } @out), 10,
       "round $round: all streams end properly");
    is(scalar(grep { $_->{text} =~ /w30 $/ } @out), 10,
       "round $round: with all of their text");

    $t->file("stop$round", '');
    waitpid $pid, 0;

    my ($bad, $n) = split ' ', Sallyport::Test::slurp($t->dir . '/load');

    $failed += $bad;
    $requests += $n;
    $_->close for @open;
}

cmp_ok($requests, '>', 20, "$requests requests while reloading");
is($failed, 0, 'none failed');

$t->finish;
done_testing;
