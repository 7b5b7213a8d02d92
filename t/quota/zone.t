#!/usr/bin/perl

# quota_zone: full, and several workers at once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Cwd qw(abs_path);
use Sallyport::Test;
use Test::More;


my $top = abs_path("$FindBin::Bin/../..");
my $makefile = "$top/objs/Makefile";

plan skip_all => 'needs what modules/build leaves behind' unless -e $makefile;

my $t = Sallyport::Test->new;

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

# an entry changes hands while another worker writes into it
open my $file, '<', $makefile or die "$makefile: $!\n";
my ($includes) = join('', <$file>) =~ /^ALL_INCS = (.*?[^\\])\n/ms;
$includes =~ s/\\\n/ /g;

my $race = $t->dir . '/race';
my @sources = map { "$top/$_" }
    qw(t/race/quota_zone.c modules/quota/ngx_http_sp_quota_zone.c
       modules/quota/ngx_http_sp_quota_slice.c modules/lib/sp_gcra.c
       modules/lib/sp_siphash.c);

is(system("cd /usr/share/nginx/src && gcc -O2 -W -Wall -Wno-unused-parameter"
          . " $includes -I$top/modules/quota -o $race @sources -lcrypto"),
   0, 'the race is compiled');

my ($asked, $denied) = `$race 3` =~ /^asked (\d+) denied (\d+)$/;
cmp_ok($asked, '>', 10_000, 'subjects that nobody has seen');
is($denied, 0, '.. are never denied');

done_testing;
