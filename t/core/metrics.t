#!/usr/bin/perl

# /metrics: the text format, values that survive reloads and killed workers.
# /healthz and /readyz: what they say about servers that are away.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Test;
use Test::More;


my $t = Sallyport::Test->new(workers => 2);

$t->pg;
$t->redis;

my $conf = <<'EOC';
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    redis_server main %%REDIS%%;
    pg_server main "%%PG%%" connections=1 timeout=1s connect_timeout=1s;
    test_pg main;
    metrics_zone_size 512k;

    server {
        listen 127.0.0.1:%%PORT%%;
        test_steps on;
        location / { test_content; }
        location /plain { test_steps off; return 200 ok; }
        location /metrics { test_steps off; metrics; }
        location /healthz { test_steps off; health live; }
        location /readyz { test_steps off; health ready; }
        location /ready2 { test_steps off;
                           health ready ignore=redis "ignore=pg main"; }
    }
}
EOC

$t->conf($conf);
$t->run;

my $scrapes = 0;

sub metrics {
    my $res = $t->get('/metrics');
    my %value = (scrapes => $scrapes++);

    for (split /\n/, $res->{body}) {
        next if /^#/;
        my ($name, $value) = /^(\S+) (\S+)$/ or die "not a sample: $_\n";
        die "twice: $name\n" if exists $value{$name};
        $value{$name} = $value;
    }

    return \%value;
}

# when these requests and all scrapes before are counted: each is only after
# its answer, perhaps by the other worker
sub settled {
    my ($requests) = @_;
    my $value;

    $t->wait_until(sub {
        $value = metrics();

        my $counted = 0;
        $counted += $value->{"sallyport_requests_total{class=\"$_\"}"}
            for qw(2xx 4xx 5xx);
        return $counted >= $requests + $value->{scrapes};
    }, 5);

    return $value;
}

my $res = $t->get('/metrics');
is($res->{status}, 200, 'metrics');
like($res->{headers}{'content-type'}, qr{^text/plain; version=0\.0\.4},
     'type');

# each family has one HELP, one TYPE, and its samples stand together

my (%help, %type, %ended, $family);
for (split /\n/, $res->{body}) {
    if (/^# HELP (\S+) \S/) { $help{$1}++; next }
    if (/^# TYPE (\S+) (counter|gauge|histogram)$/) {
        $type{$1}++;
        $ended{$family} = 1 if defined $family;
        $family = $1;
        ok(!$ended{$1}, "$1 stands together");
        next;
    }
    ok(/^\Q$family\E(_bucket|_sum|_count)?(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? -?\d+(\.\d{6})?$/,
       "sample: $_");
}
is_deeply(\%help, \%type, 'each with its help');
ok(!grep({ $_ != 1 } values %help), 'once');

# counting

my $before = settled(1);
$t->get('/?n=1') for 1 .. 7;
$t->get('/?a=refuse') for 1 .. 3;
$t->get('/?content=500');
$t->get('/plain') for 1 .. 5;
$t->get('/?content=wait:30');
my $after = settled(13);

sub grown {
    my ($name) = @_;
    return $after->{$name} - $before->{$name};
}

my $total = 'sallyport_requests_total';
my $own = grown('scrapes');
is(grown("$total\{class=\"2xx\"}") - $own, 8, '2xx');
is(grown("$total\{class=\"4xx\"}"), 3, '4xx');
is(grown("$total\{class=\"5xx\"}"), 1, '5xx');

my $time = 'sallyport_request_seconds';
is(grown("${time}_count") - $own, 12, 'a histogram counts');
cmp_ok(grown("${time}_sum"), '>=', 0.029, 'and sums, in seconds');
is(grown("${time}_bucket{le=\"+Inf\"}") - $own, 12, '+Inf has all');
cmp_ok(grown("${time}_bucket{le=\"0.01\"}") - $own, '<', 12,
       'smaller ones have not');
is($after->{sallyport_workers}, 2, 'workers');

my $ops = 'sallyport_ops_total{kind="pg",server="main",result=';
is($t->get('/?content=pg:20')->{status}, 200, 'an op');
my $later = metrics();
is($later->{"$ops\"ok\"}"} - $after->{"$ops\"ok\"}"}, 1, 'is counted');
is($later->{'sallyport_op_seconds_bucket{kind="pg",server="main",le="0.01"}'}
   - $after->{'sallyport_op_seconds_bucket{kind="pg",server="main",le="0.01"}'},
   0, 'and its time');
$t->suspend('pg');
is($t->get('/?content=pg:1')->{status}, 503, 'one that fails');
$t->resume('pg');
is(metrics()->{"$ops\"timeout\"}"} - $after->{"$ops\"timeout\"}"}, 1,
   'is counted as what it was');
$after = metrics();

# a reload, also with another size of the zone, keeps the values

$t->reload;
$before = $after;
$after = metrics();
is(grown("$total\{class=\"4xx\"}"), 0, 'kept by a reload');
is($after->{sallyport_start_time_seconds},
   $before->{sallyport_start_time_seconds}, 'of the same start');

(my $larger = $conf) =~ s/512k/800k/;
$t->conf($larger);
$t->reload;
$after = metrics();
is(grown("$total\{class=\"4xx\"}"), 0, 'and by one that changes the size');
is(grown("${time}_bucket{le=\"0.001\"}") >= 0, 1, 'histograms too');

# a killed worker

my ($worker) = $t->workers;
$t->allow(qr/worker process $worker exited on signal 9/);
kill 'KILL', $worker;
ok($t->wait_until(sub { my @w = $t->workers; @w == 2 && $w[0] != $worker }),
   'a worker is killed and replaced');
ok($t->wait_until(sub { metrics()->{sallyport_workers} == 2 }),
   'and counted once');
$after = metrics();
is(grown("$total\{class=\"4xx\"}"), 0, 'nothing is lost');

is($t->request('HEAD', '/metrics')->{status}, 200, 'HEAD');
$res = $t->post('/metrics', {}, 'x');
is($res->{status}, 405, 'POST');
is($res->{json}{error}{code}, 'method_not_allowed', 'has an envelope');

# health

$res = $t->get('/healthz');
is_deeply($res->{json}, { status => 'live' }, 'live');
is($res->{headers}{'cache-control'}, 'no-store', 'not to be cached');
is($t->post('/readyz', {}, '')->{status}, 405, 'GET only');

ok($t->wait_until(sub { $t->get('/readyz')->{status} == 200 }), 'ready');
is_deeply([ sort map { "$_->{name} $_->{ok}" }
            @{ $t->get('/readyz')->{json}{checks} } ],
          [ 'pg main 1', 'redis main 1' ], 'each server is named');

$t->stop_server('redis');
ok($t->wait_until(sub { $t->get('/readyz')->{status} == 503 }),
   'redis is away');
$res = $t->get('/readyz');
is($res->{json}{status}, 'unready', 'said');
is_deeply([ map { "$_->{name}: $_->{reason}" }
            grep { !$_->{ok} } @{ $res->{json}{checks} } ],
          [ 'redis main: not connected' ], 'which one, and why');
is($t->get('/ready2')->{status}, 200, 'ignored where told');
is($t->get('/healthz')->{status}, 200, 'live all the same');
$t->start_server('redis');
ok($t->wait_until(sub { $t->get('/readyz')->{status} == 200 }, 15),
   'ready again');

for my $bad (['location /h { health well; }',
              qr/invalid value "well" in "health", it must be "live" or/],
             ['location /h { health live ignore=x; }',
              qr/invalid parameter "ignore=x"/],
             ['location /h { metrics; health live; }',
              qr/a location has one content handler/],
             ['location /h { proxy_pass http://127.0.0.1; metrics; }',
              qr/a location has one content handler/])
{
    my ($ok, $out) = $t->check_conf(<<"EOC");
%%LOAD%%
%%GLOBALS%%
events { }
http { %%HTTP%%
server {
$bad->[0]
} }
EOC
    ok(!$ok, "refused: $bad->[0]");
    like($out, $bad->[1], 'and says why');
}

$t->finish;
done_testing;
