#!/usr/bin/perl

# JSON-RPC calls of a chain's nodes, by a plugin that is none of ours
# (t/modules/chain_probe).  That "done" is called once, and never from inside
# submit, is checked by it: it raises an [alert].

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Node;
use Sallyport::Test;
use Test::More;
use Time::HiRes qw(time);


my $t = Sallyport::Test->new;
my $node = Sallyport::Node->new($t->port(1), $t->dir);

my $nobody = 'http://127.0.0.1:' . $t->port(2);

my %endpoints = (
    one   => [ 'one' ],
    two   => [ 'two-a', 'two-b' ],
    three => [ 'three-a', 'three-b', 'three-c' ],
    other => [ 'other-a', 'other-b' ],
    none  => [ ],
    dead  => [ 'dead-b' ],
);

my $chains = join '', map {
    my @urls = map { $node->url($_) } @{ $endpoints{$_} };

    unshift @urls, "$nobody/" if /none|dead/;

    "chain $_ { chain_id 7; rpc_timeout 1500ms; "
        . join(' ', map { "rpc $_;" } @urls) . " }\n"
} sort keys %endpoints;

my $locations = join '', map {
    "location = /$_ { chain_probe $_ \$arg_m '[\"a\",1]'; }\n"
    . "location = /$_/hasty { chain_probe $_ \$arg_m [] timeout=700ms; }\n"
} sort keys %endpoints;

$t->conf(<<"EOF2");
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    fetch_max_active 8;
    $chains
    server {
        listen 127.0.0.1:%%PORT%%;
        $locations
        location = /one/small { chain_probe one \$arg_m [] max_body=10; }
        location = /one/void  { chain_probe one \$arg_m; }
        location = /one/ten   { chain_probe one \$arg_m [] times=10; }
        location = /one/eight { chain_probe one \$arg_m [] times=8; }
        location = /two/doubt { chain_probe two \$arg_m [] distrust; }
        location = /metrics   { metrics; }
    }
}
EOF2
$t->run;


sub probe {
    my ($path, $method) = @_;
    return $t->get("/$path?m=" . ($method || 'get'))->{body};
}


# what the node was asked, without the ids

sub calls { return join ', ', map { s/ \d+$//r } $node->calls }


# -- answers

is(probe('one') =~ s/elapsed=\d+/elapsed=N/r,
   'ok fault=none endpoint=1 failed=0 status=200 sent=1 elapsed=N reason="" '
   . qq(code=0 message="" data=- answer="0x1"\n), 'a result');
is(calls, 'one eth_chainId, one get', '.. of an endpoint that told its chain');
like(probe('one', 'echo'), qr/^ok .*answer=\["a",1\]$/, 'params');
is(calls, 'one echo', '.. the chain is asked once');
like(probe('one/void', 'echo'), qr/^ok .*answer=\[\]$/, 'no params');
like(probe('one', 'nothing'), qr/^ok fault=none .*answer=null$/, 'null');

my @lines = split /\n/, probe('one/eight');

is(scalar(grep { /^ok / } @lines), 8, 'several at once');

my %ids = map { (split)[2] => 1 } $node->calls;

is(scalar keys %ids, 10, '.. each call has an id of its own');


# -- an error object is an answer, whatever the status

my $error = '"error":{"code":-32000,"message":"execution reverted",'
            . '"data":{"x":[1]}}';
my $said = 'code=-32000 message="execution reverted" data={"x":[1]} answer=-';

for ([ 'an error', "body={\"jsonrpc\":\"2.0\",\"id\":\$ID,$error}" ],
     [ 'an error and a null', "body={\"id\":\$ID,\"result\":null,$error}" ],
     [ 'an error for nobody', "body={\"id\":null,$error}" ],
     [ 'an error with status 500', 'status=500', "body={\"id\":\$ID,$error}" ])
{
    my ($name, @fault) = @$_;

    $node->fault(one => @fault);
    like(probe('one'), qr/^rejected fault=error endpoint=1 failed=0 .*\Q$said/,
         $name);
}

$node->fault(one => 'body={"id":$ID,"error":{"message":"a\u0000b"}}');
like(probe('one'), qr/^rejected fault=error .*code=0 message="a\0b" data=- /,
     'U+0000 in a message');
$node->fault('one');
calls();
like(probe('one'), qr/^ok /, 'none of them is a failure of the endpoint');
is(calls, 'one get', '.. whose chain is not asked again');


# -- what is no answer

my $serves = qr/it serves no calls/;

for ([ 'http', 500, 'a page with status 500', qr/not JSON/, 'status=500' ],
     [ 'http', 404, 'a page with status 404', qr/not JSON/, 'status=404' ],
     [ 'http', 500, 'a result for another with status 500', qr/another call/,
       'status=500', 'body={"id":"x","result":1}' ],
     (map { [ 'http', $_, "status $_ with an error", $serves,
              "status=$_", "body={\"id\":\$ID,$error}" ] }
          401, 403, 429, 502, 503, 504),
     [ 'malformed', 200, 'a page', qr/not JSON/, 'body=<html>' ],
     [ 'malformed', 200, 'nothing', qr/not JSON/, 'body=' ],
     [ 'malformed', 200, 'half an answer', qr/not JSON/,
       'body={"id":$ID,"result":' ],
     [ 'malformed', 200, 'two answers', qr/not JSON/,
       'body={"id":$ID,"result":1,"result":2}' ],
     [ 'malformed', 200, 'an array', qr/another call/, 'body=[]' ],
     [ 'malformed', 200, 'a wrong id', qr/another call/,
       'body={"id":9$ID,"result":1}' ],
     [ 'malformed', 200, 'an id as a text', qr/another call/,
       'body={"id":"$ID","result":1}' ],
     [ 'malformed', 200, 'no id', qr/another call/, 'body={"result":1}' ],
     [ 'malformed', 200, 'a result for nobody', qr/another call/,
       'body={"id":null,"result":1}' ],
     [ 'malformed', 200, 'neither result nor error', qr/neither/,
       'body={"id":$ID}' ],
     [ 'transport', 0, 'a connection that is closed', qr/./, 'close' ])
{
    my ($fault, $status, $name, $reason, @fault) = @$_;

    $node->fault(one => @fault);

    my $is = "unavailable fault=$fault endpoint=1 failed=1 status=$status";

    like(probe('one'), qr/^$is sent=1 .*reason="[^"]*$reason.*answer=-$/, $name);
}

$node->fault('one');
calls();
like(probe('one/small'), qr/^rejected fault=too_large .*failed=0 .*its cap/,
     'over the cap');
is(calls, 'one eth_chainId, one get',
   '.. the endpoint is back, and has told its chain, which has no such cap');

$node->fault(one => 'large');
like(probe('one'), qr/^ok .*answer="x{99}/, '.. a large one below it');
$node->fault('one');


# -- time

my $full = qr/(?:1[4-9]|2\d)\d\d/;
my $hasty = qr/(?:[6-9]|1[0-3])\d\d/;

$node->fault(one => 'hang');
like(probe('one'),
     qr/^timeout fault=transport endpoint=1 failed=1 .*elapsed=$full /,
     'no answer');
$node->fault(one => 'chain:hang');
like(probe('one'), qr/^timeout fault=transport .*sent=0 elapsed=$full /,
     'no answer about the chain: the call was not sent');
like(probe('one/hasty'), qr/^timeout fault=transport .*elapsed=$hasty /,
     'a deadline of the caller');
$node->fault('one');

like(probe('none'), qr/^unavailable fault=transport .*failed=1 .*sent=0/,
     'nobody listens');


# -- the next endpoint

calls();
like(probe('dead'), qr/^ok fault=none endpoint=2 failed=1 .*answer="0x1"$/,
     'one is dead: the next is asked');
like(probe('dead'), qr/^ok fault=none endpoint=2 failed=0 /,
     '.. and first the next time');
is(calls, 'dead-b eth_chainId, dead-b get, dead-b get', '.. at once');

like(probe('three'), qr/^ok .*endpoint=1 failed=0 /, 'the first of three');
$node->fault('three-a' => 'status=503');
$node->fault('three-b' => 'body=<html>');
like(probe('three'), qr/^ok .*endpoint=3 failed=2 /, 'two fail, one answers');
$node->fault('three-c' => 'status=503');
like(probe('three'), qr/^unavailable fault=malformed endpoint=2 failed=3 /,
     'all fail, each is asked once');
$node->fault('three-a');
calls();
like(probe('three'), qr/^ok .*endpoint=1 failed=1 /, 'one is back');
is(calls, 'three-c eth_chainId, three-c get, three-a eth_chainId, three-a get',
   '.. after the one whose turn it was');

$node->fault('two-a' => 'hang');
like(probe('two'), qr/^ok .*endpoint=2 failed=1 .*elapsed=$full /,
     'one hangs: the next has the rest of the time');
$node->fault('two-b' => 'hang');
$node->fault('two-a');
like(probe('two/hasty'), qr/^timeout .*endpoint=2 failed=1 /,
     'a deadline before the next is asked');
like(probe('two'), qr/^ok .*endpoint=1 failed=0 /,
     '.. the slow one is not the first any more');
$node->fault('two-a' => 'status=503');
like(probe('two/hasty'),
     qr/^timeout fault=transport endpoint=2 failed=2 status=0 .*answer=-$/,
     'one fails, the next is slow');
probe('two/hasty');
$node->fault('two-a' => 'hang');
like(probe('two/hasty'),
     qr/^timeout fault=transport endpoint=1 failed=1 status=0 .*answer=-$/,
     'slow after it has told its chain');
$node->fault('two-a');
probe('two');
$node->fault('two-b' => 'large');
$node->fault('two-a' => "body={\"id\":\$ID,$error}");
calls();
like(probe('two'), qr/^rejected fault=error endpoint=1 failed=0 /,
     'an error is an answer: no other is asked');
is(calls, 'two-a get', '.. really');

$node->fault('two-b');

for my $code (-32005, -32007, -32016, 429) {
    my $limit = qq({"id":\$ID,"error":{"code":$code,"message":"limit"}});

    $node->fault('two-a' => "body=$limit");
    like(probe('two'), qr/^ok .*endpoint=2 failed=1 /,
         "$code: one is over its limit, the next is asked");
    $node->fault('two-b' => "body=$limit");
    $node->fault('two-a');
    like(probe('two'), qr/^ok .*endpoint=1 failed=1 /, '.. and back');
    $node->fault('two-a' => "body=$limit");
    like(probe('two'), qr/^rejected fault=error .*failed=1 .*code=$code /,
         '.. all of them are: it is said');
    $node->fault('two-a');
    $node->fault('two-b' => 'status=503');
    like(probe('two'), qr/^ok .*endpoint=1 /, '.. until one has room');
    $node->fault('two-b');
}

$node->fault('two-a');
$node->fault('two-b');
like(probe('two/doubt'), qr/^ok .*endpoint=1 failed=1 /,
     'an answer that the caller does not trust');
like(probe('two'), qr/^ok .*endpoint=2 failed=0 /, '.. the next is asked then');
$node->fault('two-b' => 'status=503');
like(probe('two/doubt'), qr/^ok .*endpoint=1 failed=2 /,
     'one fails, the other is not trusted');
$node->fault('two-a' => 'status=503');
like(probe('two/doubt'), qr/^unavailable .*failed=2 /, 'no answer to distrust');
$node->fault('two-a');
$node->fault('two-b');


# -- of the right chain, before anything else

calls();
$node->fault('other-a' => 'chain:answer="0x8"');
like(probe('other'), qr/^ok .*endpoint=2 failed=1 /,
     'an endpoint of another chain is left out');
is(calls, 'other-a eth_chainId, other-b eth_chainId, other-b get',
   '.. and never sees the call');
ok($t->wait_log(qr/endpoint 1 of "other" has the chain id 8, configured is 7/),
   '.. the log says it');

$node->fault('other-b' => 'status=503');
like(probe('other'), qr/^unavailable fault=chain .*failed=2 .*another chain/,
     'no other is left');
is(calls, 'other-b get, other-a eth_chainId', '.. no call for it either');

my $none = 'code=0 message="" data=- answer=-$';

for ('answer=7', 'answer="seven"', 'answer=null', "body={\"id\":\$ID,$error}") {
    $node->fault(one => "close");
    probe('one');
    $node->fault(one => "chain:$_");
    like(probe('one'), qr/^unavailable fault=chain .*tells no chain.*$none/,
         "a chain id that is none: $_");
}

$node->fault('one');
like(probe('one'), qr/^ok /, 'it is back');


# -- more calls than transfers are allowed: not a fault of the endpoint

calls();
@lines = split /\n/, probe('one/ten');
is(scalar(grep { /^ok / } @lines), 8, 'a bounded number of transfers');
is(scalar(grep { /^unavailable fault=transport .*failed=0 .*too many/ } @lines),
   2, '.. more are refused');
like(probe('one'), qr/^ok /, 'the endpoint is trusted as before');
unlike(calls, qr/chainId/, '.. its chain was not asked again');

like($t->get('/metrics')->{body},
     qr/^sallyport_ops_total\{kind="rpc",server="one",result="ok"\} \d\d/m,
     'calls are counted');


# -- cancelled in flight

for my $fault ('hang', 'chain:hang') {
    $node->fault(one => 'close');
    probe('one');
    calls();
    $node->fault(one => $fault);

    my $s = $t->stream('GET', '/one?m=get');

    ok($t->wait_until(sub { ($node->calls)[-1] }, 10), "in flight, $fault");

    my $open = $node->open;

    $s->close;
    $node->fault('one');
    ok($t->wait_until(sub { $node->open < $open }, 10),
       '.. and closed when the client leaves');
    like(probe('one'), qr/^ok /, '.. the next is served');
}


# -- reload, and quit

$node->fault(one => 'hang');
$node->fault('two-a' => 'hang');
$node->fault('two-b' => 'hang');
calls();

my $s = $t->stream('GET', '/two?m=get');

$t->wait_until(sub { ($node->calls)[-1] }, 10);
$t->reload;
like($s->rest, qr/^timeout .*failed=[12] /, 'a reload waits for the call');
$s->close;

$s = $t->stream('GET', '/two?m=get');
ok($t->wait_until(sub { ($node->calls)[-1] }, 10), 'a call is in flight');
ok($t->stop('TERM'), '.. when the gateway ends');
$s->close;

$t->finish;
done_testing;
