#!/usr/bin/perl

# moderation output: texts made at random of terms, parts of terms, exceptions
# and characters that hide, in pieces of random sizes.  A stream says what the
# whole answer says.  SP_SEED and SP_ROUNDS: others, and more of them.

use strict;
use utf8;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Sallyport::Llm;
use Test::More;

binmode Test::More->builder->$_, ':encoding(UTF-8)'
    for qw(output failure_output todo_output);

my $seed = $ENV{SP_SEED} || 4711;
my $rounds = $ENV{SP_ROUNDS} || 60;

my ($t, $p) = Sallyport::Llm::gateway(
    http => 'moderation_rules %%DIR%%/test.rules;',
    location => 'moderation output; llm_message_limit 1000000;',
    prepare => sub { $_[0]->file('test.rules', <<'EOR') });
[r.mask category=profanity action=mask]
secret
secret sauce
sauce boat
*cret sau*
крот
злой крот
Σίσυφος
秘密
密文
🙈
naïve
!secret sauce boat house
!a secret
[r.star category=x action=mask]
in*
*ing
[r.other category=x action=mask]
a sec
[r.block category=abuse severity=4]
zebra crossing
чёрный кот
!blue zebra crossing
EOR

my @words = ('secret', 'secret sauce', 'sauce boat', 'house', 'a', 'blue',
             'zebra', 'zebra crossing', 'крот', 'злой', 'КРОТ', 'Σίσυφος',
             'σίσυφοσ', '秘', '秘密文', '密文', '🙈', '🙈🙈', 'naïve',
             "nai\x{308}ve", 'ｓｅｃｒｅｔ', 'inside', 'sauceing', 'sec', 'ret',
             'se', 'кр', 'от', 'чёрный', "че\x{308}рный", 'кот', 'x', "\x{fb01}");
my @glue = (' ', ' ', ' ', "\n", '  ', '', '', ', ', "\x{200b}", "\x{ad}",
            "\x{301}", "\x{feff}", "\x{a0}", '-', '"', "\\", "\x{2028}",
            "\x{202e}", "\x{fe0f}", "\x{e0061}", "\t", '。');

srand $seed;

for my $round (1 .. $rounds) {
    my $said = join '', map { $words[rand @words], $glue[rand @glue] }
                        1 .. 1 + rand 30;

    # of the masks most answers come to their end

    $said =~ s/crossing|кот//g if $round % 3;
    $said =~ s/^\s+|[\n\s]+\z//g;
    $said = 'x' if $said !~ /\S/;

    my $whole = ask($said, 0);

    for my $size (1, 1 + int rand 4, 1 + int rand 12, 1 + int rand 100) {
        my $stream = ask($said, $size);

        is_deeply($stream, $whole, "round $round by $size")
            or diag("seed $seed: ", $said =~ s/([^ -~])/sprintf '\\x{%x}',
                                                         ord $1/ger);
    }
}


# more terms than wait at a time

for my $word ('secret', 'крот', "se\x{200b}cret") {
    my $said = join ' and ', ($word) x 3000;
    my $whole = ask($said, 0);

    is($whole->{text} =~ s/\*+ and //gr, '*' x length $word,
       'what is between many masks stays');
    is_deeply(ask($said, 997), $whole, 'in pieces, too');
}

my $said = 'secret ' x 2000 . 'zebra crossing';
is_deeply(ask($said, 500), ask($said, 0), 'many masks and a block');

$t->finish;
done_testing;


sub ask {
    my ($text, $size) = @_;

    my $res = $t->post('/v1/chat/completions', {},
        { %{ Sallyport::Llm::body("fault echo size=$size\n$text") },
          $size ? (stream => \1) : () });

    if ($size) {
        my $stream = Sallyport::Llm::parse($res->{body});
        return { map { $_ => $stream->{$_} } 'text', 'finish' };
    }

    my $choice = $res->{json}{choices}[0];

    return { text => $choice->{message}{content} // '',
             finish => $choice->{finish_reason} };
}

