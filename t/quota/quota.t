#!/usr/bin/perl

# quota, quota_policy, quota_failure, quota_zone on one machine, and with
# Redis: who is counted, what is answered, what never is exceeded.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Test;
use Test::More;


my $t = Sallyport::Test->new;

$t->redis;

my $conf = <<'EOC';
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    %%REDISCONF%%
    quota_policy two { requests 2/h; requests 100/d; }
    quota_policy one { requests 1/h; }
    quota_policy burst { requests 3600/h burst=3; }
    quota_policy shadow { requests 1/h; shadow; }
    quota_policy many { requests 100/h; }
    log_format q '$uri $quota_policy $quota_result $quota_remaining';
    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORTH2%% http2;
        access_log %%DIR%%/logs/access.log q;
        root %%DIR%%/www;
        error_page 404 /missing.txt;

        location / { }
        location /two/ { quota two by=$http_x_key; }
        location /two/off/ { quota off; }
        location /burst/ { quota burst by=$http_x_key; }
        location /shadow/ { quota shadow by=$http_x_key; }
        location /many/ { quota many by=$http_x_key; }
        location /address/ { quota one by=address; }
        location /tier/ { quota $http_x_tier default=one by=$http_x_key; }
        location /strict/ { quota $http_x_tier by=$http_x_key; }
        location /page/ { quota two by=$http_x_key; error_page 429 /sorry; }
        location /sorry { quota two by=$http_x_key; try_files /a.txt =500; }
        location /metrics { metrics; }
    }
}
EOC

for my $dir (qw(two two/sub two/off burst shadow many tier strict page)) {
    $t->file("www/$dir/a.txt", 'a');
}
$t->file("www/$_", 'a') for qw(address/a.txt a.txt missing.txt);

for my $redis ('', 'redis_server main %%REDIS%% timeout=2s; quota_redis main;') {
    (my $text = $conf) =~ s/%%REDISCONF%%/$redis/;

    ($text = $t->expand($text)) =~ s/worker_processes 1/worker_processes 4/;
    $t->conf($text);
    $t->run;
    wait_redis() if $redis;
    answers($redis ? 'redis: ' : 'local: ');
    concurrent($redis ? 'redis: ' : 'local: ');
    $t->stop;
}

$t->finish;
done_testing;


# until the first connection of every worker stands

sub wait_redis {
    $t->wait_until(sub {
        my $list = join '', map { $t->get('/many/a.txt', { 'X-Key' => "w$_" })
                                  ->{status} } 1 .. 20;
        my $log = $t->error_log;

        return `redis-cli -s $t->{redis}{socket} client list`
               =~ tr/\n// >= 5;
    });
    return;
}


sub answers {
    my ($name) = @_;

    my $res = key('/two/a.txt', 'a');
    is($res->{status}, 200, "${name}the first passes");
    is($res->{headers}{'ratelimit-policy'},
       '"requests-3600";q=2;w=3600, "requests-86400";q=100;w=86400',
       "${name}RateLimit-Policy");
    is($res->{headers}{ratelimit},
       '"requests-3600";r=1;t=1800, "requests-86400";r=99;t=864',
       "${name}RateLimit, the tightest first");

    is(key('/two/a.txt', 'b')->{status}, 200, "${name}another key");

    $res = key('/two/none', 'a');
    is($res->{status}, 404, "${name}the second passes, nothing is there");
    like($res->{headers}{ratelimit}, qr/^"requests-3600";r=0;t=3600/,
         "${name}RateLimit on 404, charged once for the error page");

    $res = key('/two/sub/a.txt', 'a');
    is($res->{status}, 429, "${name}the third is denied");
    is($res->{json}{error}{code}, 'quota_exceeded', "${name}code");
    is($res->{json}{error}{details}{policy}, 'two', "${name}policy");
    is_deeply($res->{json}{error}{details}{limits}, [ 'requests-3600' ],
              "${name}the limit that denies");

    my $wait = $res->{json}{error}{details}{retry_after};
    ok($wait > 1790 && $wait <= 1800, "${name}retry_after $wait");
    ok($res->{headers}{'retry-after'} >= $wait
       && $res->{headers}{'retry-after'} <= $wait * 1.1 + 2,
       "${name}Retry-After $res->{headers}{'retry-after'}");
    like($res->{headers}{ratelimit}, qr/^"requests-3600";r=0;t=\Q$wait\E, "requests-86400";r=98;/,
         "${name}the other limit is not charged");

    $res = $t->get('/two/a.txt', { 'X-Key' => 'a' }, { http2 => 1 });
    is($res->{status}, 429, "${name}HTTP/2");
    ok($res->{headers}{'retry-after'}, "${name}Retry-After in HTTP/2");

    is($t->request('OPTIONS', '/two/a.txt', { 'X-Key' => 'a' })->{status},
       405, "${name}OPTIONS is not counted");
    is(key('/two/off/a.txt', 'a')->{status}, 200, "${name}off");
    is(key('/', 'a')->{headers}{ratelimit}, undef, "${name}not enabled");

    is(join(' ', map { key('/burst/a.txt', 'a')->{status} } 1 .. 4),
       '200 200 200 429', "${name}burst");

    $res = key('/shadow/a.txt', 's');
    $res = key('/shadow/a.txt', 's');
    is($res->{status}, 200, "${name}shadow does not deny");
    is($res->{headers}{ratelimit}, undef, "${name}and announces nothing");

    is($t->get('/address/a.txt')->{status}, 200, "${name}by address");
    is($t->get('/address/a.txt')->{status}, 429, "${name}by address, again");

    is(key('/two/a.txt', '')->{status}, 200,
       "${name}an empty key is the address");

    is(key('/tier/a.txt', 't1', 'two')->{headers}{'ratelimit-policy'},
       '"requests-3600";q=2;w=3600, "requests-86400";q=100;w=86400',
       "${name}the variable names a policy");
    is(key('/tier/a.txt', 't2', 'nonsense')->{headers}{'ratelimit-policy'},
       '"requests-3600";q=1;w=3600', "${name}it does not: the default");
    is(key('/tier/a.txt', 't1', 'one')->{status}, 429,
       "${name}a smaller plan keeps what was used");

    $res = key('/strict/a.txt', 't1', 'nonsense');
    is("$res->{status} $res->{json}{error}{code}",
       '403 quota_policy_unknown', "${name}no default");

    key('/page/a.txt', 'p') for 1 .. 2;
    is(key('/page/a.txt', 'p')->{body}, 'a',
       "${name}an error page is not denied, too");

    my $log = Sallyport::Test::slurp($t->dir . '/logs/access.log');
    like($log, qr{^/two/a.txt two allowed 1$}m, "${name}variables");
    like($log, qr{^/two/sub/a.txt two denied 0$}m, "${name}denied");
    like($log, qr{^/shadow/a.txt shadow shadow 0$}m, "${name}shadow");
    like($log, qr{^/ - - -$}m, "${name}no quota, no values");

    like($t->get('/metrics')->{body},
         qr/sallyport_quota_decisions_total\{policy="shadow",result="shadow"\} [1-9]/,
         "${name}metric");
    return;
}


# 64 clients at once: exactly the limit passes

sub concurrent {
    my ($name) = @_;

    my @pipes;

    for my $n (1 .. 64) {
        my $pid = open my $pipe, '-|';

        die "cannot fork: $!\n" unless defined $pid;

        if ($pid == 0) {
            my $passed = 0;

            for (1 .. 5) {
                my $status = key('/many/a.txt', 'crowd')->{status};
                $passed++ if $status == 200;
                $passed += 1000 if $status != 200 && $status != 429;
            }

            print $passed;
            close STDOUT;
            POSIX::_exit(0);
        }

        push @pipes, $pipe;
    }

    my $passed = 0;

    for my $pipe (@pipes) {
        $passed += <$pipe>;
        close $pipe;
    }

    is($passed, 100, "${name}100 of 320 requests of 64 clients pass");
    return;
}


sub key {
    my ($path, $key, $tier) = @_;
    return $t->get($path, { 'X-Key' => $key,
                            defined $tier ? ('X-Tier' => $tier) : () });
}
