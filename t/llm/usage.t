#!/usr/bin/perl

# stream_options: usage is asked for in every stream, merged into what the
# client has said; the chunk of usage is the client's only where it asked.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Sallyport::Llm;

my ($t, $p) = Sallyport::Llm::gateway(
    http => 'pg_server main "%%PG%%" timeout=2s;
             turn_store main flush=10ms; turn_spool %%DIR%%/spool;

             llm_provider strict {
                 url http://127.0.0.1:%%PORT1%%/v1;
                 stream_usage off;
                 model strict as=strict;
             }');

my $n = 0;

# the row of the ledger, the parsed stream, what the provider was asked

sub ask {
    my (%more) = @_;

    my $res = $t->post('/v1/chat/completions', {},
                       Sallyport::Llm::body('hi', stream => \1, %more));

    $n++;
    $t->wait_until(sub {
        $t->sql('select count(*) from gateway.ledger') >= $n
    });

    return ($t->dbh->selectrow_hashref('select * from gateway.ledger
                                        order by at desc, id desc limit 1'),
            Sallyport::Llm::parse($res->{body}),
            $p->last_request->{json}{stream_options}, $res->{body});
}

my $off = JSON::PP::false;

for my $case (
    [ 'none', undef, { include_usage => 1 }, 0 ],
    [ 'an empty one', {}, { include_usage => 1 }, 0 ],
    [ 'usage off', { include_usage => $off }, { include_usage => 1 }, 0 ],
    [ 'usage on', { include_usage => \1 }, { include_usage => 1 }, 1 ],
    [ 'obfuscation', { include_obfuscation => $off },
      { include_usage => 1, include_obfuscation => 0 }, 0 ],
    [ 'both', { include_obfuscation => $off, include_usage => \1 },
      { include_usage => 1, include_obfuscation => 0 }, 1 ],
    [ 'an option of tomorrow', { later => { a => [ 1, 'x' ] } },
      { include_usage => 1, later => { a => [ 1, 'x' ] } }, 0 ],
) {
    my ($name, $options, $expected, $wants) = @$case;
    my ($row, $out, $asked, $body) = ask($options
        ? (stream_options => $options) : ());

    is_deeply($Sallyport::Llm::json->decode(
                  $Sallyport::Llm::json->encode($asked) =~ s/true/1/gr
                                                        =~ s/false/0/gr),
              $expected, "$name: what the provider is asked");
    is("$row->{prompt_tokens} $row->{completion_tokens}", '11 5',
       "$name: accounted");
    is($out->{usage} ? 1 : 0, $wants, "$name: usage for the client");
    is(scalar(() = $body =~ /"choices":\[\]/g), $wants,
       "$name: the extra chunk");
    is($out->{text}, $Sallyport::Llm::hello, "$name: the text is whole");
    is($out->{done}, 1, "$name: [DONE]");
}


# running totals, as vLLM has them: part of the events, and they pass

my ($row, $out) = ask(messages => [ { role => 'user',
                                      content => 'fault usage' } ],
                      stream_options => { continuous_usage_stats => \1 });
is($row->{completion_tokens}, 5, 'running totals: the last one');
is($out->{text}, $Sallyport::Llm::hello, 'running totals: nothing is lost');


# a server that refuses the option

($row, $out, my $asked) = ask(model => 'strict');
is($asked, undef, 'stream_usage off: nothing is asked');
is($row->{completion_tokens}, undef, 'stream_usage off: nothing is told');
cmp_ok($row->{estimated_completion_tokens}, '>', 0, '.. but estimated');

($row, $out, $asked) = ask(model => 'strict',
                           stream_options => { include_usage => \1 });
is("$asked->{include_usage} $row->{completion_tokens}", '1 5',
   'stream_usage off: what the client asks for passes');
is($out->{usage}{completion_tokens}, 5, '.. and comes back');


# what is no object

for my $odd ('yes', 1, [ 1 ]) {
    my $res = $t->post('/v1/chat/completions', {},
        Sallyport::Llm::body('hi', stream => \1, stream_options => $odd));

    is($res->{status}, 400, 'no object: refused');
    is($res->{json}{error}{param}, 'stream_options', 'no object: named');
}

$t->finish;
done_testing;
