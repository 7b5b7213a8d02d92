#!/usr/bin/perl

# The ledger: one row for each request for a model, on every way that it can
# end; what was told, what was estimated, what it has cost.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;
use Sallyport::JWT qw(jwks);

my $key = Sallyport::JWT->new('HS256', kid => 'k');
my $user = '00000000-0000-4000-8000-00000000000a';

my ($t, $p) = Sallyport::Llm::gateway(
    http => 'pg_server main "%%PG%%" timeout=2s;
             redis_server redis %%REDIS%%; quota_redis redis;
             quota_policy one { requests 1/h; }
             turn_store main flush=10ms; turn_spool %%DIR%%/spool;
             auth_jwt_key_file %%DIR%%/jwks.json;
             moderation_rules %%DIR%%/test.rules;
             llm_currency EUR;
             llm_message_limit 0;

             llm_provider priced {
                 url http://127.0.0.1:%%PORT1%%/v1;
                 key_file %%DIR%%/key;
                 read_timeout 1s;
                 model dear as=dear price=2.5/10/1.25/3.125 kind=chat
                       context=100k weight=2;
                 model dear-embed as=vectors kind=embedding price=0.02/0;
             }
             llm_provider gone {
                 url http://127.0.0.1:%%PORT2%%/v1;
                 connect_timeout 500ms;
                 model gone-model as=gone price=1/1;
                 model first as=pair weight=1000 price=1/1;
             }
             llm_provider second {
                 url http://127.0.0.1:%%PORT1%%/v1;
                 model second-model as=pair backup price=1/1;
             }',
    location => 'auth_jwt "test"; moderation input;',
    server => 'location = /open { llm_pass default; }
        location = /limited { auth_jwt "test"; quota one; llm_pass default; }
        location = /scoped { auth_jwt "test"; require_scope write;
                             llm_pass default; }
        location = /shown { auth_jwt "test"; quota one; llm_pass default;
                            error_page 429 =200 /page; }
        location = /page { return 200 "sorry"; }
        location = /small { auth_jwt "test"; llm_pass default;
                            body_max_size 100; }
        location = /vectors { auth_jwt "test"; llm_embeddings vectors; }
        location = /failing { auth_jwt "test"; llm_pass gone;
                              error_page 502 = @backup; }
        location @backup { auth_jwt "test"; llm_pass dear; }
        location = /backup { auth_jwt "test"; llm_pass dear; }
        location = /hop { rewrite ^ /backup last; }
        location = /mirrored { mirror /sub; auth_jwt "test";
                               llm_pass default; }
        location = /sub { internal; return 204; }
        location = /short { auth_jwt "test"; llm_pass dear;
                            llm_event_size 1k; }',
    prepare => sub {
        my ($t) = @_;

        $t->file('jwks.json', jwks($key), 0600);
        $t->file('test.rules', "[t.block category=test action=block]\n"
                               . "zebra\n");
        $t->sql('insert into auth.users (id) values (?)', $user);
    });

my %auth = (Authorization => 'Bearer ' . $key->token(
    { sub => $user, exp => int(time) + 600 }));

my $n = 0;

# the newest row, once it is one more; the others are as they were

sub row {
    my ($name) = @_;

    $n++;
    $t->wait_until(sub {
        $t->sql('select count(*) from gateway.ledger') >= $n
    }, 10);
    is(scalar $t->sql('select count(*) from gateway.ledger'), $n,
       "$name: one row");

    return $t->dbh->selectrow_hashref(
        'select *, jsonb_array_length(attempts) as tries
           from gateway.ledger order by at desc, id desc limit 1');
}

sub told {
    my ($row) = @_;
    return join ' ', map { defined $row->{$_} ? $row->{$_} : '-' } qw(
        prompt_tokens completion_tokens cached_tokens cache_write_tokens
        reasoning_tokens estimated_prompt_tokens
        estimated_completion_tokens);
}

sub end { return "@{ $_[0] }{qw(kind outcome error_type status tries)}" }

sub chat {
    my ($text, $path, %more) = @_;
    return $t->post($path || '/v1/chat/completions', \%auth,
                    Sallyport::Llm::body($text, %more));
}


# -- refused, by everybody who may refuse

my $big = 'x' x 200;
my @refused = (
    [ 'no JSON', sub { $t->request('POST', '/v1/chat/completions',
        { %auth, 'Content-Type' => 'application/json' }, '{') },
      'caller_invalid_request 400' ],
    [ 'no message', sub { chat('', undef, messages => []) },
      'caller_invalid_request 400' ],
    [ 'another type', sub { $t->request('POST', '/v1/chat/completions',
        { %auth, 'Content-Type' => 'text/plain' }, 'hi') },
      'caller_invalid_request 415' ],
    [ 'a large body', sub { chat($big, '/small') },
      'caller_invalid_request 413' ],
    [ 'an unknown model', sub { chat('hi', undef, model => 'nothing') },
      'caller_unknown_model 404' ],
    [ 'an internal model', sub { chat('hi', undef, model => 'hidden') },
      'caller_unknown_model 404' ],
    [ 'a blocked text', sub { chat('a zebra') }, 'policy_moderation 422' ],
    [ 'a scope', sub { chat('hi', '/scoped') }, 'policy_access 403' ],
    [ 'a long prompt', sub { chat("\x{6f22}\x{5b57}" x 450, undef, model => 'small') },
      'caller_invalid_request 400' ],
);

for my $case (@refused) {
    my ($name, $ask, $expected) = @$case;
    my $res = $ask->();
    my $row = row($name);

    is(end($row), "chat refused $expected 0", "$name: $expected");
    is($res->{status}, $row->{status}, "$name: the status that was answered");
    is($row->{request_id}, $res->{headers}{'x-request-id'},
       "$name: its request id");
    is($row->{user_id}, $user, "$name: whose it was");
    is(told($row), '- - - - - - -', "$name: no tokens");
    is($row->{cost} + 0, 0, "$name: no cost");
}

is(scalar $p->requests, 0, 'nobody was asked');
is(Sallyport::Llm::metric($t, 'sallyport_llm_errors_total',
                          'type="policy_moderation"'), 1, 'metric: by fault');

chat('hi', '/limited');
is(end(row('the first')), 'chat complete  200 1', 'the only one of an hour');

my $res = chat('hi', '/limited');
is($res->{status}, 429, 'over its quota');
is(end(row('over its quota')), 'chat refused policy_quota 429 0', 'a quota');

$res = chat('hi', '/shown');
is("$res->{status} $res->{body}", '200 sorry', "an operator's page");
is(end(row('an operator\'s page')), 'chat refused policy_quota 200 0',
   'a page says another status, the fault is the same');


# -- nobody's

for my $case ([ 'no token', sub { $t->post('/backup', {},
                                    Sallyport::Llm::body('hi')) }, 401 ],
              [ 'another method', sub { $t->get('/backup') }, 405 ],
              [ 'no model here', sub { $t->get('/v1/models') }, 200 ])
{
    my ($name, $ask, $status) = @$case;
    is($ask->()->{status}, $status, "$name: $status");
}

$t->post('/open', {}, Sallyport::Llm::body('hi'));
my $row = row('what was nobody\'s has none');
is($row->{user_id}, undef, 'anonymous, where no token is asked for');


# -- the client leaves within its body

my $s = $t->stream('POST', '/v1/chat/completions',
                   { %auth, 'Content-Type' => 'application/json',
                     'Content-Length' => 500 }, '{"model":');
ok($s->taken, "half a body: read");
$s->close;
is(end(row("half a body")),
   "chat refused caller_disconnected 400 0", "left within its body");


# -- the provider's faults

for my $case (
    [ 'status code=400', 'provider_refused_request 400' ],
    [ 'status code=401', 'provider_auth 502' ],
    [ 'status code=404', 'provider_unknown_model 502' ],
    [ 'status code=429', 'provider_rate_limited 429' ],
    [ 'status code=500', 'provider_error 502' ],
    [ 'status code=503', 'provider_overloaded 503' ],
    [ 'status code=529', 'provider_overloaded 503' ],
    [ 'stall at=accept', 'provider_timeout 504' ],
    [ 'stale always=1', 'provider_unreachable 502' ],
    [ 'type', 'provider_invalid_answer 502' ],
    [ 'gzip', 'provider_invalid_answer 502' ],
    [ 'garbage', 'provider_invalid_answer 200' ],
    [ 'error', 'provider_error 200' ],
    [ 'cut at=mid', 'provider_cut 200' ],
    [ 'short finish=0', 'provider_cut 200' ],
    [ 'stall at=mid', 'provider_timeout 200' ],
) {
    my ($fault, $expected) = @$case;

    chat("fault $fault", undef, model => 'dear', stream => \1);
    $row = row($fault);

    is(end($row), "chat failed $expected 1", "$fault: $expected");

    if ($row->{status} == 200) {
        cmp_ok($row->{cost}, '>', 0, "$fault: what was said has its cost")
            or diag(told($row));

    } else {
        is($row->{cost} + 0, 0, "$fault: no cost");
        is(told($row), '- - - - - - -', "$fault: no tokens");
    }
}

is($t->post('/v1/chat/completions', \%auth,
            Sallyport::Llm::body('hi', model => 'gone'))->{status}, 502,
   'nobody is there');
is(end(row('gone')), 'chat failed provider_unreachable 502 1', 'unreachable');


# -- never twice: targets, redirects, subrequests

is(chat('hi', undef, model => 'pair')->{status}, 200, 'the second target');
$row = row('failover');
is(end($row), 'chat complete  200 2', 'failover: one row, two attempts');
is($row->{provider}, 'second', 'of the one that has answered');

$t->post('/failing', \%auth,
         { messages => [ { role => 'user', content => 'hi' } ] });
$row = row('error_page');
is("$row->{outcome} $row->{error_type} $row->{provider}",
   'complete  priced', 'error_page: the one that has answered');
cmp_ok($row->{cost}, '>', 0, 'error_page: at its price');

is(chat('hi', '/hop', model => 'dear')->{status}, 200, 'rewritten');
is(end(row('a redirect')), 'chat complete  200 1', 'a redirect');

chat('hi', '/mirrored');
is(end(row('a subrequest')), 'chat complete  200 1', 'a subrequest');


# -- tokens and cost

sub stream {
    my ($name, @events) = @_;

    chat("fault raw\n" . join("\n", @events, '[DONE]'), undef,
         model => 'dear', stream => \1);
    return row($name);
}

sub chunk {
    my ($delta, $finish, $usage) = @_;
    return $Sallyport::Llm::json->encode({ id => 'c', created => 1,
        object => 'chat.completion.chunk', model => 'm',
        choices => $delta ? [ { index => 0, delta => $delta,
                                finish_reason => $finish } ] : [],
        usage => $usage });
}

my $all = { prompt_tokens => 1000, completion_tokens => 300,
            prompt_tokens_details => { cached_tokens => 400,
                                       cache_write_tokens => 100 },
            completion_tokens_details => { reasoning_tokens => 200 } };

$row = stream('all of usage', chunk({ content => 'hi' }), chunk({}, 'stop'),
              chunk(undef, undef, $all));
is(told($row), '1000 300 400 100 200 - -', 'all that was told');
# 500 * 2.5 + 400 * 1.25 + 100 * 3.125 + 300 * 10, by a million
is("$row->{cost} $row->{currency}", '0.005062500 EUR',
   'the cost: reasoning is output, the cache is input');

my $zero = { prompt_tokens => 7, completion_tokens => 0,
             prompt_tokens_details => { cached_tokens => 0 } };

$row = stream('zero', chunk({ content => '' }), chunk({}, 'stop'),
              chunk(undef, undef, $zero));
is(told($row), '7 0 0 - - - -', '0 was told, what was not is NULL');

$row = stream('reasons', chunk({ reasoning_content => 'because ' x 40 }),
              chunk({ content => 'yes' }), chunk({}, 'stop'));
cmp_ok($row->{estimated_completion_tokens}, '>', 60,
       'reasoning counts where nothing is told');

$row = stream('calls', chunk({ tool_calls => [ { index => 0, id => 'c',
    type => 'function', function => { name => 'f',
        arguments => '{"a":"' . 'b' x 100 . '"}' } } ] }),
    chunk({}, 'tool_calls'));
cmp_ok($row->{estimated_completion_tokens}, '>', 20, 'so do arguments');

chat('hi', undef, model => 'default');
is(row('no price')->{cost}, undef, 'a model without a price: NULL');

is(Sallyport::Llm::metric($t, 'sallyport_llm_cost_nano_total',
                          'provider="priced",kind="chat"'),
   $t->sql("select (sum(cost) * 1e9)::bigint from gateway.ledger
             where provider = 'priced' and kind = 'chat'"),
   'the metric is the sum of the rows');


# -- an answer that is cut: the running count, or an estimate

my @events = ((map { chunk({ content => "w$_ " }, undef,
    { prompt_tokens => 11, completion_tokens => $_ }) } 1 .. 5));

for my $case ([ 'a running count', '11 5 - - - - -', @events ],
              [ 'a running count, text after it', '11 5 - - - - 8',
                @events, chunk({ content => 'some words' }) ])
{
    my ($name, $expected, @said) = @$case;

    $s = $t->stream('POST', '/v1/chat/completions', \%auth,
        Sallyport::Llm::body("fault raw end=stall\n" . join("\n", @said),
                             model => 'dear', stream => \1));
    ok($s->read_until($expected =~ /8$/ ? qr/some words/ : qr/w5 /, 5),
       "$name: read");
    $s->close;

    $row = row($name);
    is("$row->{outcome} $row->{error_type}", 'partial caller_disconnected',
       "$name: left");
    is(told($row), $expected, $name);
}

my $free = { prompt_tokens => 0, completion_tokens => 0 };

for my $case ([ 'before the header', 'accept' ],
              [ 'before the first word', 'header' ])
{
    my ($name, $at) = @$case;
    my $before = $p->requests;

    $s = $t->stream('POST', '/v1/chat/completions', \%auth,
        Sallyport::Llm::body("fault stall at=$at", model => 'dear',
                             stream => \1));
    $t->wait_until(sub { $p->requests > $before }, 5);
    $p->wait_event('stalled', $p->last_request->{n});
    $s->close;

    $row = row($name);
    is(end($row), 'chat failed caller_disconnected 499 1', "$name: left");
    like(told($row), qr/^- - - - - \d+ -$/, "$name: the prompt is estimated");
}

# what is told first is a placeholder with some, and zero is a number

for my $case ([ 'a placeholder', qr/^25 1 - - - - 1[0-9]$/,
                { prompt_tokens => 25, completion_tokens => 1 }, undef ],
              [ 'zero in each', qr/^0 0 - - - - -$/, ($free) x 2 ])
{
    my ($name, $expected, $first, $then) = @$case;

    $s = $t->stream('POST', '/v1/chat/completions', \%auth,
        Sallyport::Llm::body(join("\n", 'fault raw end=stall',
            chunk({ role => 'assistant' }, undef, $first),
            chunk({ content => 'x' x 39 . '!' }, undef, $then)),
            model => 'dear', stream => \1));
    ok($s->read_until(qr/xx!/, 5), "$name: read");
    $s->close;

    $row = row($name);
    like(told($row), $expected, "$name: what is told, and what is not");
    is($row->{cost} > 0 ? 1 : 0, $first->{prompt_tokens} ? 1 : 0,
       "$name: cost");
}

# the client of a whole answer leaves within it

my $requests = $p->requests;
$s = $t->stream('POST', '/v1/chat/completions', \%auth,
    Sallyport::Llm::body('fault stall at=mid', model => 'dear'));
$t->wait_until(sub { $p->requests > $requests }, 5);
$p->wait_event('stalled', $p->last_request->{n});
$s->close;
$row = row('within a whole answer');
is(end($row), 'chat failed caller_disconnected 499 1', 'left within it');
cmp_ok($row->{estimated_prompt_tokens}, '>', 0, 'its prompt is estimated');

# too long to be held: it passes, and its usage is read all the same

chat('fault slow words=20000', '/short', model => 'dear');
$row = row('larger than llm_event_size');
like(told($row), qr/^11 20000 4 - - - -$/, 'usage of a large answer');


# -- embeddings of clients

$res = $t->post('/vectors', \%auth, { model => 'vectors', input => 'hi' });
is($res->{status}, 200, 'vectors');
$row = row('vectors');
is(end($row), 'embedding complete  200 1', 'vectors: complete');
is("@{ $row }{qw(user_id alias model provider)}",
   "$user vectors dear-embed priced", 'vectors: whose, and which');
is(told($row), '3 - - - - - -', 'vectors: tokens');
is($row->{cost}, '0.000000060', 'vectors: cost');

$t->post('/vectors', \%auth, { model => 'vectors' });
is(end(row('no input')), 'embedding refused caller_invalid_request 400 0',
   'vectors: refused');

$t->post('/vectors', \%auth, { model => 'default', input => 'hi' });
is(end(row('a chat model')), 'embedding refused caller_unknown_model 404 0',
   'vectors: of a model that has none');


# -- who may read it

is($t->sql("select count(*) from gateway.ledger where error is not null"), 0,
   'every row was stored as it was');
is($t->sql('select sum(requests) from gateway.usage_daily'), $n,
   'the view has them all');

$t->finish;
done_testing;
