#!/usr/bin/perl

# Images, speech and transcriptions with OpenAI's SDK, unmodified.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Llm;
use Test::More;


plan skip_all => 'Node is not installed' if system('node -v >/dev/null 2>&1');
plan skip_all => 'the npm packages are not installed (t/npm)'
    if !-d "$FindBin::Bin/../node_modules/openai";

my ($t, $p) = Sallyport::Llm::gateway(read_timeout => '5s',
    http => 'llm_provider media {
        url http://127.0.0.1:%%PORT1%%/v1; key_file %%DIR%%/key;
        model real-image as=image kind=image;
        model real-voice as=voice kind=speech;
        model real-ear as=ear kind=transcription;
    }',
    server => 'location = /v1/images/generations { llm_images image; }
               location = /v1/audio/speech { llm_speech voice; }
               location = /v1/audio/transcriptions { llm_transcriptions ear; }
               location = /v1/audio/translations { llm_translations ear; }');

my $script = "$FindBin::Bin/openai_media.mjs";
my $tap = `timeout 120 node '$script' http://127.0.0.1:@{[ $t->port ]} token 2>&1`;
my $status = $?;

my $passed = () = $tap =~ /^ok /mg;
my ($plan) = $tap =~ /^1\.\.(\d+)$/m;

ok($status == 0 && $plan && $passed == $plan, "openai: $passed cases")
    or diag($tap);

$p->stop;
$t->finish;
done_testing;
