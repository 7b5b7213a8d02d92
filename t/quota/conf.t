#!/usr/bin/perl

# What nginx -t says about quota_policy, quota, quota_zone, quota_hold.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Test;
use Test::More;


my $t = Sallyport::Test->new;

my $policy = 'quota_policy free { requests 60/m; }';
my $redis = 'redis_server main unix:/nowhere.sock;';

# http block, location, what must be said ('' : accepted)
my @cases = (
    [ $policy, 'quota free by=address;', '' ],
    [ $policy, 'quota free by=$http_x_key;', '' ],
    [ $policy, 'quota $http_x_tier default=free by=address;', '' ],
    [ $policy, 'quota $http_x_tier by=address;', '' ],
    [ $policy, 'quota off;', '' ],
    [ 'quota_policy a { requests 5k/h burst=10; requests 2m/30d; shadow; }',
      'quota a by=address;', '' ],
    [ "$policy quota_zone 128k;", 'quota free by=address;', '' ],
    [ "$policy quota_failure closed;", 'quota free by=address;', '' ],

    [ '', 'quota $http_x_tier by=address;',
      qr/"quota" in \S+:\d+: no quota_policy is defined/ ],
    [ $policy, 'quota free;',
      qr/"quota" in \S+:\d+ has no key.*add "by=address"/ ],
    [ $policy, 'quota free by=identity;', qr/has no key/ ],
    [ $policy, 'quota free by=all;',
      qr/"by=all" would give all requests one key: allowed are/ ],
    [ $policy, 'quota gold by=address;',
      qr/there is no quota_policy "gold", used by "quota" in \S+check.conf:/ ],
    [ $policy, 'quota $http_x_tier default=gold by=address;',
      qr/there is no quota_policy "gold"/ ],
    [ $policy, 'quota free default=free by=address;',
      qr/invalid parameter "default=free"/ ],
    [ $policy, 'quota free by=address by=address;',
      qr/invalid parameter "by=address"/ ],
    [ $policy, 'quota off by=address;', qr/takes no parameters after "off"/ ],
    [ $policy, 'quota free by=address; quota off;', qr/is duplicate/ ],
    [ "$policy quota_failure fail;", '', qr/invalid value "fail"/ ],
    [ "$policy quota_zone 1k;", '',
      qr/"quota_zone" is too small: 1024 bytes, at least 64k are allowed in \S+:\d+/ ],
    [ "$policy quota_redis none;", '', qr/none/ ],
    [ "$policy $redis quota_redis main lease=0%;", 'quota free by=address;',
      '' ],
    [ "$policy $redis quota_redis main lease=10%;", 'quota free by=address;',
      '' ],
    map({ [ "$policy $redis quota_redis main $_;", '',
            qr/invalid parameter "\Q$_\E": allowed is "lease=0%" to "lease=10%"/ ]
        } qw(lease=11% lease=5 lease=% lease=-1% leases=1% lease=x%)),
    [ "$policy $policy", '', qr/duplicate quota_policy "free"/ ],
    [ 'quota_policy a/b { requests 1/s; }', '',
      qr{invalid name "a/b" of a quota_policy} ],
    [ 'quota_policy a { }', '', qr/quota_policy "a" has no limit/ ],
    [ 'quota_policy a { requests 1/m; requests 9/60s; }', '',
      qr/quota_policy "a" has two limits "requests-60"/ ],
    [ 'quota_policy a { concurrency 4; requests 1/m; }',
      'quota a by=address;', '' ],
    [ 'quota_policy a { concurrency 10000; } quota_hold 1s;',
      'quota a by=address;', '' ],
    [ 'quota_policy a { concurrency 1; concurrency 2; }', '',
      qr/quota_policy "a" has two limits "concurrency"/ ],
    (map { [ "quota_policy a { concurrency $_; }", '',
             qr/invalid number "\Q$_\E" of "concurrency": allowed is 1 to 10000/ ] }
         '0', '-1', '10001', '4/m', 'x'),
    [ 'quota_policy a { concurrency; }', '',
      qr/"concurrency" of quota_policy has a wrong number of arguments/ ],
    [ 'quota_policy a { ' . join(' ', map { "requests 1/${_}s;" } 1 .. 8)
      . ' concurrency 1; }', '', qr/quota_policy "a" has more than 8 limits/ ],
    [ "$policy quota_hold 999ms;", '',
      qr/"quota_hold" is out of range: 999 ms, "1s" to "1d" are allowed in \S+:\d+/ ],
    [ "$policy quota_hold 25h;", '', qr/"quota_hold" is out of range/ ],
    [ "$policy quota_hold never;", '', qr/"quota_hold" directive invalid value/ ],
    [ 'quota_policy a { requests; }', '', qr/"requests" of quota_policy has a wrong number of arguments/ ],
    [ 'quota_policy a { tokens 50k/d; }', '',
      qr/unknown parameter "tokens".*requests, concurrency, enforce or shadow/ ],
    [ 'quota_policy a { requests 1/s; shadow; enforce; }', '',
      qr/has "enforce" or "shadow" already/ ],
    [ 'quota_policy a { requests 1/s; shadow on; }', '',
      qr/"shadow" of quota_policy has a wrong number of arguments/ ],
    [ 'quota_policy a { requests 1/s burst=0; }', '',
      qr/invalid parameter "burst=0"/ ],
    [ 'quota_policy a { requests 20000/s; }', '', qr/is out of range/ ],
    (map { [ "quota_policy a { requests $_; }", '', qr/invalid rate "\Q$_\E"/ ] }
         '60', '60/', '/m', '60/w', '0/m', '-1/m', '60/0s', '60/400d',
         'x/m', '2000m/d', '60/m/s'),
);

for my $case (@cases) {
    my ($http, $location, $expected) = @$case;
    my ($ok, $out) = $t->check_conf(<<"EOC");
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    $http
    server {
        listen 127.0.0.1:%%PORT%%;
        location / { $location }
    }
}
EOC
    my $name = $location ? "$http $location" : $http;

    if ($expected eq '') {
        ok($ok, $name) or diag($out);

    } else {
        ok(!$ok, "refused: $name");
        like($out, $expected, 'and says why');
    }
}

# one that is inherited is looked at where it is used
my ($ok, $out) = $t->check_conf(<<"EOC");
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    quota nowhere by=address;
    server { listen 127.0.0.1:%%PORT%%; location / { } }
}
EOC
ok(!$ok && $out =~ /no quota_policy is defined/, 'inherited, no policy');

$t->finish;
done_testing;
