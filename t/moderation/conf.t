#!/usr/bin/perl

# What nginx -t says about moderation, moderation_rules and rule files.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Test;
use Test::More;


my $t = Sallyport::Test->new;
my $good = $t->file('good.rules', "[a category=x]\nword\n");

# http block, location, what must be said ('' : accepted)
my @confs = (
    [ 'moderation_rules good.rules;', 'moderation input;', '' ],
    [ 'moderation_rules good.rules; moderation input;', 'moderation off;',
      '' ],
    [ 'moderation_rules goo*.rules;', 'moderation input;', '' ],
    [ '', 'moderation off;', '' ],
    [ "moderation_rules $Sallyport::Test::top/conf/moderation/*.rules;",
      'moderation input;', '' ],

    [ '', 'moderation input;',
      qr/"moderation" in \S+check.conf:\d+ has no rules/ ],
    [ '', 'moderation output;', qr/"moderation" in \S+:\d+ has no rules/ ],
    [ 'moderation_rules good.rules; moderation input output;', '', '' ],
    [ 'moderation_rules good.rules;', 'moderation output;',
      qr/"moderation output" in \S+:\d+ scans nothing: no "llm_pass" answers/ ],
    [ 'moderation_rules good.rules;', 'moderation input output;',
      qr/allowed there are "input" and "off"/ ],
    [ 'moderation_rules good.rules;', 'moderation output output;',
      qr/invalid parameter "output"/ ],
    [ 'moderation_rules good.rules;', 'moderation on;',
      qr/invalid parameter "on" of "moderation": allowed are/ ],
    [ 'moderation_rules good.rules;', 'moderation input input;',
      qr/invalid parameter "input"/ ],
    [ 'moderation_rules good.rules;', 'moderation off input;',
      qr/invalid parameter "off"/ ],
    [ 'moderation_rules good.rules;', 'moderation input; moderation off;',
      qr/is duplicate/ ],
    [ 'moderation_rules none.rules;', '', qr/none\.rules" failed \(2:/ ],
    [ 'moderation_rules none*.rules;', '', qr/no rule file matches "\S+none/ ],
    [ 'moderation_rules good.rules good.rules;', '',
      qr/good\.rules:1:2: duplicate rule id "a"/ ],
);

for my $case (@confs) {
    my ($http, $location, $expected) = @$case;

    check($http, $location, $expected, "$http $location");
}

# rule file, what is said: line:column first
my @files = (
    [ "word\n", qr/:1:1: a term before the first rule/ ],
    [ "# c\n\n  [a category=x\nword\n", qr/:3:16: the head of a rule ends/ ],
    [ "[]\n", qr/:1:2: a rule needs an id/ ],
    [ "[A category=x]\n", qr/:1:2: invalid rule id "A"/ ],
    [ "[a]\n", qr/:1:3: rule "a" has no category=/ ],
    [ "[a category=X]\n", qr/:1:13: invalid category "X"/ ],
    [ "[a category]\n", qr/:1:4: "category" is not of the form name=value/ ],
    [ "[a category=]\n", qr/:1:4: "category=" is not of the form/ ],
    [ "[a category=x color=red]\n", qr/:1:15: unknown "color": allowed are/ ],
    [ "[a category=x category=y]\n", qr/:1:15: duplicate "category"/ ],
    [ "[a category=x action=blok]\n",
      qr/:1:22: unknown action "blok": allowed are block, mask and flag/ ],
    [ "[a category=x severity=5]\n", qr/:1:24: invalid severity "5"/ ],
    [ "[a category=x stage=output,later]\n",
      qr/:1:28: unknown stage "later": allowed are input and output/ ],
    [ "[a category=x stage=]\n", qr/:1:15: "stage=" is not of the form/ ],
    [ "[a category=x roles=user,bot]\n", qr/:1:26: unknown role "bot"/ ],
    [ "[a category=x roles=user,]\n", qr/:1:26: unknown role ""/ ],
    [ "[a category=x languages=e_n]\n", qr/:1:26: invalid languages "e_n"/ ],
    [ "[a category=x]\nok\n\n  in*side\n",
      qr/:4:5: "\*" is allowed at the ends/ ],
    [ "[a category=x]\nbad\\\n", qr/:2:4: nothing follows the "\\"/ ],
    [ "[a category=x]\nx\n", qr/:2:1: a term needs at least two visible/ ],
    [ "[a category=x]\n\xe2\x80\x8b\n", qr/:2:1: a term needs at least two/ ],
    [ "[a category=x]\nab\xff\n", qr/:2:1: the term is not UTF-8/ ],
    [ "[a category=x]\n" . ('ab' x 128) . "\n",
      qr/:2:1: the term is longer than 255 bytes/ ],
    [ "[a category=x]\n" . ('ab' x 600) . "\n",
      qr/:2:1: the line is longer than 1024 bytes/ ],
);

for my $case (@files) {
    my ($text, $expected) = @$case;

    $t->file('bad.rules', $text);
    (my $name = $text) =~ s/\n/ | /g;
    $name =~ s/[^ -~]/?/g;
    check('moderation_rules bad.rules;', '', qr/bad\.rules$expected/,
          length $name > 60 ? substr($name, 0, 60) : $name);
}

$t->file('bad.rules', "\r\n[a category=x]\r\nword\r\n# end");
check('moderation_rules bad.rules;', 'moderation input;', '', 'CRLF');

$t->finish;
done_testing;


sub check {
    my ($http, $location, $expected, $name) = @_;

    my ($ok, $out) = $t->check_conf(<<"EOC");
%%LOAD%%
%%GLOBALS%%
events { }
http {
    %%HTTP%%
    $http
    server { listen 127.0.0.1:%%PORT%%; location / { $location } }
}
EOC
    if ($expected eq '') {
        ok($ok, $name) or diag($out);

    } else {
        ok(!$ok, "refused: $name");
        like($out, $expected, 'and says why');
    }

    return;
}
