#!/usr/bin/perl

# The pipeline: order, side by side, suspension, redirects, clients that leave.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Test;
use Test::More;
use Time::HiRes qw(time);


my $t = Sallyport::Test->new;

$t->pg;
$t->conf(<<'EOC');
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    pg_server main "%%PG%%" connections=2 timeout=5s;
    test_pg main;
    log_format c '$request_uri $status $error_code $identity_sub';

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORTH2%% http2;
        root %%DIR%%/html;
        access_log %%DIR%%/logs/access.log c;
        test_steps on;
        ssi_types text/plain;

        location / { test_content; }
        location /dir/ { index a.html; }
        location /off/ { test_steps off; test_content; }
        location /static/ { }
        location /proxy/ { proxy_pass http://127.0.0.1:%%PORT%%/off/; }
        location /page/ {
            error_page 429 /static/a.txt;
            test_content;
        }
        location /relay/ {
            error_page 429 /off/own;
            test_content;
        }
        location /named/ {
            error_page 429 = @named;
            test_content;
        }
        location @named { test_steps off; return 200 "named\n"; }
        location /any/ {
            satisfy any;
            allow 127.0.0.1;
            deny all;
            test_content;
        }
        location /anyid/ {
            satisfy any;
            deny all;
            test_content;
        }
        location /allid/ { deny all; test_content; }
        location /ssi/ { ssi on; test_steps off; }
        location /sub/ { test_content; }
    }
}
EOC

mkdir $t->dir . '/html';
$t->file('html/dir/a.html', "index\n");
$t->file('html/static/a.txt', "file\n");
$t->file('html/ssi/a.txt',
         '<!--# include virtual="/sub/1?content=wait:30" -->'
         . '<!--# include virtual="/sub/2?content=pg:20" -->end');
$t->run;

sub trace { return $_[0]->{headers}{'x-trace'} }

for my $h2 (0, 1) {
    my $opt = { http2 => $h2 };
    my $v = $h2 ? 'h2: ' : '';
    my $get = sub { $t->get($_[0], {}, $opt) };

    is(trace($get->('/')), 'cors identify a b reserve enrich content',
       "${v}by stage and rank");

    my $begin = time;
    my $res = $get->('/?a=wait:600&b=wait:600');

    is(trace($res), 'cors identify a~ b~ a b reserve enrich content',
       "${v}steps of a stage run side by side") or diag(trace($res));
    cmp_ok(time - $begin, '<', 1.15, "${v}and wait side by side");

    is(trace($get->('/?a=wait:30&b=wait:80')),
       'cors identify a~ b~ a b~ b reserve enrich content',
       "${v}the stage ends with its last step");

    is(trace($get->('/?identify=wait:20&a=wait:20')),
       'cors identify~ identify a~ b a reserve enrich content',
       "${v}a later stage waits for the earlier");

    is(trace($get->('/?content=wait:20,wait:20')),
       'cors identify a b reserve enrich content~ content~ content',
       "${v}a content handler is suspended as well");

    is($get->('/?a=pg:30&b=pg:30&content=pg:5')->{status}, 200,
       "${v}woken by ops");

    $res = $get->('/?a=wait:300&b=refuse');
    is($res->{status}, 429, "${v}refused while another step waits");
    is_deeply($res->{json}{error}{details}, { left => 0 }, "${v}details");
    is($res->{json}{error}{hint}, 'ask less', "${v}hint");
    is($res->{json}{error}{code}, 'test_refused', "${v}code");
    is($res->{json}{error}{message}, 'refused "so"', "${v}message");
    is($res->{headers}{'retry-after'}, 7, "${v}Retry-After");

    $res = $get->('/?a=error');
    is($res->{status}, 500, "${v}NGX_ERROR of a step");
    is($res->{json}{error}{code}, 'internal_error', "${v}has an envelope");
    is($get->('/?content=error')->{status}, 500, "${v}of a handler too");
    is($get->('/?content=wait:10,error')->{status}, 500, "${v}and later");
    is($get->('/?content=wait:10,refuse')->{json}{error}{code},
       'test_refused', "${v}a refusal of a handler");

    is($get->('/dir/')->{body}, "index\n", "${v}an internal redirect");
    is($get->('/dir/?a=wait:20')->{body}, "index\n", "${v}with a wait");

    $res = $get->('/page/?a=refuse');
    is($res->{status}, 429, "${v}error_page keeps the status");
    is($res->{body}, "file\n", "${v}and its page wins");
    is($get->('/page/?a=wait:20,refuse')->{body}, "file\n",
       "${v}also after a wait");

    $res = $get->('/relay/?a=wait:20,refuse');
    is($res->{json}{error}{code}, 'test_refused',
       "${v}a content handler instead of a page: still refused");
    is($res->{headers}{'retry-after'}, 7, "${v}with all that was said");
    is($get->('/named/?content=wait:10,refuse')->{body}, "named\n",
       "${v}a named location");

    is($get->('/off/')->{headers}{'x-trace'}, 'content', "${v}off");
    is($get->('/proxy/?a=wait:20')->{body}, "done\n", "${v}before a proxy");
    is($get->('/static/a.txt?b=wait:20')->{body}, "file\n",
       "${v}before a file");
}

# satisfy: a refusal of ours is final, only an identity grants

is($t->get('/any/?a=429')->{status}, 429, 'satisfy any: refused');
is($t->get('/any/?identify=401')->{status}, 401, 'satisfy any: 401 is final');
is($t->get('/any/?identify=wait:10,403')->{status}, 403, 'and 403');
is($t->get('/anyid/')->{status}, 403, 'without an identity: denied');
is($t->get('/anyid/?sub=me')->{status}, 200, 'an identity satisfies');
is($t->get('/allid/?sub=me')->{status}, 403, 'satisfy all: not alone');

# subrequests: content handlers only

my $res = $t->get('/ssi/a.txt');
is($res->{status}, 200, 'subrequests') or diag($res->{body});
is($res->{body}, "done\ndone\nend", 'each waits for itself');

# clients that leave

for my $path ('/?a=wait:5000', '/?content=wait:5000', '/?a=pg:3000',
              '/?content=pg:3000', '/?a=pg:3000&b=wait:4000')
{
    my $s = $t->stream('GET', $path);

    ok(!defined eval { $s->head(0.2); 1 }, "$path: waits");
    $s->close;
    ok($t->wait_until(sub { log_has("$path 499") }, 2.5),
       'the client leaves: seen at once');
}

# HTTP/2: the stream is reset
my $pid = fork;
if ($pid == 0) {
    exec 'curl', '-s', '-m', '0.3', '--http2-prior-knowledge',
         'http://' . $t->address({ port => 'H2' }) . '/h2?a=wait:5000';
}
waitpid $pid, 0;
ok($t->wait_until(sub { log_has('/h2?a=wait:5000 499') }, 4), 'HTTP/2 too');

# pipelined requests, with a suspension each
my $s = $t->connection;
$s->send(join '', map { "GET /?a=wait:20&n=$_ HTTP/1.1\r\nHost: a\r\n\r\n" }
                  1 .. 5);
for my $n (1 .. 5) {
    is($s->reply->{status}, 200, "pipelined $n");
    $s->again;
}
$s->close;

# nothing is left behind that would wake a dead request
$s = $t->stream('GET', '/?a=wait:60,refuse');
$s->taken->close(abrupt => 1);
is($t->get('/?a=wait:120')->{status}, 200, 'the worker lives on');

ok(log_has('/?a=wait:300&b=refuse 429 test_refused'), '$error_code');
ok(log_has('/anyid/?sub=me 200 - me'), '$identity_sub');

$t->finish;
done_testing;


sub log_has {
    my ($text) = @_;
    return index(Sallyport::Test::slurp($t->dir . '/logs/access.log'), $text)
           >= 0;
}
