#!/usr/bin/perl

# Outgoing HTTP: a second server of the same nginx answers, behind a proxy
# that injects faults.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Dns;
use Sallyport::Proxy;
use Sallyport::Test;
use Test::More;
use Time::HiRes qw(time);


my $t = Sallyport::Test->new;

my $dir = $t->dir;
my $dns = Sallyport::Dns->new($dir);
my $resolver = '127.0.0.1:' . $dns->port;
my $port = $t->port(5);
my $proxy = Sallyport::Proxy->new(listen => "127.0.0.1:$port",
                                  to => '127.0.0.1:' . $t->port(1));

system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=io.test"
       . " -addext subjectAltName=IP:127.0.0.1 -keyout $dir/key.pem"
       . " -out $dir/cert.pem 2>/dev/null && chmod 644 $dir/*.pem") == 0
    or die "openssl failed\n";

$t->file('html/large', join '', map { "line $_\n" } 1 .. 50_000);
$t->file('html/small', 'small');

sub conf {
    my ($trusted, $events) = @_;

    $events ||= '';
    $trusted = $trusted ? "fetch_trusted_certificate $trusted;" : '';
    $trusted .= ' chain far { chain_id 1; rpc https://127.0.0.1:1; }';

    return <<"EOF" . <<'EOF';
%%LOAD%%
%%GLOBALS%%
events { $events }
http {
    %%HTTP%%
    resolver $resolver;
    fetch_timeout 1s;
    fetch_connect_timeout 3s;
    fetch_max_active 8;
    $trusted
    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%PORTH2%% http2;
        location /get { io_probe_fetch http://127.0.0.1:$port/\$arg_p; }
        location /patient {
            io_probe_fetch http://127.0.0.1:$port/\$arg_p;
            io_probe_timeout 9s;
        }
        location /many {
            io_probe_fetch http://127.0.0.1:$port/small; io_probe_repeat 20;
        }
        location /post {
            io_probe_fetch http://127.0.0.1:$port/echo \$arg_b;
            io_probe_header "Content-Type: text/x-test";
            io_probe_header "X-A: one";
        }
        location /form { io_probe_fetch http://127.0.0.1:$port/echo abc; }
        location /void {
            io_probe_fetch http://127.0.0.1:$port/echo;
            io_probe_method POST;
        }
        location /put {
            io_probe_fetch http://127.0.0.1:$port/echo \$arg_b;
            io_probe_method PUT;
        }
        location /head {
            io_probe_fetch http://127.0.0.1:$port/large;
            io_probe_method HEAD;
        }
        location /delete {
            io_probe_fetch http://127.0.0.1:$port/echo;
            io_probe_method DELETE;
        }
        location /cap {
            io_probe_fetch http://127.0.0.1:$port/\$arg_p;
            io_probe_max_body 100;
        }
        location /url { io_probe_fetch \$arg_u; io_probe_timeout 9s; }
        location /short { io_probe_fetch \$arg_u; io_probe_timeout 100ms; }
        location /newline {
            io_probe_fetch http://127.0.0.1:$port/echo;
            io_probe_header "X-A: b\r\nX-B: c";
        }
        location /tls {
            io_probe_fetch https://127.0.0.1:%%PORT2%%/proto;
            io_probe_repeat 5;
            io_probe_timeout 9s;
        }
        location /unknown {
            io_probe_fetch https://127.0.0.1:%%PORT2%%/proto;
            io_probe_timeout 60s;
        }
        location /name { io_probe_fetch https://localhost:%%PORT2%%/proto; }
        location /dns {
            io_probe_fetch http://\$arg_h:$port/small;
            io_probe_timeout 300ms;
        }
        location /quick { return 200 quick; }
        location /state { io_probe_state on; }
    }
EOF
    server {
        listen 127.0.0.1:%%PORT1%%;
        listen 127.0.0.1:%%PORT2%% ssl http2;
        ssl_certificate %%DIR%%/cert.pem;
        ssl_certificate_key %%DIR%%/key.pem;
        keepalive_requests 100000;
        lingering_timeout 1s;
        root %%DIR%%/html;
        default_type text/plain;
        location /echo {
            return 201 "$request_method $content_length $http_content_type
                        $http_x_a $http_expect. $http_user_agent";
        }
        location /proto { return 200 $server_protocol; }
        location /moved { return 302 http://127.0.0.1:%%PORT1%%/small; }
        location /wrong { return 500 wrong; }
        location /empty { return 204; }
        location /chunked {
            ssi on;
            ssi_types text/plain;
            alias %%DIR%%/html/large;
        }
    }
}
EOF
}

sub body { return $t->get(@_)->{body} }


sub bytes_read {
    my ($pid) = @_;

    open my $fh, '<', "/proc/$pid/io" or return;
    return join('', <$fh>) =~ /^rchar: (\d+)/m ? $1 : undef;
}


$t->conf(conf("$dir/cert.pem"));
$t->run;

# what is trusted is read before the workers start

rename "$dir/cert.pem", "$dir/away.pem";


# -- the common path

like(body('/get?p=small'),
     qr{^ok sent=1 .* status=200 type="text/plain" length=5 body=small$},
     'get');
like(body('/get?p=none'), qr/^ok .* status=404 /, 'any status is ok');
like(body('/get?p=wrong'), qr/^ok .* status=500 .*body=wrong$/, '.. also 500');
like(body('/get?p=moved'), qr/^ok .* status=302 /, 'redirects are not followed');
like(body('/get?p=empty'), qr/^ok .* status=204 .* length=0 body=$/, 'empty');
like(body('/get?p=large'), qr/^ok .* length=538894 body=line 1$/m, 'large');
like(body('/get?p=chunked'), qr/^ok .* length=538894 body=line 1$/m, 'chunked');
like(body('/post?b=hello'),
     qr{^ok .*body=POST 5 text/x-test\s+one \. sallyport$}, 'post');
like(body('/form'), qr{^ok .*body=POST 3 \s+\. sallyport$},
     'no type is made up');
like(body('/void'), qr/^ok .*body=POST 0 /, 'post of nothing');
like(body('/put?b=ab'), qr/^ok .*body=PUT 2 /, 'put');
like(body('/delete'), qr/^ok .*body=DELETE /, 'delete');
like(body('/head'), qr/^ok .* status=200 .* length=0 /, 'head');
like($t->request('GET', '/get?p=small', {}, undef, { http2 => 1 })->{body},
     qr/^ok .*body=small$/, 'http2 before us');

my $count = $proxy->count;
body('/get?p=small') for 1 .. 10;
is($proxy->count, $count, 'connections are used again');


# -- caps and refusals

like(body('/cap?p=small'), qr/^ok .*body=small$/, 'below the cap');
like(body('/cap?p=large'), qr/^rejected sent=1 .*over its cap/, 'over the cap');
like(body('/cap?p=chunked'), qr/^rejected sent=1 .*over its cap/,
     '.. chunked');

my @lines = split /\n/, body('/many');
is(scalar(grep { /^ok / } @lines), 8, 'bounded number of transfers');
is(scalar(grep { /^unavailable sent=0 .*too many/ } @lines), 12,
   '.. more are refused');

like(body('/url?u=file:///etc/passwd'),
     qr/^rejected sent=0 .*neither http nor https/, 'no files');
like(body('/url?u=http'), qr/^rejected sent=0/, 'no scheme');
like(body('/url?u=http://'), qr/^(?:rejected|unavailable) sent=0/, 'no host');
like(body('/newline'), qr/^rejected sent=0 .*control character/,
     'no second header in a header');
like(body('/url?u=http://127.0.0.1:1/'), qr/^unavailable sent=0/,
     'nobody listens');


# two addresses where there is IPv6, and only the second answers
like(body('/url?u=http://localhost:' . $t->port(1) . '/small'),
     qr/^ok .*body=small$/, 'a name');


# -- TLS

@lines = split /\n/, body('/tls');
is(scalar(grep { m{^ok .*body=HTTP/2\.0$} } @lines), 5, 'TLS, HTTP/2');
like(body('/name'), qr/^unavailable sent=0/, 'another name');
ok($t->wait_log(qr/fetch from "localhost:\d+" failed: .*certificate/i),
   '.. and the log tells');
rename "$dir/away.pem", "$dir/cert.pem";


# -- answers in pieces, late, cut

$proxy->mode('split');
like(body('/patient?p=small'), qr/^ok .*body=small$/, 'split by bytes');
like(body('/patient?p=moved'), qr/^ok .*status=302/, '.. again');

$proxy->drop;
$proxy->mode('stall');
my $began = time;
like(body('/get?p=small'), qr/^timeout sent=1 elapsed=[1-4]\d\d\d /, 'no answer');
cmp_ok(time - $began, '<', 5, '.. in time');
ok($t->wait_until(sub { $proxy->open == 0 }), '.. the connection closes');
$proxy->mode('pass');
like(body('/get?p=small'), qr/^ok .*body=small$/, '.. the next is served');

for my $n (1, 5, 13, 40, 120) {
    $proxy->mode('cut', $n);
    like(body('/get?p=large'), qr/^unavailable sent=1 /,
         "closed after $n bytes");
}

$proxy->mode('cut', 5000);
like(body('/get?p=large'), qr/^unavailable sent=1 .*length=0/,
     'closed within the body');
$proxy->mode('pass');

$proxy->drop;
like(body('/get?p=small'), qr/^ok .*body=small$/,
     'a connection that was closed when idle');

$proxy->drop;
$proxy->mode('refuse');
like(body('/get?p=small'), qr/^unavailable/, 'closed at once');
like(body('/get?p=small'), qr/^unavailable/, '.. again');
$proxy->mode('pass');


# -- a connect that hangs: nobody accepts, and the queue of the socket is full

my $full = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
    or die "no socket: $!\n";
my @waiting = map {
    IO::Socket::INET->new(PeerAddr => '127.0.0.1', Blocking => 0,
                          PeerPort => $full->sockport)
} 1 .. 4;

ok($t->wait_until(sub { (grep { $_->connected } @waiting) == 2 }),
   'a full queue') or diag(scalar grep { $_->connected } @waiting);

my $u = 'http://127.0.0.1:' . $full->sockport . '/';

like(body("/url?u=$u"), qr/^unavailable sent=0 elapsed=[3-8]\d\d\d .*imeout/,
     'a connect that hangs');
like(body("/short?u=$u"), qr/^timeout sent=0 elapsed=[1-9]\d\d /,
     '.. a shorter deadline');

$t->stream('GET', "/url?u=$u")->taken->leave;
like(body("/short?u=$u"), qr/^timeout/, '.. a client that leaves');

close $_ for @waiting, $full;


# -- the client leaves

$proxy->drop;
$proxy->mode('stall');
my $s = $t->stream('GET', '/patient?p=small');
ok($t->wait_until(sub { $proxy->open == 1 }), 'a transfer is in flight');
$s->close;
ok($t->wait_until(sub { $proxy->open == 0 }),
   '.. and closed when the client leaves');
$proxy->mode('pass');


# -- reload, and quit, with transfers in flight

$proxy->mode('stall');
$s = $t->stream('GET', '/patient?p=small');
$t->wait_until(sub { $proxy->open == 1 });
my ($old) = $t->workers;
$t->reload;
$proxy->mode('pass');
like($s->rest, qr/^ok .*body=small$/, 'a reload waits for the transfer');
$s->close;
ok($t->wait_until(sub { !kill 0, $old }, 5), '.. and the old worker ends');

$proxy->mode('stall');
$s = $t->stream('GET', '/patient?p=small');
$t->wait_until(sub { $proxy->open == 1 });
ok($t->stop('TERM'), 'terminated with a transfer in flight');
$s->close;
$proxy->mode('pass');


# -- without the certificate of the server

$t->conf(conf(''));
$t->run;

my ($worker) = $t->workers;
my $before = bytes_read($worker);

like(body('/unknown', {}, { timeout => 60 }), qr/^unavailable sent=0/,
     'TLS is verified by default');

# curl would read some 200 KB, in the event loop, for each new connection

SKIP: {
    skip 'what a worker reads is shown to root only', 1
        unless defined $before;
    cmp_ok(bytes_read($worker) - $before, '<', 100_000,
           'what the system trusts is not read by a worker');
}

$t->stop;

$t->file('none.pem', "nothing\n");
$t->refuses(conf($_), qr/cannot read the trusted certificates "\Q$_\E": \w/,
            "trusted certificates: $_")
    for "$dir/none.pem", "$dir/absent.pem";


# -- names: a slow resolver stops neither the worker nor its end, and libc,
#    which has none but slow ones, is not asked

SKIP: {
    skip 'sanitizers come first in the address space', 5
        if ($ENV{SP_MODULES} || 'x') eq 'x' && $ENV{SP_SANITIZE};

    $t->file('slow.c', <<"EOF");
#include <fcntl.h>
#include <netdb.h>
#include <unistd.h>

int
getaddrinfo(const char *node, const char *service,
    const struct addrinfo *hints, struct addrinfo **res)
{
    close(open("$dir/libc.asked", O_CREAT|O_WRONLY, 0666));
    /* waits: a resolver of the system that is slow */
    sleep(4);
    return EAI_AGAIN;
}
EOF
    system("cc -shared -fPIC -o $dir/slow.so $dir/slow.c") == 0 or die;
    chmod 0755, "$dir/slow.so";

    {
        local $ENV{LD_PRELOAD} = "$dir/slow.so";
        $t->run;
    }

    chmod 0777, $dir;
    $dns->say('slow.test', { mode => 'silent' });
    $dns->say('web.test', { ttl => 60, addrs => ['127.0.0.1'] });

    $s = $t->stream('GET', '/dns?h=slow.test');
    $began = time;
    is(body('/quick'), 'quick', 'others are served');
    like($s->rest, qr/^timeout sent=0/, 'a name that does not resolve');
    cmp_ok(time - $began, '<', 3, '.. in time');
    $s->close;
    like(body('/dns?h=web.test'), qr/^ok .*body=small$/, 'one that does');
    ok(!-e "$dir/libc.asked", 'libc is not asked');
    $t->stop;
}


# -- out of worker_connections: one listens, one is of the master

my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5);
my $server = fork;

if (!$server) {
    $SIG{TERM} = 'DEFAULT';

    while (my $c = $listen->accept) {
        while (defined(my $line = <$c>)) {
            last if $line eq "\r\n";
        }
        print $c "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsmall";
        close $c;
    }

    POSIX::_exit(0);
}

my $where = '127.0.0.1:' . $listen->sockport;

$t->allow(qr/worker_connections are not enough/);
$t->conf(<<"EOF");
%%LOAD%%
%%GLOBALS%%
events { worker_connections 6; }
http {
    %%HTTP%%
    fetch_timeout 5s;
    fetch_connect_timeout 5s;
    server {
        listen 127.0.0.1:%%PORT%%;
        location /get { io_probe_fetch http://$where/; }
    }
}
EOF
$t->run;

# not reusable: a request has begun
my @held = map { $t->connection->send("GET / HTTP/1.1\r\n") } 1 .. 3;
$s = $t->stream('GET', '/get');
ok($t->wait_log(qr/worker_connections are not enough/),
   'no connection is left for a transfer');
$_->close for @held;
like($s->rest, qr/^ok .*body=small$/, '.. it waits for one');
$s->close;

kill 'TERM', $server;
waitpid $server, 0;

$t->finish;

done_testing;
