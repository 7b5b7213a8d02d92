#!/usr/bin/perl

# The committed bytecode is what the committed source compiles to.

use warnings;
use strict;

use Cwd qw/ abs_path /;
use File::Basename qw/ dirname /;
use Test::More;

my $dir = dirname(abs_path($0)) . "/../..";

plan skip_all => 'solc is not installed (npm install in t/)'
    unless -d "$dir/t/node_modules/solc"
           && -d "$dir/t/node_modules/\@openzeppelin/contracts";
plan skip_all => 'no Node' if system('node --version >/dev/null 2>&1');

plan tests => 1;

my $out = `cd "$dir/t/chain" && nice node compile.mjs --check 2>&1`;
is($?, 0, 'Characters.json is compiled from Characters.sol')
    or diag($out);
