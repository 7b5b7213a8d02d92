#!/usr/bin/perl

# llm_receipt: what a request has used, signed; verified by ethers, read past
# by the openai SDK.

use strict;
use warnings;
use utf8;

use Encode ();
use IPC::Open2;
use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;
use Sallyport::JWT qw(jwks);

plan skip_all => 'no Node' if system('node --version >/dev/null 2>&1');

# the first account of every test chain
my $secret = 'ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80';
my $signer = '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266';
my $wallet = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8';
my $user = '00000000-0000-4000-8000-00000000000a';
my $other = '00000000-0000-4000-8000-00000000000b';
my $key = Sallyport::JWT->new('HS256', kid => 'k');

my ($t, $p) = Sallyport::Llm::gateway(
    http => 'pg_server main "%%PG%%" timeout=2s;
             turn_store main flush=10ms; turn_spool %%DIR%%/spool;
             auth_jwt_key_file %%DIR%%/jwks.json;
             llm_receipt %%DIR%%/receipt.key;
             llm_message_limit 0;

             llm_provider priced {
                 url http://127.0.0.1:%%PORT1%%/v1;
                 read_timeout 1s;
                 model dear as=dear price=2.5/10/1.25;
             }',
    location => 'auth_jwt "test";',
    server => 'location = /off { auth_jwt "test"; llm_receipt off;
                                 llm_pass dear; }
        location = /short { auth_jwt "test"; llm_answer_size 9;
                            llm_pass dear; }
        location = /kept { auth_jwt "test"; llm_keepalive 200ms;
                           llm_pass dear; }
        location = /open { llm_pass dear; }
        location /api/ { auth_jwt "test"; pg_call main api; }',
    prepare => sub {
        my ($t) = @_;

        $t->file('jwks.json', jwks($key), 0600);
        $t->file('receipt.key', "0x$secret\n", 0600);
        $t->sql('insert into auth.users (id) values (?), (?)', $user, $other);
    });

sub token {
    return $key->token({ sub => $_[0], wallet => $wallet,
                         exp => int(time) + 600 });
}

my %auth = (Authorization => 'Bearer ' . token($user));

sub chat {
    my ($text, $path, %more) = @_;
    return $t->post($path || '/v1/chat/completions',
                    { %auth, 'X-Receipt' => 1 },
                    Sallyport::Llm::body($text, model => 'dear', %more));
}

sub node {
    my ($input, @args) = @_;

    my $pid = open2(my $out, my $in, 'node', "$FindBin::Bin/receipt.mjs",
                    @args);
    print {$in} $input;
    close $in;
    my $text = join '', <$out>;
    waitpid $pid, 0;
    chomp $text;

    return $text;
}

# that of an answer, asked for by its request id once it is stored

sub fetched {
    my ($res, $as) = @_;

    my $id = $res->{headers}{'x-request-id'};

    $t->wait_until(sub { $t->sql('select count(*) from gateway.ledger
                                  where request_id = ?', $id) });
    return $t->request('GET', "/api/v1/receipts?request_id=$id",
        { Authorization => 'Bearer ' . token($as || $user) });
}

sub comment { return $_[0]{body} =~ /^: receipt (\{.*\})\n(?=data: )/m ? $1 : '' }

sub text { return $Sallyport::Llm::json->decode(
    Encode::encode_utf8($_[0]{receipt})) }


# -- a stream: a comment in front of the last event, and later by its id

my $res = chat('hi', undef, stream => \1);
my $comment = comment($res);

like($res->{body}, qr/\n\n: receipt \{[^\n]*\}\ndata: \[DONE\]\n\n\z/,
     'a comment in front of [DONE], without a blank line');
is(node($comment, 'verify'), $signer, 'ethers finds the signer');

my $got = $Sallyport::Llm::json->decode($comment);
my $said = text($got);
my $hello = Encode::encode_utf8($Sallyport::Llm::hello);

is($got->{signer}, $signer, 'which is said');
is($said->{request_id}, $res->{headers}{'x-request-id'}, 'of this request');
is($said->{subject}, $user, 'of this user');
is($said->{wallet}, $wallet, 'and their wallet');
is($said->{outcome}, 'complete', 'complete');
is(join(' ', map { $_ // '-' } @$said{qw(prompt_tokens completion_tokens
    cached_tokens cache_write_tokens reasoning_tokens
    estimated_prompt_tokens estimated_completion_tokens)}),
   '11 5 4 - - - -', 'tokens as they were told');
is("$said->{cost} $said->{currency}", '0.000072500 USD', 'cost');
is($said->{content_hash}, node($hello, 'hash'), 'the hash of the text');
is($said->{content_bytes}, length $hello, 'and its length');
cmp_ok(abs($said->{time} - time), '<', 60, 'the time');

my $later = fetched($res);

is($later->{status}, 200, 'by its request id');
is($later->{json}{receipt}, $got->{receipt}, 'the same bytes');
is($later->{json}{signature}, $got->{signature}, 'the same signature');
is(fetched($res, $other)->{status}, 404, 'not for another user');
is($t->request('GET', '/api/v1/receipts', \%auth)->{status}, 400,
   'not without an id');
is($t->request('GET', '/api/v1/receipts?request_id=', \%auth)->{status}, 404,
   'not of calls beside requests');

# one byte of it

(my $forged = $comment) =~ s/0\.000072500/0.000072501/;
isnt(node($forged, 'verify'), $signer, 'a byte that changes is seen');

is($Sallyport::Llm::json->allow_nonref->decode(node('', 'chat',
       'http://127.0.0.1:' . $t->port . '/v1', token($user))),
   $Sallyport::Llm::hello, 'the SDK reads past it');


# -- a whole answer: by its id

$res = chat('hi');
is($res->{json}{choices}[0]{message}{content}, $Sallyport::Llm::hello,
   'a whole answer, as ever');
$later = fetched($res);
is(node($Sallyport::Llm::json->encode($later->{json}), 'verify'), $signer,
   'its receipt');
is(text($later->{json})->{content_hash}, node($hello, 'hash'), 'its text');


# -- an answer that is cut; one that is kept in part

$res = chat('fault cut at=mid', undef, stream => \1);
$said = text($Sallyport::Llm::json->decode(comment($res)));
is($said->{outcome}, 'failed', 'cut: in front of the error');
cmp_ok($said->{estimated_completion_tokens}, '>', 0, 'cut: estimated');

my $s = $t->stream('POST', '/v1/chat/completions', { %auth,
                   'X-Receipt' => 1 }, Sallyport::Llm::body(
                   'fault stall at=mid', model => 'dear', stream => \1));
ok($s->read_until(qr/Hello/, 5), 'left: some text');
$s->close;
ok($t->wait_until(sub { $t->sql("select receipt ->> 'receipt' like
                                 '%\"partial\"%' from gateway.ledger
                                 order by at desc limit 1") }),
   'left: a receipt all the same');

$res = chat('hi', '/short', stream => \1);
$said = text($Sallyport::Llm::json->decode(comment($res)));
is($said->{content_bytes}, 9, 'llm_answer_size: of as many bytes');
is($said->{content_hash}, node(substr($hello, 0, 9), 'hash'),
   'llm_answer_size: the hash of them');


# the header is out, no provider has answered

$res = chat('fault stall at=accept', '/kept', stream => \1);
is($res->{status}, 200, 'kept alive: the header is out');
like($res->{body}, qr/^: receipt .*\ndata: \{"error"/m,
     'kept alive: a receipt in front of the error');
$said = text($Sallyport::Llm::json->decode(comment($res)));
is("$said->{outcome} $said->{cost}", 'failed 0.000000000',
   'kept alive: of what was not said');


# -- nobody asks, or it is off

for my $case ([ 'not asked for', '/v1/chat/completions' ],
              [ 'off', '/off', 'X-Receipt' => 1 ],
              [ 'another value', '/v1/chat/completions', 'X-Receipt' => 0 ])
{
    my ($name, $path, @more) = @$case;

    $res = $t->post($path, { %auth, @more },
                    Sallyport::Llm::body('hi', model => 'dear',
                                         stream => \1));
    unlike($res->{body}, qr/receipt/, "$name: none");
    is(fetched($res)->{status}, 404, "$name: none later");
}

$res = $t->post('/open', { 'X-Receipt' => 1 }, Sallyport::Llm::body('hi',
                model => 'dear', stream => \1));
is(text($Sallyport::Llm::json->decode(comment($res)))->{subject}, '',
   'nobody has one, too');


# -- configuration

for my $case ([ "$secret", 0644, 'open to others' ],
              [ '00' x 32, 0600, 'zero' ],
              [ 'ff' x 32, 0600, 'over the order of the curve' ],
              [ substr($secret, 2), 0600, 'short' ],
              [ "${secret}00", 0600, 'long' ],
              [ 'your-private-key', 0600, 'no key' ])
{
    my ($text, $mode, $name) = @$case;

    $t->file('other.key', "$text\n", $mode);
    $t->refuses(<<'EOF', qr/other\.key/, "a key that is $name");
%%LOAD%%
%%GLOBALS%%
events { }
http { %%HTTP%% llm_receipt %%DIR%%/other.key; }
EOF
}

unlike($t->error_log, qr/\Q$secret\E/, 'the key is not in the log');

$t->finish;
done_testing;
